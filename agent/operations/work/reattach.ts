import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { compareBytes } from '../../../shared/kubernetes/quantity.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { whyNotReservable } from '../../resources/reservable.ts'
import type { RetainedDatabaseVolume } from '../../resources/retained-database.ts'
import type { WorkCluster } from './cluster.ts'
import type { Progress, WorkContext } from './context.ts'

/** A volume that is to serve a claim that does not exist yet. */
export type VolumeToReserve = RetainedDatabaseVolume & {
  /**
   * Creates the volume where the cluster does not have it, reserved by `spec.claimRef` without a uid. An existing volume is the same if it has
   * the same data, whatever its uid.
   */
  manifest?: KubernetesObject
}

type Context = Pick<WorkContext, 'cluster'>

/*
 * How Kubernetes binds a claim to a volume (pkg/controller/volume/persistentvolume: pv_controller.go, and FindMatchingVolume of
 * k8s.io/component-helpers/storage/volume):
 *
 * - A claim gets the volume whose `claimRef` has its namespace and name, and no uid, before class and size are looked at. A volume that is
 *   smaller than the claim asks for is passed over all the same, and an empty one is made.
 * - A volume that was released keeps the uid of its former claim, and no other claim ever gets it. Without uid and resourceVersion it becomes
 *   Available, for the claim of that name alone. Without the whole `claimRef` it would be for any claim, of another tenant too.
 * - A claim of a class with immediate binding is bound as soon as it exists: the volumes must be Available before the database is created.
 */

/**
 * Reserves volumes for the claims of their names, and waits until they are Available. Nothing is written if one of them cannot be reserved. It
 * may be interrupted and called again, until there is a claim.
 *
 * @returns undefined once all are reserved
 */
export async function reserveVolumes(
  { cluster, target }: Pick<WorkContext<DatabaseTarget>, 'cluster' | 'target'>,
  volumes: readonly VolumeToReserve[],
): Promise<Progress | undefined> {
  const looked = await Promise.all(volumes.map((volume) => lookAt(cluster, target, volume)))
  const faults = looked.flatMap(({ fault }) => fault ?? [])
  if (faults.length > 0) return notReserved(faults)
  const open = looked.filter(({ write, waits }) => write || waits !== undefined)
  for (const { write } of open) await write?.()
  const [first] = open
  if (!first) return undefined
  return { next: 'wait', message: first.waits ?? `${open.length} volumes are being reserved.`, recheckMs: 500 }
}

function notReserved(faults: string[]): Progress {
  return {
    next: 'failed',
    reason: 'VolumeNotReserved',
    message: `Not every volume can be had back: ${faults.join('; ')}.`,
    action: 'Mend what the message names, and repeat the request. Nothing was taken from the volumes.',
  }
}

/** Nothing of it: the volume is reserved. */
type Look = { fault?: string; waits?: string; write?: () => Promise<unknown> }

async function lookAt(cluster: WorkCluster, target: DatabaseTarget, wanted: VolumeToReserve): Promise<Look> {
  const { volume, claim } = wanted
  const ref = { kind: 'PersistentVolume' as const, name: volume }
  const [standing, claimed] = await Promise.all([cluster.read(ref), cluster.read(claimRef(claim))])
  if (claimed?.metadata.deletionTimestamp) return { waits: `The former claim ${claim} is still being deleted.` }
  if (claimed) return { fault: `the claim ${claim} of volume ${volume} exists already` }
  if (!standing) return absent(cluster, wanted)
  const fault = whyNotReservable(standing, wanted, target)
  if (fault !== undefined) return { fault }
  const { phase } = standing.status ?? {}
  const { uid, resourceVersion } = standing.spec.claimRef
  const isReserved = uid === undefined && resourceVersion === undefined
  if (isReserved) return phase === 'Available' ? {} : { waits: `Volume ${volume} is reserved, and is not Available yet.` }
  // Only what nobody uses any more: its controller may not have noticed yet that the claim is gone.
  if (phase !== 'Released' && phase !== 'Failed') return { waits: `Volume ${volume} is still ${phase ?? 'without a phase'}.` }
  const change = {
    metadata: { resourceVersion: standing.metadata.resourceVersion },
    spec: { claimRef: { uid: null, resourceVersion: null } },
  }
  return { write: () => cluster.patch(ref, change) }
}

/**
 * Takes a reservation back, so that no other database of that name gets the data: a volume that is reserved and that no claim has becomes
 * Released again, as of a claim that never was. Undone by `reserveVolumes`.
 *
 * @param uid of anything that is no claim
 */
export async function giveUpVolumes({ cluster }: Context, names: readonly string[], uid: string): Promise<void> {
  for (const name of names) {
    const ref = { kind: 'PersistentVolume' as const, name }
    const standing = await cluster.read(ref)
    const { claimRef } = standing?.spec ?? {}
    if (!standing || !claimRef || claimRef.uid !== undefined || standing.status?.phase === 'Bound') continue
    const { resourceVersion } = standing.metadata
    await cluster.patch(ref, { metadata: { resourceVersion }, spec: { claimRef: { uid } } })
  }
}

function absent(cluster: WorkCluster, { volume, claim, manifest }: VolumeToReserve): Look {
  if (!manifest) return { fault: `volume ${volume} of ${claim} no longer exists` }
  return { write: () => cluster.apply(manifest, undefined) }
}

/**
 * Whether each claim got the volume that was reserved for it. A volume that is too small, or does not fit otherwise, is passed over, and the
 * claim gets an empty one: that must not pass for the data.
 *
 * @returns undefined once every claim is bound to its volume
 */
export async function claimsAreTheirs({ cluster }: Context, volumes: readonly RetainedDatabaseVolume[]): Promise<Progress | undefined> {
  const claims = await Promise.all(volumes.map(({ claim }) => cluster.read(claimRef(claim))))
  const pairs = volumes.map((volume, index) => ({ ...volume, object: claims[index] }))
  const wrong = pairs.filter(({ object, volume }) => object?.spec.volumeName !== undefined && object.spec.volumeName !== volume)
  if (wrong.length > 0) return wrongVolumes(wrong)
  const small = pairs.filter(({ object, capacity }) => object?.status?.phase !== 'Bound' && asksForMore(object, capacity))
  if (small.length > 0) return tooSmall(small)
  const open = pairs.find(({ object }) => object?.spec.volumeName === undefined || object.status?.phase !== 'Bound')
  return open && { next: 'wait', message: `Claim ${open.claim} is not bound to its volume ${open.volume} yet.`, recheckMs: 500 }
}

type Pair = RetainedDatabaseVolume & { object: KubernetesObject | undefined }

function wrongVolumes(wrong: Pair[]): Progress {
  const told = wrong.map(({ claim, volume, object }) => `claim ${claim} got volume ${object?.spec.volumeName} instead of ${volume}`)
  return {
    next: 'failed',
    reason: 'WrongVolume',
    message: `The database runs, but not with all of its data: ${told.join('; ')}.`,
    action:
      'Write nothing to the database. Delete it again, which keeps all volumes, and take back the deleted database that has the data.',
  }
}

function tooSmall(small: Pair[]): Progress {
  const told = small.map(
    ({ claim, volume, capacity, object }) =>
      `claim ${claim} waits: volume ${volume} has ${capacity}, and ${object?.spec.resources?.requests?.storage} are asked for`,
  )
  return { next: 'failed', reason: 'VolumeTooSmall', message: `${capitalized(told.join('; '))}.` }
}

function asksForMore(object: KubernetesObject | undefined, capacity: string | undefined): boolean {
  const asked: string | undefined = object?.spec.resources?.requests?.storage
  return asked !== undefined && capacity !== undefined && (compareBytes(asked, capacity) ?? 0) > 0
}

function claimRef(claim: string) {
  const [namespace = '', name = ''] = claim.split('/')
  return { kind: 'PersistentVolumeClaim' as const, namespace, name }
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}
