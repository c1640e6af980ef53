import type { KubernetesObject } from '../client/objects.ts'

/** Why a container does not run, as in its status. */
export type Waiting = { reason: string; message?: string }

/** A kubelet's findings when it tries to run a pod. */
export type Finding = {
  /** By container name; all other containers run. */
  waiting: Map<string, Waiting>
  /** Volumes cannot be mounted yet, so nothing starts. */
  mounting: boolean
  neverReady: boolean
}

/** The part of a container's status that a kubelet uses. */
export type ContainerStatus = { name: string; ready: boolean; containerID?: string; state?: { waiting?: Waiting } }

type Container = { name: string; image: string }

const seconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+/, '')

/** The status of a pod on a node that has tried to run it. */
export function podStatus(
  pod: KubernetesObject,
  finding: Finding,
  { now, podIp, hostIp }: { now: number; podIp: string; hostIp: string },
): Record<string, unknown> {
  const init: Container[] = pod.spec.initContainers ?? []
  const main: Container[] = pod.spec.containers
  const isHeldUp = finding.mounting || init.some(({ name }) => finding.waiting.has(name))
  const runs = ({ name }: Container) => !isHeldUp && !finding.waiting.has(name)
  const isReady = main.every(runs) && !finding.neverReady
  const time = seconds(now)
  const condition = (type: string, met: boolean, reason?: string) => ({
    type,
    status: met ? 'True' : 'False',
    lastProbeTime: null,
    lastTransitionTime: previousTransition(pod, type, met) ?? time,
    ...(!met &&
      reason && {
        reason,
        message: `containers with ${reason === 'ContainersNotReady' ? 'unready' : 'incomplete'} status: [${main
          .filter((each) => !runs(each) || finding.neverReady)
          .map(({ name }) => name)
          .join(' ')}]`,
      }),
  })
  const containerStatus = (container: Container, done: boolean) => {
    const { name, image } = container
    const started = done || runs(container)
    const waiting = finding.waiting.get(name) ?? { reason: isHeldUp ? 'PodInitializing' : 'ContainerCreating' }
    const running = { running: { startedAt: time } }
    const terminated = { terminated: { exitCode: 0, reason: 'Completed', startedAt: time, finishedAt: time } }
    return {
      name,
      image,
      imageID: started ? `${image.split(':')[0]}@sha256:${'0'.repeat(64)}` : '',
      ...(started && { containerID: `containerd://${pod.metadata.uid}-${name}` }),
      ready: done || (started && !finding.neverReady),
      restartCount: 0,
      started,
      state: done ? terminated : started ? running : { waiting },
      lastState: {},
    }
  }
  return {
    phase: main.every(runs) ? 'Running' : 'Pending',
    conditions: [
      condition('Initialized', !isHeldUp, 'ContainersNotInitialized'),
      condition('Ready', isReady, 'ContainersNotReady'),
      condition('ContainersReady', isReady, 'ContainersNotReady'),
      condition('PodScheduled', true),
    ],
    hostIP: hostIp,
    ...(isHeldUp ? {} : { podIP: podIp, podIPs: [{ ip: podIp }] }),
    startTime: pod.status?.startTime ?? time,
    ...(init.length > 0 && { initContainerStatuses: init.map((each) => containerStatus(each, !isHeldUp)) }),
    containerStatuses: main.map((each) => containerStatus(each, false)),
  }
}

function previousTransition(pod: KubernetesObject, type: string, met: boolean): string | undefined {
  const known = (pod.status?.conditions ?? []).find((each: { type: string; status: string }) => each.type === type)
  return known?.status === (met ? 'True' : 'False') ? known.lastTransitionTime : undefined
}

/** The Secrets of a pod, and the containers that cannot be created without them; those of volumes block the whole pod. */
export function secretsOf(pod: KubernetesObject): { name: string; key?: string; container?: string }[] {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers]
  return [
    ...containers.flatMap(({ name: container, env = [], envFrom = [] }) => [
      ...env
        .map(({ valueFrom }: Json) => valueFrom?.secretKeyRef)
        .filter((ref: Json) => ref && !ref.optional)
        .map(({ name, key }: Json) => ({ name, key, container })),
      ...envFrom
        .map(({ secretRef }: Json) => secretRef)
        .filter((ref: Json) => ref && !ref.optional)
        .map(({ name }: Json) => ({ name, container })),
    ]),
    ...(pod.spec.volumes ?? [])
      .map(({ secret }: Json) => secret)
      .filter((secret: Json) => secret && !secret.optional)
      .map(({ secretName }: Json) => ({ name: secretName })),
  ]
}

// biome-ignore lint/suspicious/noExplicitAny: parts of a pod's spec
type Json = any
