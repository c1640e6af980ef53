import { backoff } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import { type Cache, type CacheConfig, type Cached, type CacheTools, createCache } from '../../shared/kubernetes/cache.ts'
import { pathOf } from '../../shared/kubernetes/objects.ts'

/** A cache of a kind that may not be installed. */
export type OptionalCache<T> = Cache<T> & {
  /** The API server does not serve the kind: the cache is empty, and rightly so. */
  readonly absent: boolean
}

/** How often to look whether the kind has been installed, or removed if its watch is broken, in milliseconds. */
const usualLookMs = 10_000
const pauses = { baseMs: 500, capMs: 10_000 }

/**
 * A watch cache that starts when its kind is served. Its `start` resolves when the cache is synced or the kind is known to be absent. A CRD
 * that is installed later is noticed within ten seconds.
 */
export function createOptionalCache<T extends Cached>(
  { lookMs = usualLookMs, ...config }: CacheConfig<T> & { lookMs?: number | undefined },
  tools: CacheTools,
): OptionalCache<T> {
  const { cluster, clock, log } = tools
  const { kind } = config
  const cache = createCache<T>(config, tools)
  const ending = new AbortController()
  let absent = false
  let following: Promise<void> | undefined
  let running: Promise<void> | undefined

  /** @throws Problem when the answer is unknown */
  async function isServed(signal: AbortSignal): Promise<boolean> {
    try {
      await cluster.request({ method: 'GET', path: pathOf(kind, config.namespace), query: { limit: 1 }, signal })
      return true
    } catch (error) {
      if (isProblem(error, 'not-served')) return false
      throw error
    }
  }

  function set(isAbsent: boolean): void {
    if (absent !== isAbsent) log.info({ kind: kind.kind }, isAbsent ? 'kind is not installed' : 'kind is installed')
    absent = isAbsent
  }

  /** Looks until the kind is served, follows it, and looks again whether it is served whenever the watch is broken. */
  async function run(signal: AbortSignal, known: () => void): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      try {
        if (following === undefined || cache.trouble !== undefined) set(!(await isServed(signal)))
        failures = 0
        if (absent) known()
        else if (following === undefined) following = cache.start(signal).then(known, () => {})
      } catch (error) {
        if (signal.aborted) return
        if (failures++ === 0) log.warn({ kind: kind.kind, err: error }, 'kind cannot be looked up, trying again')
      }
      await clock.sleep(failures === 0 ? lookMs : 1 + backoff(pauses, failures, Math.random()), signal).catch(() => {})
    }
  }

  return Object.create(cache, {
    absent: { get: () => absent, enumerable: true },
    start: {
      value: (signal: AbortSignal) =>
        new Promise<void>((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          running = run(ending.signal, resolve)
        }),
    },
    stop: {
      async value(deadline: number) {
        ending.abort(new Error('told to stop'))
        await running
        if (following !== undefined) await cache.stop(deadline)
      },
    },
  }) as OptionalCache<T>
}
