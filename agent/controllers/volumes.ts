import { isProblem } from '../../shared/errors.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { isClaimOf } from '../resources/data-claims.ts'
import { type DataVolume, dataVolumeOf, keepingPatch, keepsVolumes, meeting, volumeAnnotation } from '../resources/kept-volume.ts'
import { namespaceOf, projectOf } from '../resources/kind.ts'
import { fieldManager, label } from '../resources/labels.ts'
import { hasEnded, isDeletion, type Operation } from '../resources/operation.ts'
import { goesWithItsDatabase } from './late-volumes.ts'

const retry = { baseMs: 200, capMs: 30_000 }
/** Volumes that are handled at the same time. */
const parallelism = 4

/**
 * The volume controller: only an operation that lets volumes go can delete the data of a database. A volume of a database is `Retain` as soon
 * as it is bound, and its labels name its database.
 *
 * | the database                                  | its volume                                                             |
 * |-----------------------------------------------|------------------------------------------------------------------------|
 * | stands                                        | is kept, and set to `Retain` again if somebody changes that            |
 * | stands, with `retainVolumes: false`           | stays unchanged: only operations let volumes go                        |
 * | the same, but is protected from deletion      | is kept as long as it is                                               |
 * | is being deleted by an operation that lets go | stays as that operation left it                                        |
 * | is gone, or is deleted in any other way       | is kept, unless an operation has let it go                             |
 * | is gone, and was to take its volumes along    | goes with it, although it was bound too late: `goesWithItsDatabase`    |
 *
 * Whatever woke it, it looks at the whole present state, and decides by objects that it reads from the API server at that moment.
 */
export function createVolumeController(
  { namespace: home }: { namespace: string },
  { cluster, caches, lease, clock, log: parentLog }: LeaderTools & { caches: Pick<Caches, 'volumes' | 'databases' | 'operations'> },
): Part {
  const log = parentLog.child({ controller: 'volumes' })
  const queue = new Queue({ name: 'volume controller', parallelism, retry, handle, subscribe, addAll }, { lease, clock, log })

  async function handle(name: string): Promise<number | undefined> {
    const seen = caches.volumes.get(name)?.data
    try {
      if (seen && !isKept(seen)) await keep(name)
      return undefined
    } catch (error) {
      if (isProblem(error, 'conflict')) return 50 // an operation or the binding controller wrote at the same time
      throw error
    }
  }

  /**
   * By the caches, so that a volume that needs no change costs no request: an import reserves ten thousand, which no database has yet. Once
   * there is one, its change brings them here again.
   */
  function isKept(volume: DataVolume): boolean {
    const id = volume.marks[label.database]
    const database = id === undefined ? undefined : caches.databases.get(keyOf({ namespace: volume.claim.namespace, name: id }))
    return id !== undefined && keepingPatch(volume, id, database) === undefined
  }

  async function keep(name: string): Promise<void> {
    const path = pathOf(kinds.PersistentVolume, undefined, name)
    const present = await read(path)
    const volume = present && dataVolumeOf(present)
    if (!volume) return
    const { claim } = volume
    const served = await read(pathOf(kinds.PersistentVolumeClaim, claim.namespace, claim.name))
    const id = served?.metadata.labels?.['app.kubernetes.io/name'] ?? volume.marks[label.database]
    if (id === undefined || !isClaimOf(claim.name, id, undefined)) return // not a claim of the Crate Operator's
    const database = await read(pathOf(kinds.CrateDB, claim.namespace, id))
    const patch = mayKeep(volume, database) ? keepingPatch(volume, id, database) : undefined
    if (!patch || goesAlong(claim.namespace, id, database)) return
    queue.mustAct()
    const contentType = 'application/merge-patch+json'
    const body = meeting(present, patch)
    const kept = await unlessGone(cluster.request<KubernetesObject>({ method: 'PATCH', path, query: { fieldManager }, contentType, body }))
    if (!kept) return
    caches.volumes.put(kept)
    if (volume.policy !== 'Retain')
      log.info({ volume: name, claim: `${claim.namespace}/${claim.name}`, from: volume.policy }, 'volume kept')
  }

  /** Whether the volume is to outlive its database: no operation has let it go, and the database retains its volumes. */
  function mayKeep({ marks }: DataVolume, database: KubernetesObject | undefined): boolean {
    const by = marks[volumeAnnotation.letGo]
    if (by === undefined) return database === undefined || keepsVolumes(readDatabase(database))
    if (database === undefined || database.metadata.deletionTimestamp !== undefined) return false
    const operation = caches.operations.get(keyOf({ namespace: home, name: by }))
    return keepsVolumes(readDatabase(database)) && (operation === undefined || hasEnded(operation))
  }

  function goesAlong(namespace: string, id: string, database: KubernetesObject | undefined): boolean {
    return goesWithItsDatabase(caches.operations.values(), projectOf(namespace) ?? '', id, database !== undefined)
  }

  async function read(path: string): Promise<KubernetesObject | undefined> {
    try {
      return await cluster.request<KubernetesObject>({ method: 'GET', path })
    } catch (error) {
      if (isProblem(error, 'not-found', 'not-served')) return undefined // the CRD of databases may be deleted too
      throw error
    }
  }

  function addWhere(fits: (volume: DataVolume) => boolean): void {
    for (const { data } of caches.volumes.values()) if (data && fits(data)) queue.add(data.name)
  }

  function addOfDatabase({ metadata }: KubernetesObject): void {
    addWhere(({ claim, marks }) => claim.namespace === metadata.namespace && marks[label.database] === metadata.name)
  }

  /** A failed deletion may have let volumes go although their database still exists: also those that were bound meanwhile. */
  function addAfter(ended: Operation): void {
    const { target } = ended.spec
    if (ended.status?.phase === 'Succeeded' || !isDeletion(ended) || target.kind === 'region') return
    addWhere(({ claim }) => claim.namespace === namespaceOf(target.project))
  }

  function addAll(): void {
    addWhere(() => true)
  }

  function subscribe() {
    return [
      caches.volumes.subscribe(({ type, object: { data } }) => type !== 'removed' && data && queue.add(data.name)),
      caches.databases.subscribe(({ type, object }) => type === 'changed' && addOfDatabase(object)),
      caches.operations.subscribe(({ type, object }) => type === 'changed' && hasEnded(object) && addAfter(object)),
    ]
  }

  return queue
}
