import { setImmediate as macrotask } from 'node:timers/promises'
import type { Clock } from '../../shared/clock.ts'

type Sleeper = { due: number; order: number; wake: () => void }

/** A clock that stands still until it is told to advance. Sleepers wake in the order in which they are due. */
export type FakeClock = Clock & {
  /** Moves time on, stopping at every sleeper on the way so that what it does next happens at its own time. */
  advance(ms: number): Promise<void>
  /** Sets the time of day forward or back, as NTP does; `monotonic` does not see it. */
  jump(ms: number): void
  /** How many sleep now. */
  sleepers(): number
  /** A second process on the same machine time, which can be paused: see `PausableClock`. */
  process(): PausableClock
}

/**
 * The clock of a process that can be stopped like SIGSTOP does: time goes on, but nothing wakes until it is resumed, and then one
 * after the other in the order in which it was due, with the next `advance` (of 0 too).
 */
export type PausableClock = Clock & { pause(): void; resume(): void; paused(): boolean }

/** A fake clock that shows `at` (Unix milliseconds) at first; `monotonic` begins at an arbitrary other value. */
export function createFakeClock(at = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0
  let wall = at
  let order = 0
  const waiting = new Set<Sleeper>()

  function sleep(ms: number, signal: AbortSignal | undefined, wakeable: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        waiting.delete(sleeper)
        wakeable(() => reject(signal?.reason))
      }
      const wake = () => {
        signal?.removeEventListener('abort', onAbort)
        wakeable(resolve)
      }
      const sleeper: Sleeper = { due: elapsed + Math.max(0, ms), order: order++, wake }
      signal?.addEventListener('abort', onAbort, { once: true })
      waiting.add(sleeper)
    })
  }

  async function advance(ms: number): Promise<void> {
    const end = elapsed + ms
    await settle()
    for (;;) {
      const next = [...waiting].filter((each) => each.due <= end).sort((a, b) => a.due - b.due || a.order - b.order)[0]
      if (next === undefined) break
      elapsed = Math.max(elapsed, next.due)
      waiting.delete(next)
      next.wake()
      await settle()
    }
    elapsed = end
  }

  const now = () => wall + elapsed
  const monotonic = () => 1_000 + elapsed
  return {
    now,
    monotonic,
    sleep: (ms, signal) => sleep(ms, signal, (wake) => wake()),
    advance,
    jump: (ms) => {
      wall += ms
    },
    sleepers: () => waiting.size,
    process() {
      let held: (() => void)[] | undefined
      const wakeable = (wake: () => void) => (held ? held.push(wake) : wake())
      return {
        now,
        monotonic,
        sleep: (ms, signal) => sleep(ms, signal, wakeable),
        pause: () => {
          held ??= []
        },
        resume: () => {
          const late = held ?? []
          held = undefined
          for (const wake of late) waiting.add({ due: elapsed, order: order++, wake: () => wakeable(wake) })
        },
        paused: () => held !== undefined,
      }
    },
  }
}

/** Lets everything that is ready to run do so: promises first, then whatever they scheduled for the next turn. */
export async function settle(): Promise<void> {
  await macrotask()
}
