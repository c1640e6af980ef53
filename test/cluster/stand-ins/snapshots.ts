import { createHash } from 'node:crypto'
import type { KubernetesObject } from '../client/objects.ts'
import { createQueue } from './queue.ts'
import type { World } from './world.ts'

const fieldManager = 'snapshot-stand-in'
const bound = 'snapshot.storage.kubernetes.io/volumesnapshot-bound-protection'
const inGroup = 'snapshot.storage.kubernetes.io/volumesnapshot-in-group-protection'
const groupBound = 'groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-bound-protection'

/** The storage's snapshots, and their faults. */
export type SnapshotStandIn = {
  /** Leaves the snapshots of claims whose name begins so unready, or lets them become ready. */
  hold(held: boolean, claimPrefix?: string): void
  /** Has the driver fail with that message for claims whose name begins so; without one it succeeds again. */
  fail(claimPrefix: string, message?: string): void
  /** Takes nothing up, as without a snapshot controller, until it is told to. */
  ignore(ignored: boolean): void
  stop(): Promise<void>
}

/**
 * Plays the snapshot controller of external-snapshotter 8.6 with a driver that can do everything, where its CRDs are: finalizers, status, and
 * the snapshots that it makes for the members of a group, without labels and owned by the group.
 */
export async function runSnapshots(world: World): Promise<SnapshotStandIn> {
  const [snapshots, groups, claims] = await Promise.all([
    world.follow('VolumeSnapshot'),
    world.follow('VolumeGroupSnapshot'),
    world.follow('PersistentVolumeClaim'),
  ])
  const held = new Set<string>()
  const failures = new Map<string, string>()
  let ignores = false
  const now = () => new Date(world.clock.now()).toISOString().replace(/\.\d+/, '')
  const write = (subresource?: 'status') => ({ fieldManager, ...(subresource && { subresource }) })

  async function takeSnapshot(snapshot: KubernetesObject): Promise<void> {
    const { namespace, uid } = snapshot.metadata
    const claim = claims.get(`${namespace}/${snapshot.spec.source.persistentVolumeClaimName}`)
    if (claim?.status?.phase !== 'Bound' || snapshot.status?.readyToUse) return
    if (!snapshot.metadata.finalizers?.includes(bound)) {
      const finalizers = [...(snapshot.metadata.finalizers ?? []), bound]
      await world.patch('VolumeSnapshot', snapshot.metadata, { metadata: { finalizers } }, write())
    }
    const begins = (prefix: string) => claim.metadata.name.startsWith(prefix)
    const [, message] = [...failures].find(([prefix]) => begins(prefix)) ?? []
    const group = snapshot.metadata.ownerReferences?.find(({ kind }) => kind === 'VolumeGroupSnapshot')
    const status = {
      boundVolumeSnapshotContentName: `snapcontent-${uid}`,
      readyToUse: message === undefined && ![...held].some(begins),
      creationTime: now(),
      restoreSize: claim.status.capacity.storage,
      ...(group && { volumeGroupSnapshotName: group.name }),
      error: message === undefined ? null : { message, time: now() },
    }
    await world.patch('VolumeSnapshot', snapshot.metadata, { status }, write('status'))
  }

  async function takeGroup(group: KubernetesObject): Promise<void> {
    const { namespace = '', name, uid = '' } = group.metadata
    if (group.status?.readyToUse) return
    const wanted = Object.entries<string>(group.spec.source.selector.matchLabels)
    const chosen = [...claims.values()].filter(
      ({ metadata }) => metadata.namespace === namespace && wanted.every(([key, value]) => metadata.labels?.[key] === value),
    )
    if (!group.metadata.finalizers?.includes(groupBound))
      await world.patch('VolumeGroupSnapshot', group.metadata, { metadata: { finalizers: [groupBound] } }, write())
    const ownerReferences = [{ apiVersion: group.apiVersion, kind: 'VolumeGroupSnapshot', name, uid }]
    const members = chosen.map((claim) => {
      const made = `snapshot-${createHash('sha256').update(`${uid}${claim.metadata.name}`).digest('hex').slice(0, 40)}`
      return { claim, key: `${namespace}/${made}`, name: made }
    })
    for (const { claim, key, name } of members) {
      const source = { persistentVolumeClaimName: claim.metadata.name }
      const metadata = { name, namespace, finalizers: [inGroup], ownerReferences }
      if (!snapshots.get(key)) await world.create('VolumeSnapshot', { metadata, spec: { source } }, write())
    }
    const readyToUse = members.length > 0 && members.every(({ key }) => snapshots.get(key)?.status?.readyToUse)
    const status = { boundVolumeGroupSnapshotContentName: `groupsnapcontent-${uid}`, creationTime: now(), readyToUse }
    await world.patch('VolumeGroupSnapshot', group.metadata, { status }, write('status'))
  }

  const queue = createQueue(
    async (entry) => {
      const [kind, key = ''] = entry.split(' ') as ['VolumeSnapshot' | 'VolumeGroupSnapshot', string]
      const object = (kind === 'VolumeSnapshot' ? snapshots : groups).get(key)
      if (!object || ignores) return
      if (object.metadata.deletionTimestamp !== undefined) {
        if (object.metadata.finalizers?.length) await world.patch(kind, object.metadata, { metadata: { finalizers: null } }, write())
        return
      }
      await (kind === 'VolumeSnapshot' ? takeSnapshot(object) : takeGroup(object))
    },
    { name: 'snapshots', clock: world.clock, log: world.log },
  )
  const look = ({ kind, metadata }: KubernetesObject) => queue.add(`${kind} ${metadata.namespace}/${metadata.name}`)
  const lookAtAll = () => [...snapshots.values(), ...groups.values()].forEach(look)
  const ends = [
    snapshots.subscribe(({ object }) => {
      look(object)
      for (const group of groups.values()) if (object.metadata.ownerReferences?.some(({ uid }) => uid === group.metadata.uid)) look(group)
    }),
    groups.subscribe(({ object }) => look(object)),
    claims.subscribe(lookAtAll),
  ]
  lookAtAll()
  return {
    hold(isHeld, claimPrefix = '') {
      if (isHeld) held.add(claimPrefix)
      else held.delete(claimPrefix)
      lookAtAll()
    },
    fail(claimPrefix, message) {
      if (message === undefined) failures.delete(claimPrefix)
      else failures.set(claimPrefix, message)
      lookAtAll()
    },
    ignore(isIgnored) {
      ignores = isIgnored
      lookAtAll()
    },
    async stop() {
      for (const end of ends) end()
      await queue.stop()
    },
  }
}
