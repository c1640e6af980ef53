import { backoff } from '../../shared/clock.ts'
import { isProblem } from '../../shared/errors.ts'
import { Cache, type CacheConfig, type Cached, type CacheTools } from '../../shared/kubernetes/cache.ts'
import { pathOf } from '../../shared/kubernetes/objects.ts'

/** How often to look whether the kind has been installed, or removed if its watch is broken, in milliseconds. */
const usualLookMs = 10_000
const pauses = { baseMs: 500, capMs: 10_000 }

/**
 * A watch cache of a kind that may not be installed. Its `start` resolves when the cache is synced or the kind is known to be absent. A CRD
 * that is installed later is noticed within ten seconds.
 */
export class OptionalCache<T extends Cached> extends Cache<T> {
  /** The API server does not serve the kind, so an empty cache is correct. */
  absent = false
  readonly #config: CacheConfig<T> & { lookMs?: number | undefined }
  readonly #tools: CacheTools
  readonly #ending = new AbortController()
  #following: Promise<void> | undefined
  #running: Promise<void> | undefined

  constructor(config: CacheConfig<T> & { lookMs?: number | undefined }, tools: CacheTools) {
    super(config, tools)
    this.#config = config
    this.#tools = tools
  }

  override start(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      this.#running = this.#run(this.#ending.signal, resolve)
    })
  }

  override async stop(_deadline?: number): Promise<void> {
    this.#ending.abort(new Error('stopping'))
    await this.#running
    if (this.#following !== undefined) await super.stop()
  }

  /** Looks until the kind is served, follows it, and looks again whether it is served whenever the watch is broken. */
  async #run(signal: AbortSignal, known: () => void): Promise<void> {
    const { clock, log } = this.#tools
    const { kind, lookMs = usualLookMs } = this.#config
    let failures = 0
    while (!signal.aborted) {
      try {
        if (this.#following === undefined || this.trouble !== undefined) this.#note(!(await this.#isServed(signal)))
        failures = 0
        if (this.#following === undefined) this.fault = undefined
        if (this.absent) known()
        else this.#following ??= super.start(signal).then(known, () => {})
      } catch (error) {
        if (signal.aborted) return
        if (this.#following === undefined) this.fault = error
        if (failures++ === 0) log.warn({ kind: kind.kind, err: error }, 'kind cannot be looked up, trying again')
      }
      await clock.sleep(failures === 0 ? lookMs : 1 + backoff(pauses, failures, Math.random()), signal).catch(() => {})
    }
  }

  /** @throws Problem when the answer is unknown */
  async #isServed(signal: AbortSignal): Promise<boolean> {
    const { kind, namespace, fieldSelector } = this.#config
    try {
      await this.#tools.cluster.request({ method: 'GET', path: pathOf(kind, namespace), query: { limit: 1, fieldSelector }, signal })
      return true
    } catch (error) {
      if (isProblem(error, 'not-served')) return false
      throw error
    }
  }

  #note(absent: boolean): void {
    const { kind } = this.#config.kind
    if (this.absent !== absent) this.#tools.log.info({ kind }, absent ? 'kind is not installed' : 'kind is installed')
    this.absent = absent
  }
}
