import { type Call, Refusal } from './handling.ts'
import { keyOfDatabase, type Operator } from './operator.ts'
import { reach } from './pauses.ts'
import { imageOf, nodeGroups } from './stateful-set.ts'
import { type SubHandler, schedule } from './sub-handlers.ts'

/** The oldest Lucene version whose segments each major version reads. The operator knows no others. */
const luceneMinimum: Record<number, string> = { 5: '7.%', 6: '8.%', 7: '9.%' }

/** Refuses upgrades that would lose data. Downgrades and skipped major versions are not refused. */
export function beforeUpgrade(operator: Operator): SubHandler {
  return {
    id: 'before_upgrade',
    className: 'BeforeUpgradeSubHandler',
    async work({ object, old }) {
      const [from, to] = [majorOf(old?.spec.cluster.version), majorOf(object.spec.cluster.version)]
      if (to <= from) return
      if (luceneMinimum[to] === undefined) throw new Refusal(`No Lucene version mapping found for target CrateDB ${to}. `)
      reach(operator, object)
    },
  }
}

function majorOf(version: string): number {
  const major = /^(\d+)\./.exec(version)?.[1]
  if (major === undefined) throw new Refusal(`Invalid CrateDB version: ${version}`)
  return Number(major)
}

/** Sets the new image in all StatefulSets. */
export function upgrade(operator: Operator): SubHandler {
  return {
    id: 'upgrade',
    className: 'UpgradeSubHandler',
    async work(call) {
      const { object, signal } = call
      operator.webhooks.send(keyOfDatabase(object), { event: 'upgrade', status: 'in_progress', payload: payloadOf(call) })
      const image = imageOf(object.spec.cluster)
      for (const { setName } of nodeGroups(object.metadata.name, object.spec.nodes)) {
        const set = operator.get('StatefulSet', object.metadata.namespace ?? '', setName)
        if (!set) continue
        const { containers, initContainers } = set.spec.template.spec
        // biome-ignore lint/suspicious/noExplicitAny: a container
        const withImage = (names: string[]) => (each: any) => (names.includes(each.name) ? { ...each, image } : each)
        const template = {
          spec: { containers: containers.map(withImage(['crate'])), initContainers: initContainers.map(withImage(['mkdir-heapdump'])) },
        }
        await operator.patch('StatefulSet', set, { spec: { template } }, signal)
      }
    },
  }
}

/** Sets the JWT of users again. It exists only with Grand Central. */
export function restoreJwt(): SubHandler {
  return { id: 'restore_user_jwt_auth', className: 'RestoreUserJWTAuthSubHandler', work: async () => {} }
}

export function afterUpgrade(): SubHandler {
  return {
    id: 'after_upgrade',
    className: 'AfterUpgradeSubHandler',
    async work(call, run) {
      schedule(run, { event: 'upgrade', status: 'success', payload: payloadOf(call) })
    },
  }
}

function payloadOf({ object, old }: Call): Record<string, unknown> {
  const [before, now] = [old?.spec.cluster, object.spec.cluster]
  return { old_registry: before.imageRegistry, new_registry: now.imageRegistry, old_version: before.version, new_version: now.version }
}
