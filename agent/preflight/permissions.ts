import { listed } from '../region/obstacles/evidence.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { minorOf, policiesSince } from './kubernetes.ts'
import type { Right } from './rights.ts'

/** Whether the account has all rights that it needs. One finding for all resources on which it lacks the same verbs. */
export function permissions({ rights, audience }: Evidence): Finding[] {
  if (!rights) return []
  const lacking = rights.filter(({ allowed }) => !allowed).map(({ right }) => right)
  if (lacking.length === 0) return [ok('permissions', `the account has all ${rights.length} rights that it needs`)]
  const byResource = Map.groupBy(lacking, resourceOf)
  const verbsOf = (resource: string) => (byResource.get(resource) ?? []).map(({ verb }) => verb)
  return [...Map.groupBy(byResource.keys(), (resource) => verbsOf(resource).join('+'))].map(([id, resources]) => {
    const verbs = id.split('+')
    const [first = ''] = resources
    // For kubectl, the namespace is an option.
    const trial = `kubectl auth can-i ${verbs[0]} ${first.replace(' in ', ' -n ')}`
    return fail(
      `permission/${id}`,
      `the account may not ${listed(verbs, verbs.length)} ${listed(resources, resources.length)}`,
      audience === 'agent' ? 'Requests that need it fail.' : 'The installation would stop halfway.',
      audience === 'agent'
        ? `Compare the account's roles with those of the chart. To check: ${trial}`
        : `Use an account that has it, such as cluster-admin, or have it granted. To check: ${trial}`,
    )
  })
}

/** Whether a policy confines the agent, where Kubernetes has policies. */
export function boundary({ kubernetes, isConfined }: Evidence): Finding[] {
  if (isConfined !== false || (minorOf(kubernetes) ?? 0) < policiesSince) return []
  return [
    warn(
      'agent-boundary',
      'there is no policy skerry-agent-boundary',
      "Only RBAC confines the agent: whoever steals its token can give himself a project's rights in other namespaces, and have any volume deleted.",
      'With the chart, set agentBoundary.enabled, and upgrade the release again if Kubernetes was older when it was installed. Without it, apply deploy/kustomize/agent-boundary.yaml.',
    ),
  ]
}

/** `deployments.apps`, `operations.skerry.dev in skerry`, `limitranges/skerry in project-harbour` */
function resourceOf({ resource, group, name, namespace }: Right): string {
  return `${resource}${group === '' ? '' : `.${group}`}${name === undefined ? '' : `/${name}`}${namespace === undefined ? '' : ` in ${namespace}`}`
}
