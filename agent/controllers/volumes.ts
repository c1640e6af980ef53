import type { Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { unlessGone } from '../../shared/kubernetes/failures.ts'
import type { Leadership } from '../../shared/kubernetes/lease.ts'
import { type Kind, type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import { createQueue } from '../../shared/queue.ts'
import type { Caches, ClaimView } from '../region/caches.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { holdsData, keepingPatch, letGoBy, meeting, type VolumeFacts, volumeAnnotation, volumeFacts } from '../resources/kept-volume.ts'
import { projectOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { hasEnded, type Operation } from '../resources/operation.ts'

export type VolumeControllerParts = {
  cluster: Cluster
  caches: Pick<Caches, 'claims' | 'volumes' | 'databases' | 'operations'>
  lease: Leadership
  clock: Clock
  log: Log
}

const retry = { baseMs: 200, capMs: 30_000 }
/** Volumes looked at at once. */
const parallelism = 4

/**
 * The volume controller: the data of a database outlives everything but an operation that was asked to let it go. From the moment a
 * claim of a database is bound its volume is `Retain`, and says whose it is.
 *
 * | the database                        | its volume                                                                      |
 * |-------------------------------------|---------------------------------------------------------------------------------|
 * | stands                              | is kept, and put right when somebody changes that                               |
 * | stands, and says `retainVolumes: false` | is as its class has it, or as it was before the database said so: operations let go, this controller never does |
 * | is being deleted by an operation that lets go | is as that operation left it                                          |
 * | is gone, or goes in any other way   | is kept, unless an operation has let it go                                      |
 *
 * It looks at the whole present state, whatever woke it, decides on what it reads from the API server at that moment, and acts only
 * while the Lease is held.
 */
export function createVolumeController(
  { namespace: home }: { namespace: string },
  { cluster, caches, lease, clock, log: parentLog }: VolumeControllerParts,
): Part {
  const log = parentLog.child({ controller: 'volumes' })
  const queue = createQueue({ name: 'volumes', parallelism, retry }, handle, { clock, log })
  const subscriptions: (() => void)[] = []
  let stopping = false
  const acts = () => lease.isLeader() && !stopping

  async function handle(key: string): Promise<number | undefined> {
    const claim = caches.claims.get(key)
    if (!acts() || !claim || !isToBeLookedAt(claim)) return undefined
    try {
      await keep(claim)
      return undefined
    } catch (error) {
      if (!acts()) return undefined // it is for the next leader to try again
      if (isProblem(error, 'conflict')) return 50 // an operation, or the binding controller, wrote at the same moment
      throw error
    }
  }

  async function keep(claim: ClaimView): Promise<void> {
    const { name, namespace = '' } = claim.metadata
    const served = { namespace, name, database: claim.database }
    const seen = caches.volumes.get(claim.volume)
    // A database that the cache has, and a volume that is as that one needs it, are worth no request.
    const known = caches.databases.get(keyOf({ namespace, name: claim.database }))
    if (seen && known && keepingPatch(seen, served, known) === undefined) return
    const database = await read(kinds.CrateDB, claim.database, namespace)
    const present = await read(kinds.PersistentVolume, claim.volume)
    if (!present || !mayKeep(volumeFacts(present), database)) return
    const patch = keepingPatch(volumeFacts(present), served, database)
    if (!patch) return caches.volumes.put(present)
    if (!acts()) throw new Problem('not-ready', 'The Lease is no longer held.')
    const contentType = 'application/merge-patch+json'
    const path = pathOf(kinds.PersistentVolume, undefined, claim.volume)
    const body = meeting(present, patch)
    const kept = await unlessGone(cluster.request<KubernetesObject>({ method: 'PATCH', path, query: { fieldManager }, contentType, body }))
    if (!kept) return
    caches.volumes.put(kept)
    const { persistentVolumeReclaimPolicy: policy } = present.spec
    if (policy !== 'Retain') log.info({ volume: claim.volume, claim: `${namespace}/${name}`, from: policy }, 'volume kept')
  }

  /** Whether nobody who may has said that the volume is not to outlive its database. */
  function mayKeep(volume: VolumeFacts, database: KubernetesObject | undefined): boolean {
    const by = letGoBy(volume)
    if (by === undefined) return database === undefined || readDatabase(database).retainVolumes
    if (database === undefined || database.metadata.deletionTimestamp !== undefined) return false
    const operation = caches.operations.get(keyOf({ namespace: home, name: by }))
    return readDatabase(database).retainVolumes && (operation === undefined || hasEnded(operation))
  }

  async function read(kind: Kind, name: string, namespace?: string): Promise<KubernetesObject | undefined> {
    try {
      return await cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kind, namespace, name) })
    } catch (error) {
      if (isProblem(error, 'not-found', 'not-served')) return undefined // the definition of databases may be deleted, too
      throw error
    }
  }

  function addClaimsOf(namespace: string | undefined, database: string): void {
    for (const claim of caches.claims.in(namespace ?? '')) if (claim.database === database) queue.add(keyOf(claim.metadata))
  }

  /** Somebody changed what a volume bears: whose it was is in what it bore before. */
  function addClaimOf({ metadata }: VolumeFacts): void {
    const from = metadata.annotations?.[volumeAnnotation.from]
    if (from !== undefined) queue.add(from)
  }

  /** A deletion that ended without the database being gone leaves volumes behind that it has let go. */
  function addClaimsAfter({ spec }: Operation): void {
    const { target } = spec
    const namespace = `project-${target.project}`
    if (target.kind === 'database') addClaimsOf(namespace, target.database)
    else for (const { metadata } of caches.claims.in(namespace)) queue.add(keyOf(metadata))
  }

  function addAll(): void {
    for (const { metadata } of caches.claims.values()) queue.add(keyOf(metadata))
  }

  return {
    name: 'volume controller',
    async start(signal) {
      subscriptions.push(
        caches.claims.subscribe(({ type, key }) => type !== 'removed' && queue.add(key)),
        caches.volumes.subscribe(({ type, object, previous = object }) => type !== 'added' && addClaimOf(previous)),
        caches.databases.subscribe(
          ({ type, object: { metadata } }) => type !== 'removed' && addClaimsOf(metadata.namespace, metadata.name),
        ),
        caches.operations.subscribe(({ type, object }) => {
          if (type === 'changed' && object.spec.action === 'delete' && hasEnded(object)) addClaimsAfter(object)
        }),
        lease.onChange((leads) => leads && addAll()),
      )
      await queue.start(signal)
      addAll()
    },
    async stop(deadline) {
      stopping = true
      for (const unsubscribe of subscriptions) unsubscribe()
      await queue.stop(deadline)
    },
  }
}

/** A bound claim with data, of a database of a project. */
function isToBeLookedAt({ metadata, volume }: ClaimView): boolean {
  return volume !== '' && holdsData(metadata.name) && projectOf(metadata.namespace ?? '') !== undefined
}
