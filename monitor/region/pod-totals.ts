import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { MonitorCaches } from './caches.ts'
import type { Amounts, PodView } from './views.ts'

/** What `createPodTotals` returns. */
export type PodTotals = ReturnType<typeof createPodTotals>

type Sum = Amounts & { pods: number }
type Listener = (change: { hosts: readonly string[]; databases: readonly string[] }) => void

/** Sums over all pods, updated with each change: three thousand pods are not added up because one became ready. */
export function createPodTotals(pods: Pick<MonitorCaches['pods'], 'values' | 'subscribe'>) {
  const all: Sum = { millicores: 0, memory: 0, pods: 0 }
  const none: Sum = { ...all }
  const byHost = new Map<string, Sum>()
  const readyNodes = new Map<string, number>()
  const listeners = new Set<Listener>()
  let unplaced = 0

  /** Adds or subtracts a pod. */
  function count(pod: PodView, by: 1 | -1): void {
    const { host, requested, active } = pod
    if (active && host === undefined) unplaced += by
    if (active && host !== undefined) {
      const sum = byHost.get(host) ?? { ...none }
      for (const each of [sum, all]) {
        each.millicores += by * requested.millicores
        each.memory += by * requested.memory
        each.pods += by
      }
      if (sum.pods === 0) byHost.delete(host)
      else byHost.set(host, sum)
    }
    const database = databaseOf(pod)
    if (database === undefined || !pod.ready) return
    const ready = (readyNodes.get(database) ?? 0) + by
    if (ready === 0) readyNodes.delete(database)
    else readyNodes.set(database, ready)
  }

  for (const pod of pods.values()) count(pod, 1)
  const forget = pods.subscribe(({ type, object, previous }) => {
    const before = type === 'removed' ? object : previous
    const after = type === 'removed' ? undefined : object
    if (before !== undefined && after !== undefined && isSame(before, after)) return
    if (before !== undefined) count(before, -1)
    if (after !== undefined) count(after, 1)
    const both = [before, after].filter((pod) => pod !== undefined)
    const hosts = [...new Set(both.flatMap(({ host }) => host ?? []))]
    const databases = [...new Set(both.flatMap((pod) => databaseOf(pod) ?? []))]
    for (const listener of listeners) listener({ hosts, databases })
  })

  return {
    /** The requests of all pods that are placed on a host, or on the host that is named. */
    requested: (host?: string): Readonly<Sum> => (host === undefined ? all : (byHost.get(host) ?? none)),
    /** Pods that wait for a host. */
    get unplaced(): number {
      return unplaced
    },
    /** Ready nodes of a database. */
    ready: (namespace: string, database: string): number => readyNodes.get(keyOf({ namespace, name: database })) ?? 0,
    /** Calls the listener after each change that matters. Returns the function that unsubscribes. */
    subscribe(listener: Listener): () => void {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    /** Stops following. */
    close(): void {
      forget()
      listeners.clear()
    },
  }
}

function databaseOf({ metadata, database }: PodView): string | undefined {
  return database === undefined ? undefined : keyOf({ namespace: metadata.namespace, name: database })
}

function isSame(a: PodView, b: PodView): boolean {
  return (
    a.host === b.host &&
    a.active === b.active &&
    a.ready === b.ready &&
    a.requested.millicores === b.requested.millicores &&
    a.requested.memory === b.requested.memory &&
    a.database === b.database
  )
}
