import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { type Family, family } from '../../shared/prometheus.ts'
import { type HostSource, hostSources } from './host-sources.ts'

/** A reading that takes longer has failed, and its series are gone until one succeeds. */
const patienceMs = 5_000

/**
 * Reads the sources in sequence, over and over. A source that fails or hangs loses its own series and no others; while it hangs, it is
 * not read again.
 */
export function createHostMetrics(
  { enabled, interval }: { enabled: boolean; interval: number },
  { clock, log, sources = hostSources }: { clock: Clock; log: Log; sources?: readonly HostSource[] },
) {
  const stopping = new AbortController()
  const { signal } = stopping
  const known = new Map<string, readonly Family[]>()
  const failing = new Set<string>()
  const absent = new Set<string>()
  const hanging = new Set<string>()
  let running: Promise<void> | undefined

  async function read({ name, read }: HostSource): Promise<void> {
    const patience = new AbortController()
    const reading = (async () => read())()
    try {
      const late = clock.sleep(patienceMs, AbortSignal.any([patience.signal, signal])).then(() => {
        throw new Error(`not read within ${patienceMs} ms`)
      })
      const found = await Promise.race([reading, late])
      if (found === undefined) absent.add(name)
      else known.set(name, found)
      if (failing.delete(name)) log.info({ source: name }, 'host metrics are read again')
    } catch (error) {
      known.delete(name)
      if (signal.aborted) return
      if (!failing.has(name)) log.warn({ source: name, err: error }, 'host metrics cannot be read')
      failing.add(name)
      hanging.add(name)
      void reading.catch(() => {}).finally(() => hanging.delete(name))
    } finally {
      patience.abort()
    }
  }

  async function run(): Promise<void> {
    for (let round = 0; !signal.aborted; round++) {
      for (const source of sources) {
        if (signal.aborted) return
        if (round % source.every === 0 && !absent.has(source.name) && !hanging.has(source.name)) await read(source)
      }
      await clock.sleep(interval, signal).catch(() => {})
    }
  }

  return {
    /** The last readings, from memory. Empty until something was read. */
    families(): Family[] {
      if (running === undefined) return []
      const states = sources.filter(({ name }) => !absent.has(name) && (known.has(name) || failing.has(name)))
      return [
        ...[...known.values()].flat(),
        family(
          'gauge',
          'skerry_host_source_up',
          '1 if the last reading of the source succeeded, 0 if it failed and its series are missing.',
          states.map(({ name }) => [{ source: name }, known.has(name) ? 1 : 0]),
        ),
      ]
    },
    /** Begins to read in the background. */
    start(): void {
      if (enabled) running ??= run()
    },
    async stop(): Promise<void> {
      stopping.abort(new Error('the monitor stops'))
      await running
    },
  }
}
