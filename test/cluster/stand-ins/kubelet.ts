import { type KubernetesObject, keyOf } from '../client/objects.ts'
import { unmanagedPod } from './crate-operator/deployment.ts'
import { trackLoads } from './loads.ts'
import { setNodeReady } from './nodes.ts'
import { type Finding, podStatus, secretsOf, type Waiting } from './pod-status.ts'
import { createQueue } from './queue.ts'
import { runScheduler } from './scheduler.ts'
import type { World } from './world.ts'

const fieldManager = 'kubelet-stand-in'

export type KubeletOptions = {
  /** From the start of a pod's containers until they are ready, in milliseconds. */
  readyMs?: number
}

/** What goes wrong with a pod. */
export type PodFaults = {
  /** Running, but never ready. */
  neverReady?: boolean
  /** Containers by name that wait with a reason and a message, such as `CrashLoopBackOff`. */
  waiting?: Record<string, Waiting>
  /** Stays though deleted. */
  neverGone?: boolean
}

export type KubeletStandIn = {
  /** @param pod `name`, `namespace/name`, or either with a `*` at its end for all that begin so */
  setFaults(pod: string, faults: PodFaults): void
  /** Takes back what was set for one name, or everything. */
  clearFaults(pod?: string): void
  /** An image that cannot be pulled, with what the registry answers; undefined lets it be pulled again. Running pods go on. */
  breakImage(image: string, message: string | undefined): void
  /** A node falls silent or comes back: it is NotReady, and nothing on it starts or ends. */
  setNode(name: string, ready: boolean): Promise<void>
  stop(): Promise<void>
}

/**
 * A stand-in for the scheduler and for the kubelets of all nodes: binds pods to nodes they fit on, calls them running and
 * ready, ends those that are deleted. Nothing runs.
 */
export async function runKubelet(world: World, { readyMs = 0 }: KubeletOptions = {}): Promise<KubeletStandIn> {
  const [pods, nodes, secrets] = await Promise.all([world.follow('Pod'), world.follow('Node'), world.follow('Secret')])
  const faults = new Map<string, PodFaults>()
  const brokenImages = new Map<string, string>()
  const silent = new Set<string>()
  const readyAt = new Map<string, number>()
  /** Pods that wait for a Secret. */
  const lacking = new Set<string>()
  let addresses = 0
  const loads = trackLoads(pods)
  const scheduler = await runScheduler(world, loads, ({ metadata }) => !silent.has(metadata.name))

  const queue = createQueue(
    async (key, signal) => {
      const pod = pods.get(key)
      if (!pod?.spec.nodeName || silent.has(pod.spec.nodeName) || isUnmanaged(pod)) return
      if (pod.metadata.deletionTimestamp === undefined) return runPod(key, pod, signal)
      if (!faultsOf(pod).neverGone) await world.remove('Pod', pod.metadata, { uid: pod.metadata.uid, graceSeconds: 0, signal })
    },
    { name: 'kubelet', clock: world.clock, log: world.log },
  )

  async function runPod(key: string, pod: KubernetesObject, signal: AbortSignal): Promise<void> {
    if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return
    const finding = look(key, pod)
    if (signatureOf(pod) === signatureFound(pod, finding)) return
    const node = nodes.get(pod.spec.nodeName)
    const hostIp = node?.status?.addresses?.find(({ type }: { type: string }) => type === 'InternalIP')?.address ?? ''
    const podIp = pod.status?.podIP ?? nextAddress()
    const status = podStatus(pod, finding, { now: world.clock.now(), podIp, hostIp })
    await world.patch('Pod', pod.metadata, { status }, { fieldManager, subresource: 'status', signal })
  }

  /** What a kubelet would find now. Containers that run already are not started again. */
  function look(key: string, pod: KubernetesObject): Finding {
    const { neverReady = false, waiting = {} } = faultsOf(pod)
    const found = new Map<string, Waiting>(Object.entries(waiting))
    let mounting = false
    lacking.delete(key)
    if (!hasStarted(pod)) {
      for (const { name, image } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
        const answer = brokenImages.get(image)
        if (answer !== undefined)
          found.set(name, { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}": ErrImagePull: ${answer}` })
      }
      for (const { name, key: field, container } of secretsOf(pod)) {
        const secret = secrets.get(`${pod.metadata.namespace}/${name}`)
        if (secret && (field === undefined || secret.data?.[field] !== undefined)) continue
        lacking.add(key)
        if (container === undefined) mounting = true
        else {
          const message = secret ? `couldn't find key ${field} in Secret ${pod.metadata.namespace}/${name}` : `secret "${name}" not found`
          found.set(container, { reason: 'CreateContainerConfigError', message })
        }
      }
    }
    return { waiting: found, mounting, neverReady: neverReady || (found.size === 0 && !mounting && !isDue(key, pod)) }
  }

  /** Whether the time is over that a pod takes to become ready. */
  function isDue(key: string, { metadata: { uid = '' } }: KubernetesObject): boolean {
    if (readyMs === 0) return true
    const now = world.clock.monotonic()
    const due = readyAt.get(uid) ?? now + readyMs
    readyAt.set(uid, due)
    if (due > now) queue.addAfter(key, due - now)
    return due <= now
  }

  function faultsOf({ metadata }: KubernetesObject): PodFaults {
    const key = keyOf(metadata)
    for (const [name, found] of faults) {
      const isMeant = name.endsWith('*')
        ? [key, metadata.name].some((each) => each.startsWith(name.slice(0, -1)))
        : name === key || name === metadata.name
      if (isMeant) return found
    }
    return {}
  }

  function nextAddress(): string {
    addresses++
    return `10.244.${(addresses >> 8) & 255}.${addresses & 255}`
  }

  const lookAtAll = () => {
    for (const { metadata } of pods.values()) queue.add(keyOf(metadata))
  }

  /**
   * The real control plane takes a node for lost whose lease is not renewed, and until its kubelet posts a status: so after an outage of
   * the API server.
   */
  async function renewLeases(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const due = [...nodes.values()].map(({ metadata }) => metadata.name).filter((name) => !silent.has(name))
      const renewed = await Promise.allSettled(due.map((name) => renewLease(name, signal)))
      // An API server that starts refuses for a moment what it will allow.
      const failed = renewed.some(({ status }) => status === 'rejected')
      await world.clock.sleep(failed ? 1_000 : leasePauseMs, signal).catch(() => {})
    }
  }

  async function renewLease(node: string, signal: AbortSignal): Promise<void> {
    const renewTime = new Date(world.clock.now()).toISOString().replace('Z', '000Z')
    const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime }
    const named = { namespace: 'kube-node-lease', name: node }
    const renewed = await world.patch('Lease', named, { spec }, { fieldManager, signal })
    if (!renewed) await world.create('Lease', { metadata: named, spec }, { fieldManager, signal })
    const conditions: { type: string; status: string }[] = nodes.get(node)?.status?.conditions ?? []
    if (!silent.has(node) && conditions.some(({ type, status }) => type === 'Ready' && status !== 'True'))
      await setNodeReady(world, node, true)
  }

  const ending = new AbortController()
  const endings = [
    pods.subscribe(({ type, key, object }) => {
      if (type === 'removed') {
        lacking.delete(key)
        readyAt.delete(object.metadata.uid ?? '')
      } else if (object.spec.nodeName) queue.add(key)
    }),
    secrets.subscribe(({ object }) => {
      for (const key of lacking) if (key.startsWith(`${object.metadata.namespace}/`)) queue.add(key)
    }),
  ]
  lookAtAll()
  const leases = world.plane === 'real' ? renewLeases(ending.signal) : undefined

  return {
    setFaults(pod, given) {
      faults.set(pod, given)
      lookAtAll()
    },
    clearFaults(pod) {
      if (pod === undefined) faults.clear()
      else faults.delete(pod)
      lookAtAll()
    },
    breakImage(image, message) {
      if (message === undefined) brokenImages.delete(image)
      else brokenImages.set(image, message)
      lookAtAll()
    },
    async setNode(name, ready) {
      if (ready) silent.delete(name)
      else silent.add(name)
      await setNodeReady(world, name, ready)
      if (!ready && world.plane === 'embedded') await Promise.all(loads.podsOn(name).map(markNotReady))
      else for (const key of loads.podsOn(name)) queue.add(key)
    },
    async stop() {
      ending.abort()
      for (const end of endings) end()
      await leases
      await scheduler.stop()
      await queue.stop()
      loads.stop()
    },
  }

  /** As the node controller does with the pods of a silent node. */
  async function markNotReady(key: string): Promise<void> {
    const pod = pods.get(key)
    if (!pod?.status?.conditions) return
    const conditions = pod.status.conditions.map((each: { type: string }) => (each.type === 'Ready' ? { ...each, status: 'False' } : each))
    await world.patch('Pod', pod.metadata, { status: { conditions } }, { fieldManager, subresource: 'status' })
  }
}

const leasePauseMs = 5_000

function isUnmanaged({ metadata }: KubernetesObject): boolean {
  return Object.entries(unmanagedPod).every(([name, value]) => metadata.annotations?.[name] === value)
}

type ContainerStatus = { name: string; ready: boolean; containerID?: string; state?: { waiting?: Waiting } }

function hasStarted({ status }: KubernetesObject): boolean {
  const all: ContainerStatus[] = status?.containerStatuses ?? []
  return all.length > 0 && all.every(({ containerID }) => containerID !== undefined)
}

/** What of a status can differ between two looks, as a text. */
function signatureOf({ status }: KubernetesObject): string {
  const all: ContainerStatus[] = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  const ready = (status?.conditions ?? []).find(({ type }: { type: string }) => type === 'Ready')?.status === 'True'
  return [ready, ...all.map(({ name, state }) => `${name} ${state?.waiting?.reason ?? ''} ${state?.waiting?.message ?? ''}`)].join('|')
}

function signatureFound(pod: KubernetesObject, finding: Finding): string {
  return signatureOf({ ...pod, status: podStatus(pod, finding, { now: 0, podIp: '', hostIp: '' }) })
}
