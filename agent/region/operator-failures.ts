import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, keyOf, kinds } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import { readOperatorRun } from '../resources/cratedb-run.ts'
import type { Caches } from './caches.ts'

/**
 * Why runs of the Crate Operator failed. A CrateDB shows the reason only while other parts of the same run still work. So every change is
 * examined as it arrives, and the last reason is kept until the next run begins.
 */
export type OperatorFailures = {
  /** Why the latest run of this CrateDB failed; undefined if no reason was seen. */
  of(object: KubernetesObject): Promise<string | undefined>
}

export function createOperatorFailures({ caches, cluster }: { caches: Pick<Caches, 'databases'>; cluster: Cluster }): OperatorFailures {
  const seen = new Map<string, string>()
  const working = new Set<string>()

  caches.databases.subscribe(({ type, key, object }) => {
    if (type === 'removed') {
      seen.delete(key)
      working.delete(key)
      return
    }
    const { state, failure } = readOperatorRun(object)
    if (state === 'working' && !working.has(key)) seen.delete(key)
    if (state === 'working') working.add(key)
    else working.delete(key)
    if (failure !== undefined) seen.set(key, failure)
  })

  /** Kopf also posts the operator's log as Events. They still show the reason if the agent missed it, for instance during a restart. */
  async function fromEvents({ metadata }: KubernetesObject): Promise<string | undefined> {
    const query = { fieldSelector: `involvedObject.uid=${metadata.uid},reason=Logging`, limit: 200 }
    const events = await listObjects(cluster, kinds.Event, { namespace: metadata.namespace, query })
    const bad = events.filter(({ type }) => type === 'Error').sort((a, b) => String(a.lastTimestamp).localeCompare(String(b.lastTimestamp)))
    return bad.at(-1)?.message
  }

  return {
    async of(object) {
      return seen.get(keyOf(object.metadata)) ?? (await fromEvents(object).catch(() => undefined))
    },
  }
}
