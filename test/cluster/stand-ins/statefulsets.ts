import { createHash } from 'node:crypto'
import { isFailure } from '../client/failures.ts'
import type { KubernetesObject, OwnerReference } from '../client/objects.ts'
import { isReady } from './databases.ts'
import { indexBy } from './index-by.ts'
import { createQueue } from './queue.ts'
import type { World } from './world.ts'

const fieldManager = 'statefulset-controller-stand-in'
const revisionLabel = 'controller-revision-hash'
const podNameLabel = 'statefulset.kubernetes.io/pod-name'

/** The part of a StatefulSet's status that this controller writes. */
type Status = {
  observedGeneration: number
  replicas: number
  readyReplicas: number
  availableReplicas: number
  currentReplicas: number
  updatedReplicas: number
  currentRevision: string
  updateRevision: string
  collisionCount: number
}

/**
 * A stand-in for the StatefulSet controller, for a control plane without one: pods and claims by ordinal, parallel or one
 * after the other, revisions as labels, `OnDelete` and `RollingUpdate` without partitions. It keeps no ControllerRevisions.
 */
export async function runStatefulSets(world: World): Promise<{ stop(): Promise<void> }> {
  const sets = await world.follow('StatefulSet')
  const pods = await world.follow('Pod')
  const claims = await world.follow('PersistentVolumeClaim')
  const bySet = indexBy(pods, (pod) => {
    const owner = ownerOf(pod)
    return owner && `${pod.metadata.namespace}/${owner.name}`
  })
  const refusals = createRefusals(world)
  const queue = createQueue(
    async (key, signal) => {
      const set = sets.get(key)
      if (set && set.metadata.deletionTimestamp === undefined) await reconcile(set, signal)
    },
    { name: 'statefulsets', clock: world.clock, log: world.log },
  )

  async function reconcile(set: KubernetesObject, signal: AbortSignal): Promise<void> {
    const { namespace = '', name, uid } = set.metadata
    const mine = bySet.of(`${namespace}/${name}`).filter((pod) => ownerOf(pod)?.uid === uid)
    const byOrdinal = new Map(mine.map((pod) => [ordinalOf(pod), pod]))
    const revision = revisionOf(set)
    const replicas = set.spec.replicas ?? 1
    const isParallel = set.spec.podManagementPolicy === 'Parallel'

    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      const pod = byOrdinal.get(ordinal)
      if (!pod) await createPod(set, ordinal, revision, signal)
      if (!isParallel && !(pod && isReady(pod))) break
    }
    const excess = mine.filter((pod) => ordinalOf(pod) >= replicas).sort((a, b) => ordinalOf(b) - ordinalOf(a))
    for (const pod of isParallel ? excess : excess.slice(0, 1)) await deletePod(pod, signal)
    if (set.spec.updateStrategy?.type === 'RollingUpdate' && excess.length === 0) await replaceOutdated(mine, replicas, revision, signal)
    await writeStatus(set, mine, revision, signal)
  }

  async function createPod(set: KubernetesObject, ordinal: number, revision: string, signal: AbortSignal): Promise<void> {
    const { namespace = '', name } = set.metadata
    const podName = `${name}-${ordinal}`
    const volumes: unknown[] = []
    for (const template of set.spec.volumeClaimTemplates ?? []) {
      const claimName = `${template.metadata.name}-${podName}`
      volumes.push({ name: template.metadata.name, persistentVolumeClaim: { claimName } })
      if (claims.get(`${namespace}/${claimName}`)) continue
      const { status: _, ...rest } = template
      const metadata = {
        ...template.metadata,
        name: claimName,
        namespace,
        labels: { ...template.metadata.labels, ...set.spec.selector.matchLabels },
      }
      const what = `Claim ${claimName} for Pod ${podName}`
      await refusals.told(set, what, world.create('PersistentVolumeClaim', { ...rest, metadata }, { fieldManager, signal }))
    }
    const { metadata, spec } = set.spec.template
    const made = world.create(
      'Pod',
      {
        metadata: {
          ...metadata,
          name: podName,
          namespace,
          labels: { ...metadata.labels, [revisionLabel]: revision, [podNameLabel]: podName },
          ownerReferences: [referenceTo(set)],
        },
        spec: { ...spec, hostname: podName, subdomain: set.spec.serviceName, volumes: [...volumes, ...(spec.volumes ?? [])] },
      },
      { fieldManager, signal },
    )
    await refusals.told(set, `Pod ${podName}`, made)
  }

  async function deletePod({ metadata }: KubernetesObject, signal: AbortSignal): Promise<void> {
    if (metadata.deletionTimestamp === undefined) await world.remove('Pod', metadata, { uid: metadata.uid, signal })
  }

  /** Deletes the last pod of an older revision, once all others are ready. */
  async function replaceOutdated(mine: KubernetesObject[], replicas: number, revision: string, signal: AbortSignal): Promise<void> {
    const [last] = mine.filter(({ metadata }) => metadata.labels?.[revisionLabel] !== revision).sort((a, b) => ordinalOf(b) - ordinalOf(a))
    if (last && mine.length === replicas && mine.every((pod) => pod === last || isReady(pod))) await deletePod(last, signal)
  }

  async function writeStatus(set: KubernetesObject, mine: KubernetesObject[], revision: string, signal: AbortSignal): Promise<void> {
    const living = mine.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    const withRevision = (wanted: string) => living.filter(({ metadata }) => metadata.labels?.[revisionLabel] === wanted).length
    const known: string = set.status?.currentRevision ?? revision
    // With OnDelete, the current revision never advances, as in the real controller.
    const isThrough = set.spec.updateStrategy?.type === 'RollingUpdate' && withRevision(revision) === mine.length
    const current = isThrough ? revision : known
    const ready = living.filter(isReady).length
    const status: Status = {
      observedGeneration: set.metadata.generation ?? 1,
      replicas: mine.length,
      readyReplicas: ready,
      availableReplicas: ready,
      currentReplicas: withRevision(current),
      updatedReplicas: withRevision(revision),
      currentRevision: current,
      updateRevision: revision,
      collisionCount: 0,
    }
    const stands = Object.entries(status).every(([field, value]) => (set.status?.[field] ?? (value === 0 ? 0 : undefined)) === value)
    if (!stands) await world.patch('StatefulSet', set.metadata, { status }, { fieldManager, subresource: 'status', signal })
  }

  const endings = [
    sets.subscribe(({ type, key }) => {
      if (type !== 'removed') queue.add(key)
    }),
    pods.subscribe(({ object }) => {
      const owner = ownerOf(object)
      if (owner) queue.add(`${object.metadata.namespace}/${owner.name}`)
    }),
  ]
  for (const { metadata } of sets.values()) queue.add(`${metadata.namespace}/${metadata.name}`)
  return {
    async stop() {
      for (const end of endings) end()
      await queue.stop()
      bySet.stop()
    },
  }
}

/** Posts the event of the real controller when the API server refuses a pod or its claim, once for each reason. */
function createRefusals(world: World) {
  const posted = new Map<string, string>()

  function post({ apiVersion, kind, metadata: { namespace, name, uid } }: KubernetesObject, what: string, why: string): void {
    const place = `${namespace}/${name}/${what}`
    if (posted.get(place) === why) return
    posted.set(place, why)
    const now = new Date(world.clock.now()).toISOString().replace(/\.\d+/, '')
    const event = {
      metadata: { generateName: `${name}.`, namespace } as KubernetesObject['metadata'],
      type: 'Warning',
      reason: 'FailedCreate',
      message: `create ${what} in StatefulSet ${name} failed error: ${why}`,
      source: { component: 'statefulset-controller' },
      involvedObject: { apiVersion, kind, name, namespace, uid },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    }
    world.create('Event', event, { fieldManager }).catch((error: unknown) => world.log.debug({ err: error }, 'event not posted'))
  }

  return {
    /** @throws what the creation throws, so that it is tried again */
    async told(set: KubernetesObject, what: string, made: Promise<unknown>): Promise<void> {
      try {
        await made
      } catch (error) {
        if (isFailure(error, 'refused')) post(set, what, error.message.slice(error.message.indexOf(': ') + 2))
        throw error
      }
    },
  }
}

function ownerOf({ metadata }: KubernetesObject): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ kind, controller }) => kind === 'StatefulSet' && controller)
}

function referenceTo({ apiVersion, kind, metadata }: KubernetesObject): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true, blockOwnerDeletion: true }
}

const ordinalOf = ({ metadata }: KubernetesObject): number => Number(metadata.name.slice(metadata.name.lastIndexOf('-') + 1))

const revisions = new WeakMap<object, string>()

/** The name of the template's revision. It depends only on the template: an earlier template gets its earlier name back. */
function revisionOf(set: KubernetesObject): string {
  const { template } = set.spec
  let revision = revisions.get(template)
  if (revision === undefined) {
    const hash = createHash('md5').update(JSON.stringify(template)).digest('hex').slice(0, 10)
    revision = `${set.metadata.name}-${hash}`
    revisions.set(template, revision)
  }
  return revision
}
