import type { Clock } from '../client/clock.ts'
import type { Collection } from '../client/collection.ts'
import { type KubernetesObject, keyOf } from '../client/objects.ts'
import { type ContainerStatus, type Finding, secretsOf, type Waiting } from './pod-status.ts'

/** The faults of a pod. */
export type PodFaults = {
  /** It runs, but never becomes ready. */
  neverReady?: boolean
  /** Containers by name that wait with a reason and a message, such as `CrashLoopBackOff`. */
  waiting?: Record<string, Waiting>
  /** It never ends after its deletion. */
  neverGone?: boolean
}

type FindingTools = {
  secrets: Collection
  clock: Clock
  /** From the start of a pod's containers until they are ready, in milliseconds. */
  readyMs: number
  /** As in `KubeletOptions`. */
  missingImage(image: string): string | undefined
  /** Schedules another look at the pod with this key. */
  lookAfter(key: string, ms: number): void
}

/** A kubelet's findings when it tries to run a pod: from the cluster, and from the faults that a test sets. */
export class Findings {
  readonly #tools: FindingTools
  readonly #faults = new Map<string, PodFaults>()
  readonly #brokenImages = new Map<string, string>()
  readonly #readyAt = new Map<string, number>()
  /** The keys of pods that wait for a Secret. */
  readonly #lacking = new Set<string>()

  constructor(tools: FindingTools) {
    this.#tools = tools
  }

  /** @param pod `name`, `namespace/name`, or either with a `*` at its end */
  setFaults(pod: string, faults: PodFaults): void {
    this.#faults.set(pod, faults)
  }

  /** @param pod the name as it was set; by default, all faults */
  clearFaults(pod?: string): void {
    if (pod === undefined) this.#faults.clear()
    else this.#faults.delete(pod)
  }

  /** @param message the registry's answer; undefined makes the image available again */
  breakImage(image: string, message: string | undefined): void {
    if (message === undefined) this.#brokenImages.delete(image)
    else this.#brokenImages.set(image, message)
  }

  faultsOf({ metadata }: KubernetesObject): PodFaults {
    const key = keyOf(metadata)
    for (const [name, found] of this.#faults) {
      const isMeant = name.endsWith('*')
        ? [key, metadata.name].some((each) => each.startsWith(name.slice(0, -1)))
        : name === key || name === metadata.name
      if (isMeant) return found
    }
    return {}
  }

  /** A kubelet's current findings. Running containers are not started again. */
  look(key: string, pod: KubernetesObject): Finding {
    const { neverReady = false, waiting = {} } = this.faultsOf(pod)
    const found = new Map<string, Waiting>(Object.entries(waiting))
    let mounting = false
    this.#lacking.delete(key)
    if (!hasStarted(pod)) {
      for (const { name, image } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
        const answer = this.#brokenImages.get(image) ?? this.#tools.missingImage(image)
        if (answer !== undefined)
          found.set(name, { reason: 'ImagePullBackOff', message: `Back-off pulling image "${image}": ErrImagePull: ${answer}` })
      }
      for (const { name, key: field, container } of secretsOf(pod)) {
        const secret = this.#tools.secrets.get(`${pod.metadata.namespace}/${name}`)
        if (secret && (field === undefined || secret.data?.[field] !== undefined)) continue
        this.#lacking.add(key)
        if (container === undefined) mounting = true
        else {
          const message = secret ? `couldn't find key ${field} in Secret ${pod.metadata.namespace}/${name}` : `secret "${name}" not found`
          found.set(container, { reason: 'CreateContainerConfigError', message })
        }
      }
    }
    return { waiting: found, mounting, neverReady: neverReady || (found.size === 0 && !mounting && !this.#isDue(key, pod)) }
  }

  /** The keys of pods in a namespace that wait for a Secret. */
  lackingIn(namespace: string | undefined): string[] {
    return [...this.#lacking].filter((key) => key.startsWith(`${namespace}/`))
  }

  forget(key: string, { metadata }: KubernetesObject): void {
    this.#lacking.delete(key)
    this.#readyAt.delete(metadata.uid ?? '')
  }

  /** Whether the start-up time of a pod's containers has passed. */
  #isDue(key: string, { metadata: { uid = '' } }: KubernetesObject): boolean {
    const { readyMs, clock, lookAfter } = this.#tools
    if (readyMs === 0) return true
    const now = clock.monotonic()
    const due = this.#readyAt.get(uid) ?? now + readyMs
    this.#readyAt.set(uid, due)
    if (due > now) lookAfter(key, due - now)
    return due <= now
  }
}

function hasStarted({ status }: KubernetesObject): boolean {
  const all: ContainerStatus[] = status?.containerStatuses ?? []
  return all.length > 0 && all.every(({ containerID }) => containerID !== undefined)
}
