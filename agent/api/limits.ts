import * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import { Problem } from '../../shared/errors.ts'

/** How many requests a caller may send. */
export const limitsConfig = z
  .strictObject({
    requestsPerSecond: z.number().positive().default(200).describe('Requests of one identity in a second, on average.'),
    burst: z.int().min(1).default(400).describe('Requests of one identity at once, after a pause.'),
    concurrentRequests: z
      .int()
      .min(1)
      .default(256)
      .describe('Requests of one identity under way at once, with those that wait for the end of an operation.'),
    failuresPerMinute: z.number().positive().default(30).describe('Failed authentications from one address in a minute, on average.'),
    failuresBurst: z.int().min(1).default(20).describe('Failed authentications from one address at once, after a pause.'),
    anonymousPerMinute: z
      .number()
      .positive()
      .default(120)
      .describe(
        'Requests without a credential from one address in a minute, on average: for /docs, /openapi.json and paths without a route.',
      ),
    anonymousBurst: z.int().min(1).default(60).describe('Requests without a credential from one address at once, after a pause.'),
    clientAddressHeader: z
      .string()
      .regex(/^[A-Za-z0-9-]+$/)
      .transform((name) => name.toLowerCase())
      .optional()
      .describe('The header in which proxies give the address of the client, such as CF-Connecting-IP or X-Forwarded-For.'),
    trustedProxies: z
      .array(z.union([z.cidrv4(), z.cidrv6()], 'must be a network such as 10.0.0.0/8 or fd00::/8'))
      .max(100)
      .default([])
      .describe(
        'Networks of proxies from which clientAddressHeader is believed; the client is the right-most address in it outside of them.',
      ),
  })
  .superRefine(({ clientAddressHeader, trustedProxies }, context) => {
    if (clientAddressHeader !== undefined && trustedProxies.length === 0)
      context.addIssue({
        code: 'custom',
        path: ['trustedProxies'],
        message: 'is required with clientAddressHeader, which anybody else could forge',
      })
  })

export type LimitsConfig = z.output<typeof limitsConfig>

/** Token buckets by key: each holds at most `burst` tokens and regains `perSecond` a second. */
export type Buckets = {
  /** Takes a token. Returns 0, or the seconds until there is one. */
  take(key: string): number
}

/** At most this many keys are kept. The oldest are removed first, as if they had been idle. */
const mostKeys = 10_000

export function createBuckets({ perSecond, burst }: { perSecond: number; burst: number }, clock: Clock): Buckets {
  const buckets = new Map<string, { tokens: number; at: number }>()

  function refill(key: string): { tokens: number; at: number } {
    const now = clock.monotonic()
    const bucket = buckets.get(key)
    if (bucket !== undefined) {
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond)
      bucket.at = now
      return bucket
    }
    if (buckets.size >= mostKeys) forget(now)
    const full = { tokens: burst, at: now }
    buckets.set(key, full)
    return full
  }

  /** Removes full buckets, which are as good as none; if too few are full, the oldest tenth. */
  function forget(now: number): void {
    for (const [key, { tokens, at }] of buckets) if (tokens + ((now - at) / 1000) * perSecond >= burst) buckets.delete(key)
    if (buckets.size < mostKeys) return
    for (const key of [...buckets.keys()].slice(0, mostKeys / 10)) buckets.delete(key)
  }

  const secondsTo1 = (tokens: number) => (tokens >= 1 ? 0 : (1 - tokens) / perSecond)
  return {
    take(key) {
      const bucket = refill(key)
      const wait = secondsTo1(bucket.tokens)
      if (wait === 0) bucket.tokens--
      return wait
    },
  }
}

/** The problem of a caller that must wait. `who` begins the sentence. */
export function rateLimited(who: string, waitSeconds: number): Problem {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitSeconds))
  return new Problem('rate-limited', `${who} has sent too many requests. Try again in ${retryAfterSeconds} s.`, {
    retryAfterSeconds,
  })
}
