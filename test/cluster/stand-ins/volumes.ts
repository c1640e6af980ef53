import { randomUUID } from 'node:crypto'
import type { Collection } from '../client/collection.ts'
import { type KubernetesObject, pathOf } from '../client/objects.ts'
import { provisioner } from './nodes.ts'
import { parseQuantity } from './quantity.ts'
import { createQueue } from './queue.ts'
import type { World } from './world.ts'

const fieldManager = 'volume-stand-in'

/** The storage, and its faults. */
export type VolumeStandIn = {
  /** Keeps claims whose name begins with the prefix (by default, all) Pending, with an Event; `false` binds them after all. */
  withhold(withheld: boolean, claimPrefix?: string): void
  /** Holds back the expansion of claims, or lets them grow. */
  holdGrowth(held: boolean): void
  isWithheld(claim: KubernetesObject): boolean
  stop(): Promise<void>
}

/**
 * Plays a storage provisioner and, on the embedded control plane, the controller that binds claims. It creates a volume for each claim,
 * unless one is reserved for it, lets claims of an expandable class grow, and deletes or keeps volumes as their reclaim policy says.
 */
export async function runVolumes(world: World): Promise<VolumeStandIn> {
  const [claims, volumes, classes] = await Promise.all([
    world.follow('PersistentVolumeClaim'),
    world.follow('PersistentVolume'),
    world.follow('StorageClass'),
  ])
  const withheld = new Set<string>()
  let growthHeld = false
  const binds = world.plane === 'embedded'
  const isWithheld = ({ metadata }: KubernetesObject) => [...withheld].some((prefix) => metadata.name.startsWith(prefix))
  const announced = new Set<string>()

  const queue = createQueue(
    async (key, signal) => {
      const claim = claims.get(key)
      if (!claim || claim.metadata.deletionTimestamp !== undefined) return
      const storageClass = classes.get(claim.spec.storageClassName ?? '')
      if (storageClass?.provisioner !== provisioner) return
      if (claim.status?.phase === 'Bound') return grow(claim, storageClass, signal)
      if (isWithheld(claim)) return announce(claim)
      await provide(claim, storageClass, signal)
    },
    { name: 'volumes', clock: world.clock, log: world.log },
  )

  async function provide(claim: KubernetesObject, storageClass: KubernetesObject, signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = claim.metadata
    const reserved = await reservedFor(claim)
    const volume = reserved ?? `pvc-${uid}`
    const capacity = { storage: claim.spec.resources.requests.storage }
    if (!volumes.get(volume)) {
      await world.create(
        'PersistentVolume',
        {
          metadata: { name: volume, annotations: { 'pv.kubernetes.io/provisioned-by': provisioner } },
          spec: {
            capacity,
            accessModes: claim.spec.accessModes,
            volumeMode: 'Filesystem',
            persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
            storageClassName: storageClass.metadata.name,
            claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
            csi: { driver: provisioner, volumeHandle: randomUUID() },
          },
        },
        { fieldManager, signal },
      )
    }
    if (!binds) return // the real controller does, using claimRef
    if (reserved) await world.patch('PersistentVolume', { name: volume }, { spec: { claimRef: { uid } } }, { fieldManager, signal })
    await world.patch('PersistentVolume', { name: volume }, { status: { phase: 'Bound' } }, { fieldManager, subresource: 'status', signal })
    await world.patch('PersistentVolumeClaim', claim.metadata, { spec: { volumeName: volume } }, { fieldManager, signal })
    const status = { phase: 'Bound', capacity, accessModes: claim.spec.accessModes }
    await world.patch('PersistentVolumeClaim', claim.metadata, { status }, { fieldManager, subresource: 'status', signal })
  }

  /** The volume that is reserved for this claim by name. It may have belonged to an earlier claim of that name. */
  async function reservedFor({ metadata, spec: claimed }: KubernetesObject): Promise<string | undefined> {
    for (const { metadata: volume, spec } of volumes.values()) {
      if (spec.claimRef?.namespace !== metadata.namespace || spec.claimRef?.name !== metadata.name) continue
      // The real controller passes over one that is too small, and an empty one is provisioned.
      if (parseQuantity(spec.capacity?.storage ?? 0) < parseQuantity(claimed.resources.requests.storage)) continue
      const path = pathOf(world.kinds.PersistentVolume, undefined, volume.name)
      const now = await world.cluster.request<KubernetesObject>({ method: 'GET', path })
      // The real controller may have written the claim's uid into the volume by now, but not yet marked the claim as bound.
      if (now.spec.claimRef !== undefined && [undefined, metadata.uid].includes(now.spec.claimRef.uid)) return volume.name
    }
    return undefined
  }

  async function grow(claim: KubernetesObject, storageClass: KubernetesObject, signal: AbortSignal): Promise<void> {
    const capacity = { storage: claim.spec.resources.requests.storage as string }
    if (growthHeld || !storageClass.allowVolumeExpansion) return
    if (parseQuantity(capacity.storage) <= parseQuantity(claim.status.capacity?.storage ?? 0)) return
    await world.patch('PersistentVolume', { name: claim.spec.volumeName }, { spec: { capacity } }, { fieldManager, signal })
    await world.patch('PersistentVolumeClaim', claim.metadata, { status: { capacity } }, { fieldManager, subresource: 'status', signal })
  }

  /** The real controller's message while it waits for a provisioner. */
  async function announce({ apiVersion, kind, metadata }: KubernetesObject): Promise<void> {
    if (world.plane === 'real' || announced.has(metadata.uid ?? '')) return
    announced.add(metadata.uid ?? '')
    const now = new Date(world.clock.now()).toISOString().replace(/\.\d+/, '')
    const event = {
      metadata: { generateName: `${metadata.name}.`, namespace: metadata.namespace } as unknown as KubernetesObject['metadata'],
      type: 'Normal',
      reason: 'ExternalProvisioning',
      message: `waiting for a volume to be created, either by external provisioner "${provisioner}" or manually created by system administrator`,
      source: { component: 'persistentvolume-controller' },
      involvedObject: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    }
    await world.create('Event', event, { fieldManager })
  }

  /** The volume of a deleted claim is released, as the real controller does. Its provisioner deletes it then, if its policy says so. */
  async function release(claim: KubernetesObject): Promise<void> {
    const volume = volumes.get(claim.spec.volumeName ?? '')
    if (!binds || volume?.spec.csi?.driver !== provisioner || volume.spec.claimRef?.uid !== claim.metadata.uid) return
    await world.patch('PersistentVolume', volume.metadata, { status: { phase: 'Released' } }, { fieldManager, subresource: 'status' })
  }

  const lookAtAll = () => {
    for (const { metadata } of claims.values()) queue.add(`${metadata.namespace}/${metadata.name}`)
  }
  const endings = [
    claims.subscribe(({ type, key, object }) => {
      if (type !== 'removed') return queue.add(key)
      release(object).catch((error: unknown) => world.log.debug({ err: error }, 'volume not released'))
    }),
    classes.subscribe(lookAtAll),
    volumes.subscribe(({ type, object }) => {
      if (type === 'removed' || object.metadata.deletionTimestamp !== undefined) return
      reclaim(world, object, claims).catch((error: unknown) => world.log.debug({ err: error }, 'volume not reclaimed'))
    }),
  ]
  lookAtAll()
  return {
    withhold(held, claimPrefix = '') {
      if (held) withheld.add(claimPrefix)
      else withheld.delete(claimPrefix)
      lookAtAll()
    },
    holdGrowth(held) {
      growthHeld = held
      lookAtAll()
    },
    isWithheld,
    async stop() {
      for (const end of endings) end()
      await queue.stop()
    },
  }
}

/**
 * What becomes of a volume that no claim uses. Reserved for a claim by name it is free for that claim; with the uid of one that is gone it is
 * released, and its provisioner deletes it if its policy says so.
 */
async function reclaim(world: World, { metadata, spec, status }: KubernetesObject, claims: Collection): Promise<void> {
  const { phase } = status ?? {}
  const { namespace, name, uid } = spec.claimRef ?? {}
  const isReserved = name !== undefined && uid === undefined
  const isReleased =
    (phase === 'Available' || phase === 'Pending') && uid !== undefined && claims.get(`${namespace}/${name}`)?.metadata.uid !== uid
  const next = isReserved ? 'Available' : isReleased ? 'Released' : phase
  if (world.plane === 'embedded' && next !== phase)
    await world.patch('PersistentVolume', metadata, { status: { phase: next } }, { fieldManager, subresource: 'status' })
  const isOurs = spec.csi?.driver === provisioner && metadata.annotations?.['pv.kubernetes.io/provisioned-by'] === provisioner
  if (phase === 'Released' && next === phase && isOurs && spec.persistentVolumeReclaimPolicy === 'Delete')
    await world.remove('PersistentVolume', metadata)
}
