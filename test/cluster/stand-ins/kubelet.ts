import { type KubernetesObject, keyOf } from '../client/objects.ts'
import { unmanagedPod } from './crate-operator/deployment.ts'
import { Findings, type PodFaults } from './findings.ts'
import { runHeartbeats } from './heartbeats.ts'
import { trackLoads } from './loads.ts'
import { setNodeReady } from './nodes.ts'
import { type ContainerStatus, type Finding, podStatus } from './pod-status.ts'
import { createQueue } from './queue.ts'
import { runScheduler } from './scheduler.ts'
import type { World } from './world.ts'

const fieldManager = 'kubelet-stand-in'

/** How fast pods become ready. */
export type KubeletOptions = {
  /** From the start of a pod's containers until they are ready, in milliseconds. */
  readyMs?: number
  /** Between two renewals of the Lease of a node, in milliseconds; kubelets take 10 s. Preflight waits for one of each node. */
  renewMs?: number
  /** What the registry says of an image that it does not have; undefined for one that it has. By default, it has all. */
  missingImage?: (image: string) => string | undefined
}

/** The kubelets of all nodes, and their faults. */
export type KubeletStandIn = {
  /** @param pod `name`, `namespace/name`, or either with a `*` at its end as a prefix */
  setFaults(pod: string, faults: PodFaults): void
  /** Clears the faults of one name, or all faults. */
  clearFaults(pod?: string): void
  /** Makes an image impossible to pull, with the registry's message; undefined makes it possible again. Running pods keep running. */
  breakImage(image: string, message: string | undefined): void
  /** Silences a node or brings it back. A silent node is NotReady, and no pod on it starts or ends. */
  setNode(name: string, ready: boolean): Promise<void>
  stop(): Promise<void>
}

/**
 * Plays the scheduler and the kubelets of all nodes: binds pods to nodes that they fit on, reports them as running and ready, and ends
 * those that are deleted. Nothing runs.
 */
export async function runKubelet(
  world: World,
  { readyMs = 0, renewMs = 1_000, missingImage = () => undefined }: KubeletOptions = {},
): Promise<KubeletStandIn> {
  const [pods, nodes, secrets] = await Promise.all([world.follow('Pod'), world.follow('Node'), world.follow('Secret')])
  const silent = new Set<string>()
  const findings = new Findings({ secrets, clock: world.clock, readyMs, missingImage, lookAfter: (key, ms) => queue.addAfter(key, ms) })
  let addresses = 0
  const loads = trackLoads(pods)
  const scheduler = await runScheduler(world, loads, ({ metadata }) => !silent.has(metadata.name))

  const queue = createQueue(
    async (key, signal) => {
      const pod = pods.get(key)
      if (!pod?.spec.nodeName || silent.has(pod.spec.nodeName) || isUnmanaged(pod)) return
      if (pod.metadata.deletionTimestamp === undefined) return runPod(key, pod, signal)
      if (!findings.faultsOf(pod).neverGone) await world.remove('Pod', pod.metadata, { uid: pod.metadata.uid, graceSeconds: 0, signal })
    },
    { name: 'kubelet', clock: world.clock, log: world.log },
  )

  async function runPod(key: string, pod: KubernetesObject, signal: AbortSignal): Promise<void> {
    if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return
    const finding = findings.look(key, pod)
    if (signatureOf(pod) === signatureFound(pod, finding)) return
    const node = nodes.get(pod.spec.nodeName)
    const hostIp = node?.status?.addresses?.find(({ type }: { type: string }) => type === 'InternalIP')?.address ?? ''
    const podIp = pod.status?.podIP ?? nextAddress()
    const status = podStatus(pod, finding, { now: world.clock.now(), podIp, hostIp })
    await world.patch('Pod', pod.metadata, { status }, { fieldManager, subresource: 'status', signal })
  }

  function nextAddress(): string {
    addresses++
    return `10.244.${(addresses >> 8) & 255}.${addresses & 255}`
  }

  const lookAtAll = () => {
    for (const { metadata } of pods.values()) queue.add(keyOf(metadata))
  }

  const endings = [
    pods.subscribe(({ type, key, object }) => {
      if (type === 'removed') findings.forget(key, object)
      else if (object.spec.nodeName) queue.add(key)
    }),
    secrets.subscribe(({ object }) => {
      for (const key of findings.lackingIn(object.metadata.namespace)) queue.add(key)
    }),
  ]
  lookAtAll()
  const heartbeats = runHeartbeats(world, nodes, { isSilent: (name) => silent.has(name), renewMs })

  return {
    setFaults(pod, given) {
      findings.setFaults(pod, given)
      lookAtAll()
    },
    clearFaults(pod) {
      findings.clearFaults(pod)
      lookAtAll()
    },
    breakImage(image, message) {
      findings.breakImage(image, message)
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
      for (const end of endings) end()
      await heartbeats.stop()
      await scheduler.stop()
      await queue.stop()
      loads.stop()
    },
  }

  /** Does to the pods of a silent node what the node controller does. */
  async function markNotReady(key: string): Promise<void> {
    const pod = pods.get(key)
    if (!pod?.status?.conditions) return
    const conditions = pod.status.conditions.map((each: { type: string }) => (each.type === 'Ready' ? { ...each, status: 'False' } : each))
    await world.patch('Pod', pod.metadata, { status: { conditions } }, { fieldManager, subresource: 'status' })
  }
}

function isUnmanaged({ metadata }: KubernetesObject): boolean {
  return Object.entries(unmanagedPod).every(([name, value]) => metadata.annotations?.[name] === value)
}

/** The parts of a status that can change between two looks, as text. */
function signatureOf({ status }: KubernetesObject): string {
  const all: ContainerStatus[] = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
  const ready = (status?.conditions ?? []).find(({ type }: { type: string }) => type === 'Ready')?.status === 'True'
  return [ready, ...all.map(({ name, state }) => `${name} ${state?.waiting?.reason ?? ''} ${state?.waiting?.message ?? ''}`)].join('|')
}

function signatureFound(pod: KubernetesObject, finding: Finding): string {
  return signatureOf({ ...pod, status: podStatus(pod, finding, { now: 0, podIp: '', hostIp: '' }) })
}
