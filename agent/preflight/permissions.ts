import { listed } from '../region/obstacles/evidence.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok } from './finding.ts'
import { describeRight, type Right } from './rights.ts'

/** Whether the account that asks may do what it will have to. One finding for each resource that it lacks something of. */
export function permissions({ rights, audience }: Evidence): Finding[] {
  if (!rights) return []
  const lacking = rights.filter(({ allowed }) => !allowed).map(({ right }) => right)
  if (lacking.length === 0) return [ok('permissions', `the account may do all ${rights.length} things that it must`)]
  return [...Map.groupBy(lacking, resourceOf)].map(([resource, missing]) => {
    const verbs = listed(
      missing.map(({ verb }) => verb),
      missing.length,
    )
    const [first] = missing as [Right]
    const at = first.namespace === undefined ? '' : ` in the namespace ${first.namespace}`
    return fail(
      `permission/${resource}`,
      `the account may not ${verbs} ${resource}${at}`,
      audience === 'agent' ? 'What needs it fails, whenever it is asked for.' : 'The installation would stop half way.',
      audience === 'agent'
        ? `Compare the account's roles with those of the chart. To try: kubectl auth can-i ${describeRight(first)}`
        : `Use an account that may (cluster-admin can), or have it given. To try: kubectl auth can-i ${first.verb} ${resource}`,
    )
  })
}

function resourceOf({ resource, group }: Right): string {
  return group === '' ? resource : `${resource}.${group}`
}
