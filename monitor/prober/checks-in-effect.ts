import type { Part } from '../../shared/lifecycle.ts'
import { mergeChecks } from '../region/discovered-checks.ts'
import type { Check, Prober } from './check.ts'

/** A source of checks. */
export type CheckSource = {
  checks(): readonly Check[]
  /** Calls the listener when the checks have changed. @returns a function that ends the subscription */
  subscribe(listener: () => void): () => void
}

/**
 * Gives the prober the checks that this monitor runs: those of the file, and those discovered in the cluster. A check of the file takes
 * precedence over a discovered one.
 *
 * Only the replica that is connected to the broker hears the watched edge nodes and runs their checks. Any other would call them all dead.
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
  /** Whether this replica listens to watched nodes, and a subscription to changes of that. */
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
