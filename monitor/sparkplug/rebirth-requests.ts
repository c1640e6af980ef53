import type { Clock } from '../../shared/clock.ts'

/** What `createRebirthRequests` returns. */
export type RebirthRequests = ReturnType<typeof createRebirthRequests>

type Request = { servedAt: number; wait: AbortController | undefined }

/**
 * Requests for rebirths, of the node (undefined) and of each device. A storm of requests is harmless: the first one is served at once, and
 * all that come within `intervalMs` of it are served by one more rebirth. Everything ends with the signal.
 */
export function createRebirthRequests(
  serve: (device: string | undefined) => void,
  { intervalMs, clock, signal }: { intervalMs: number; clock: Clock; signal: AbortSignal },
) {
  const requests = new Map<string | undefined, Request>()

  function run(device: string | undefined, request: Request): void {
    request.wait?.abort()
    request.wait = undefined
    request.servedAt = clock.monotonic()
    serve(device)
  }

  return {
    request(device: string | undefined): void {
      const now = clock.monotonic()
      const request = requests.get(device) ?? { servedAt: now - intervalMs, wait: undefined }
      if (request.wait !== undefined || signal.aborted) return
      requests.set(device, request)
      const left = request.servedAt + intervalMs - now
      if (left <= 0) {
        run(device, request)
        return
      }
      request.wait = new AbortController()
      clock.sleep(left, AbortSignal.any([signal, request.wait.signal])).then(
        () => run(device, request),
        () => {},
      )
    },
    isWaiting: (device: string | undefined): boolean => requests.get(device)?.wait !== undefined,
    /** Serves a request that waits, if there is one, without waiting for its time. */
    serveNow(device: string | undefined): void {
      const request = requests.get(device)
      if (request?.wait !== undefined) run(device, request)
    },
    /** The device is gone. */
    forget(device: string): void {
      requests.get(device)?.wait?.abort()
      requests.delete(device)
    },
  }
}
