import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Cure } from '../../resources/cure.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { type Evidence, type Finding, gather } from './evidence.ts'

type Terminated = { exitCode: number; reason?: string; message?: string }
type ContainerStatus = {
  name: string
  image?: string
  ready?: boolean
  restartCount?: number
  state?: { waiting?: { reason?: string; message?: string }; terminated?: Terminated; running?: object }
  lastState?: { terminated?: Terminated }
}

const pullFailures = [
  'ErrImagePull',
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'RegistryUnavailable',
  'ImageInspectError',
]
const configFailures = ['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError']

export function imageNotPulled({ pods }: Pick<Evidence, 'pods'>): Obstacle[] {
  return gather(
    'ImageNotPulled',
    pods.flatMap((pod) =>
      containers(pod).flatMap(({ name, image, state }): Finding[] => {
        const { reason = '' } = state?.waiting ?? {}
        if (!pullFailures.includes(reason)) return []
        // The kubelet alternates between two reasons, and only one comes with the registry's message. One text for both does not flicker.
        return [
          {
            object: pod,
            message: `The image ${image || specifiedImage(pod, name)} cannot be pulled (${reason.replace('ImagePullBackOff', 'ErrImagePull')}).`,
            cures: [cures.ImageNotPulled.describe(namesOf(pod))],
          },
        ]
      }),
    ),
  )
}

/** The kubelet cannot create a container. A missing Secret has a rule of its own. */
export function containerConfigError({ pods, missingSecrets }: Pick<Evidence, 'pods' | 'missingSecrets'>): Obstacle[] {
  return gather(
    'ContainerConfigError',
    pods.flatMap((pod) =>
      containers(pod).flatMap(({ name, state }): Finding[] => {
        const { reason = '', message } = state?.waiting ?? {}
        if (!configFailures.includes(reason)) return []
        if (missingSecrets.some((secret) => message?.includes(`secret "${secret.name}" not found`))) return []
        return [
          {
            object: pod,
            message: `Container ${name} cannot be created: ${message ?? reason}`,
            cures: [cures.ContainerConfigError.describe(namesOf(pod))],
          },
        ]
      }),
    ),
  )
}

/** A failing init container, without which its pod does not start. */
export function initContainerFailing({ pods }: Evidence): Obstacle[] {
  return gather(
    'InitContainerFailing',
    pods.flatMap((pod) =>
      (pod.status?.initContainerStatuses ?? []).flatMap((status: ContainerStatus): Finding[] => {
        const failure = failureOf(status)
        if (!failure) return []
        const { mirror, log } = cures.InitContainerFailing
        const fetchesFromInternet = status.name === 'fetch-jmx-exporter'
        return [
          {
            object: pod,
            message: `Init container ${status.name} fails: ${failure}.${fetchesFromInternet ? ' It downloads the JMX exporter from Maven Central (repo1.maven.org) at each start.' : ''}`,
            cures: [(fetchesFromInternet ? mirror : log)({ ...namesOf(pod), container: status.name })],
          },
        ]
      }),
    ),
  )
}

export function podCrashLooping({ pods }: Pick<Evidence, 'pods'>): Obstacle[] {
  return gather(
    'PodCrashLooping',
    pods.flatMap((pod) =>
      (pod.status?.containerStatuses ?? []).flatMap((status: ContainerStatus): Finding[] => {
        const failure = failureOf(status)
        if (!failure) return []
        return [
          {
            object: pod,
            message: `Container ${status.name} does not stay up: ${failure}.`,
            cures: [cureOfCrash(pod, status, failure)],
          },
        ]
      }),
    ),
  )
}

function cureOfCrash(pod: KubernetesObject, { name: container, state, lastState }: ContainerStatus, failure: string): Cure {
  const { memory, log, previous } = cures.PodCrashLooping
  if (failure.startsWith('out of memory')) return memory(namesOf(pod))
  // The kubelet returns the log of the container that ended last, unless another one is running.
  const runsAgain = state?.running !== undefined && lastState?.terminated !== undefined
  return (runsAgain ? previous : log)({ ...namesOf(pod), container })
}

function namesOf({ metadata: { namespace = '', name } }: KubernetesObject) {
  return { namespace, pod: name }
}

/** After this many restarts, a container that is not ready counts as failing even while it runs. */
const restartsThatTell = 3

function failureOf({ state, lastState, restartCount = 0, ready }: ContainerStatus): string | undefined {
  const failing =
    state?.waiting?.reason === 'CrashLoopBackOff' ||
    (state?.terminated !== undefined && state.terminated.exitCode !== 0) ||
    (state?.running !== undefined && !ready && restartCount >= restartsThatTell)
  if (!failing) return undefined
  const terminated = state?.terminated ?? lastState?.terminated
  if (!terminated) return 'it ends repeatedly'
  if (terminated.reason === 'OOMKilled') return 'out of memory (OOMKilled)'
  const message = terminated.message?.trim().split('\n').at(-1)
  return `exit code ${terminated.exitCode}${message ? `, ${message.slice(0, 200)}` : ''}`
}

function containers({ status }: KubernetesObject): ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
}

function specifiedImage({ spec }: KubernetesObject, name: string): string {
  const all: { name: string; image: string }[] = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
  return all.find((container) => container.name === name)?.image ?? 'of the pod'
}
