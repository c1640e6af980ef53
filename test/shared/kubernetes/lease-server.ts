import type { Clock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cluster, ClusterRequest, WatchEvent } from '../../../shared/kubernetes/connection.ts'
import type { LeaseObject } from '../../../shared/kubernetes/lease-object.ts'

/** What happens to one request on its way: how long it takes there and back, and whether either way loses it. */
export type Trip = { thereMs: number; backMs: number; lost?: 'request' | 'answer' }

/** One Lease in memory, with the rules of an API server: a version that must be met, one creation only. */
export function createLeaseServer(network: Clock) {
  let stored: LeaseObject | undefined
  let version = 0
  const watchers = new Set<(event: WatchEvent | undefined) => void>()
  const tell = (type: WatchEvent['type'], object: LeaseObject) => {
    for (const watcher of watchers) watcher({ type, object: structuredClone(object) })
  }

  function serve({ method, body }: ClusterRequest): LeaseObject {
    const given = structuredClone(body) as LeaseObject
    if (method === 'POST') {
      if (stored !== undefined) throw new Problem('already-exists', 'the Lease is there')
    } else {
      if (stored === undefined) throw new Problem('not-found', 'no Lease')
      if (method === 'GET') return structuredClone(stored)
      if (given.metadata.resourceVersion !== stored.metadata.resourceVersion) throw new Problem('conflict', 'the Lease was changed')
    }
    stored = { ...given, metadata: { ...given.metadata, resourceVersion: String(++version) } }
    tell('MODIFIED', stored)
    return structuredClone(stored)
  }

  return {
    stored: () => stored,
    edit(change: (lease: LeaseObject) => void) {
      if (stored === undefined) throw new Error('no Lease')
      change(stored)
      stored.metadata.resourceVersion = String(++version)
      tell('MODIFIED', stored)
    },
    /** As an API server does every few minutes. */
    endWatches() {
      for (const watcher of watchers) watcher(undefined)
    },
    delete() {
      if (stored !== undefined) tell('DELETED', stored)
      stored = undefined
    },
    requests: [] as string[],
    /** What a watch is answered with instead of events. */
    watchFault: undefined as Problem | undefined,
    /** The connection of a process, which hears of an answer only while it is not paused: its clock decides that. */
    connect(clock: Clock, trip: () => Trip = () => ({ thereMs: 0, backMs: 0 })): Pick<Cluster, 'request' | 'watch'> {
      const { requests } = this
      const watchFault = () => this.watchFault
      return {
        // One stream: after an event that is lost, nothing comes any more.
        async *watch(_path, { resourceVersion }, signal) {
          const fault = watchFault()
          if (fault !== undefined) throw fault
          const coming: (WatchEvent | undefined)[] = []
          let wake = () => {}
          const woken = () =>
            new Promise<void>((resolve) => {
              wake = resolve
            })
          const watcher = (event: WatchEvent | undefined) => {
            coming.push(event)
            wake()
          }
          if (stored !== undefined && Number(stored.metadata.resourceVersion) > Number(resourceVersion))
            watcher({ type: 'MODIFIED', object: structuredClone(stored) })
          watchers.add(watcher)
          const ended = new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
          ended.catch(() => {})
          try {
            for (;;) {
              if (coming.length === 0) await Promise.race([ended, woken()])
              if (coming.length === 0) continue
              const event = coming.shift()
              if (event === undefined) return
              const { backMs, lost } = trip()
              if (lost === 'request') await ended
              if (lost === 'answer') throw new Problem('cluster-unreachable', 'the watch broke')
              await Promise.race([ended, network.sleep(backMs)])
              await clock.sleep(0, signal)
              yield event
            }
          } finally {
            watchers.delete(watcher)
          }
        },
        // biome-ignore lint/suspicious/noExplicitAny: as Cluster has it
        async request<T = any>(request: ClusterRequest): Promise<T> {
          const { signal, timeoutMs = 10_000, method } = request
          requests.push(method)
          const { thereMs, backMs, lost } = trip()
          const sent = structuredClone({ method, path: request.path, body: request.body })
          // The request goes its way whatever becomes of the process that sent it: it may be served after the process gave it up.
          const travelled = network.sleep(thereMs).then(async () => {
            if (lost === 'request') return new Promise<never>(() => {})
            const answer = outcomeOf(() => serve(sent))
            await network.sleep(backMs)
            if (lost === 'answer') return new Promise<never>(() => {})
            return answer
          })
          const given = new AbortController()
          const timeout = clock.sleep(timeoutMs, signal ? AbortSignal.any([signal, given.signal]) : given.signal).then(() => {
            throw new Problem('cluster-unreachable', `no answer within ${timeoutMs} ms`)
          })
          const answer = travelled.then(async (outcome) => {
            await clock.sleep(0, signal)
            return outcome
          })
          try {
            const outcome = await Promise.race([answer, timeout])
            if ('error' in outcome) throw outcome.error
            return outcome.value as T
          } finally {
            answer.catch(() => {})
            timeout.catch(() => {})
            given.abort()
          }
        },
      }
    },
  }
}

function outcomeOf<T>(act: () => T): { value: T } | { error: unknown } {
  try {
    return { value: act() }
  } catch (error) {
    return { error }
  }
}
