import type { Part } from '../../shared/lifecycle.ts'
import { checkNames, mergeChecks } from '../region/discovery.ts'
import type { Check, Prober } from './check.ts'

/** Somewhere that checks come from. */
export type CheckSource = {
  checks(): readonly Check[]
  /** Calls the listener when they are others. Returns what ends that. */
  subscribe(listener: () => void): () => void
}

/**
 * Gives the prober the checks that this monitor runs: those of the file, and those found in the cluster that none of the file takes the
 * place of.
 *
 * Checks of watched edge nodes are run where nodes are heard: by the replica that is connected to the broker. Another one hears of none
 * and would call them all dead; there they are not among the checks at all.
 */
export function createChecksInEffect({
  prober,
  configured,
  discovered,
  hearsNodes,
}: {
  prober: Pick<Prober, 'set'>
  configured: CheckSource
  discovered?: CheckSource | undefined
  /** Whether this replica is the one that listens to watched nodes, and how to hear of changes of that. */
  hearsNodes: { now(): boolean; onChange(listener: () => void): () => void }
}): Part {
  const forget: (() => void)[] = []

  function settle(): void {
    const all = mergeChecks(configured.checks(), discovered?.checks() ?? [])
    prober.set(hearsNodes.now() ? all : all.filter(({ kind }) => kind !== 'sparkplug-node'))
  }

  return {
    name: 'checks',
    async start() {
      settle()
      forget.push(configured.subscribe(settle), hearsNodes.onChange(settle))
      if (discovered) forget.push(discovered.subscribe(settle))
    },
    async stop() {
      for (const end of forget.splice(0)) end()
    },
  }
}

/** Whether a check of that name may be found in the cluster, so that one of the file may depend on it though it is not there. */
export function mayBeDiscovered(name: string): boolean {
  return name === checkNames.kubernetes || /^(kubelet|database|volume|component|sparkplug-node)\/./.test(name)
}
