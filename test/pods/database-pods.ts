import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { databaseKey, type World } from '../cluster/index.ts'

const fieldManager = 'database-stand-in'

/**
 * CrateDB is not available here: pods of databases count as running and ready as soon as they are there. No node takes them, since no volume
 * is ever bound. Returns what ends that.
 */
export async function showDatabasesReady(world: World): Promise<() => void> {
  const pods = await world.follow('Pod')
  async function show(pod: KubernetesObject): Promise<void> {
    const { metadata, status } = pod
    if (metadata.deletionTimestamp !== undefined || status?.phase === 'Running') return
    const conditions = ['Ready', 'ContainersReady', 'Initialized'].map((type) => ({ type, status: 'True' }))
    const { name, namespace } = metadata
    await world.patch('Pod', { name, namespace }, { status: { phase: 'Running', conditions } }, { fieldManager, subresource: 'status' })
  }
  return pods.subscribe(({ type, object }) => {
    if (type === 'removed' || databaseKey(object) === undefined) return
    show(object).catch((error: unknown) => world.log.debug({ err: error }, 'pod of a database not shown'))
  })
}
