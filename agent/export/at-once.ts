import { isProblem, Problem } from '../../shared/errors.ts'
import type { CacheTools } from '../../shared/kubernetes/cache.ts'
import { createKubernetesVersion } from '../../shared/kubernetes/version.ts'
import { createAcceptedState } from '../operations/accepted.ts'
import { createJournal } from '../operations/journal.ts'
import { ownComponents } from '../preflight/components.ts'
import { createCaches } from '../region/caches.ts'
import { createStack } from '../region/stack.ts'
import { openTunnel } from '../tunnel/index.ts'
import type { TunnelSection } from '../tunnel/settings.ts'
import { RegionFiles, type RegionFilesParts } from './files.ts'
import { RegionMaker } from './maker.ts'

type Given = Pick<RegionFilesParts, 'namespace' | 'recipientFile' | 'key'> & {
  config: { region: { id: string; name?: string | undefined } }
  tunnel: TunnelSection | undefined
}

/** How long the parts are waited for that the file can do without, in milliseconds. */
const optionalMs = 5_000

/**
 * Reads the cluster once, calls with what makes the file of the region, and forgets everything again: for a command, which has no agent to ask.
 * @throws the reason of the signal, if the cluster was not read by then; what `use` throws
 */
export async function withRegionFiles<T>(
  { namespace, config, tunnel: section, recipientFile, key }: Given,
  tools: CacheTools,
  signal: AbortSignal,
  use: (files: RegionFiles) => Promise<T>,
): Promise<T> {
  const { cluster, clock } = tools
  const ending = new AbortController()
  const caches = createCaches({ namespace }, tools)
  const { projects, databases, operations, ledger, retained } = caches
  const tunnel = openTunnel(section, { region: config.region.id, namespace }, tools)
  const [kubernetes, stack] = [createKubernetesVersion(tools), createStack(ownComponents, tools)]
  const needed = [projects, databases, operations, ledger, ...(tunnel ? [tunnel.caches.settings] : [])]
  const journal = createJournal({ namespace }, { cluster, clock, operations, ledger })
  const started = [...needed, retained, ...stack.workloads, kubernetes]
  try {
    const starting = started.map((part) => part.start(ending.signal))
    // What may not be there is not waited for without end; it says so itself.
    const optional = Promise.all(starting.slice(needed.length)).catch(() => {})
    await unlessTroubled(Promise.all(starting.slice(0, needed.length)), needed, signal)
    await Promise.race([optional, clock.sleep(optionalMs, signal)])
    const maker = new RegionMaker({
      ...{ config, accepted: createAcceptedState({ journal, caches }), caches, journal, kubernetes, stack, tunnel, cluster, clock },
      clocks: { read: () => ({ cloud: undefined, apiServer: undefined, nodes: new Map(), steps: 0, lastStep: undefined }) },
    })
    return await use(new RegionFiles({ region: config.region.id, namespace, maker, key, recipientFile, cluster }))
  } finally {
    ending.abort(new Error('done'))
    await Promise.all(started.map((part) => part.stop(clock.monotonic())))
  }
}

/** @throws Problem why a cache cannot be read, rather than waiting for it; the reason of the signal */
async function unlessTroubled(
  reading: Promise<unknown>,
  caches: readonly { fault: unknown; onTrouble(listener: () => void): () => void }[],
  signal: AbortSignal,
): Promise<void> {
  const settled = new AbortController()
  const refused = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: settled.signal })
    for (const cache of caches) {
      const stop = cache.onTrouble(() => {
        // Anything else may pass.
        if (isProblem(cache.fault, 'cluster-forbidden', 'not-served')) reject(cache.fault)
      })
      settled.signal.addEventListener('abort', stop, { once: true })
    }
  })
  try {
    await Promise.race([reading, refused])
  } catch (error) {
    throw error instanceof DOMException && error.name === 'TimeoutError'
      ? new Problem('deadline-exceeded', 'The cluster was not read in time.')
      : error
  } finally {
    settled.abort()
  }
}
