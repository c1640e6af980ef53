import { asProblem, isProblem } from '../../shared/errors.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { type LeaderTools, Queue } from '../operations/queue.ts'
import { scale } from './on-demand.ts'
import { configure, noteError, noteOutdated, roll, warn } from './reconcile.ts'
import type { Tunnel } from './settings.ts'
import type { TunnelCaches } from './state.ts'

const retry = { baseMs: 500, capMs: 60_000 }
/** There is only one tunnel. */
const key = 'tunnel'

/**
 * The tunnel controller: maintains cloudflared's configuration, and replaces its pods after a change.
 *
 * Whatever woke it, it looks at the whole present state. It neither starts nor stops the caches.
 */
export function createTunnelController(
  tunnel: Tunnel,
  { caches, cluster, lease, clock, log: parentLog }: LeaderTools & { caches: TunnelCaches },
): Part {
  const log = parentLog.child({ controller: 'tunnel' })
  const queue = new Queue({ name: 'tunnel controller', parallelism: 1, retry, handle, subscribe, addAll }, { lease, clock, log })
  const parts = { tunnel, caches, cluster, mustAct: queue.mustAct, clock, log }
  /** A new leader warns again. */
  let warnedOf = ''

  async function handle(): Promise<number | undefined> {
    try {
      await configure(parts)
      await noteOutdated(parts)
      await roll(parts)
      warnedOf = await warn(warnedOf, parts)
      const restsAfterMs = await scale(parts)
      await noteError(undefined, parts)
      return restsAfterMs
    } catch (error) {
      if (!queue.acts()) return undefined
      const problem = asProblem(error)
      // Another writer came first, and the cache will soon have its version.
      if (isProblem(error, 'conflict')) return 200
      await noteError(problem.detail, parts).catch((reason: unknown) => log.debug({ err: reason }, 'error not written'))
      throw error
    }
  }

  function addAll(): void {
    warnedOf = ''
    look()
  }

  function look(): void {
    queue.add(key)
  }

  function subscribe() {
    return [
      caches.settings.subscribe(look),
      caches.configuration.subscribe(look),
      caches.deployment.subscribe(look),
      caches.pods.subscribe(look),
    ]
  }

  return queue
}
