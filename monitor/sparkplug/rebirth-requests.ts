import type { Clock } from '../../shared/clock.ts'

/** What `createRebirthRequests` returns. */
export type RebirthRequests = ReturnType<typeof createRebirthRequests>

/**
 * Requests for rebirths, of the node (undefined) and of each device. A storm of requests is harmless: the first one is served at once, and
 * all that come within `intervalMs` of it are served by one more rebirth. Everything ends with the signal.
 */
export function createRebirthRequests(
  serve: (device: string | undefined) => void,
  { intervalMs, clock, signal }: { intervalMs: number; clock: Clock; signal: AbortSignal },
) {
  const requests = new Map<string | undefined, { servedAt: number; isWaiting: boolean }>()
  return {
    request(device: string | undefined): void {
      const now = clock.monotonic()
      const request = requests.get(device) ?? { servedAt: now - intervalMs, isWaiting: false }
      if (request.isWaiting || signal.aborted) return
      requests.set(device, request)
      const run = () => {
        request.isWaiting = false
        request.servedAt = clock.monotonic()
        serve(device)
      }
      const left = request.servedAt + intervalMs - now
      request.isWaiting = left > 0
      if (request.isWaiting) clock.sleep(left, signal).then(run, () => {})
      else run()
    },
    /** The device is gone. */
    forget: (device: string) => void requests.delete(device),
  }
}
