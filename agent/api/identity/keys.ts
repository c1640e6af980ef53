import type { createLocalJWKSet } from 'jose'
import { boundedText } from '../../../shared/bounded-body.ts'
import type { Clock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'

/** Finds the key that signed a token. */
export type KeySet = ReturnType<typeof createLocalJWKSet>

/** The keys of an identity provider. */
export type Keys = {
  /** The keys in use. @throws Error when there have never been any */
  current(): KeySet | Promise<KeySet>
  /** Other keys than these, which do not fit a token: after another fetch, unless the last one was just now. undefined if there are none. */
  renewed(unfit: KeySet): Promise<KeySet | undefined>
  /** The last attempt to read newer keys failed. */
  isStale(): boolean
}

/** A set of keys is refused beyond this size. Large providers publish about ten keys, in less than 20 KiB. */
const mostKeys = 50
const maxKeysBytes = 256 * 1024

const timeoutMs = 5_000
/** Older keys are fetched again before they are used. */
const maxAgeMs = 600_000
/** Between two fetches. A stranger's tokens, signed with whatever, must not become requests to the provider. */
const pauseMs = 30_000
/** Between two fetches before the first success, when every caller waits for the keys. */
const firstPauseMs = 1_000

/** Reads a JSON Web Key Set. @throws Error with the fault, quoting nothing */
export function parseKeys(text: string, createKeySet: typeof createLocalJWKSet): KeySet {
  if (Buffer.byteLength(text) > maxKeysBytes) throw new Error(`it has more than ${maxKeysBytes / 1024} KiB`)
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {
    throw new Error('it is not JSON')
  }
  const { keys } = (typeof given === 'object' && given !== null ? given : {}) as { keys?: unknown }
  if (!Array.isArray(keys)) throw new Error('it is not a JSON Web Key Set')
  if (keys.length === 0) throw new Error('it has no keys')
  if (keys.length > mostKeys) throw new Error(`it has ${keys.length} keys, more than ${mostKeys}`)
  return createKeySet({ keys })
}

/**
 * The keys at a URL. After a failed fetch, the last keys stay in use, however long the provider fails.
 *
 * jose's `createRemoteJWKSet` reads an answer of any size, refuses every token while the provider fails, and uses a key until it is ten
 * minutes old even when a signature shows that the provider has replaced it under the same `kid`. Choosing among the keys of a set, and
 * all cryptography, is jose's.
 */
export function createRemoteKeys(url: string, { parse, clock, log }: { parse: (text: string) => KeySet; clock: Clock; log: Log }): Keys {
  let held: { keys: KeySet; text: string; at: number } | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let failure: Error | undefined
  let pending: Promise<void> | undefined

  async function fetchOnce(): Promise<void> {
    triedAt = clock.monotonic()
    try {
      const text = await readBounded(url)
      const keys = text === held?.text ? held.keys : parse(text)
      held = { keys, text, at: clock.monotonic() }
      if (failure !== undefined) log.info({ url }, 'keys of signed tokens fetched again')
      failure = undefined
    } catch (error) {
      const known = failure?.message
      failure = error as Error
      if (failure.message !== known) log.warn({ err: error, url, kept: held !== undefined }, 'keys of signed tokens cannot be fetched')
    }
  }

  /** Fetches, unless the last attempt was less than `ms` milliseconds ago. Requests that come meanwhile wait for the same fetch. */
  async function fetchAtMostEvery(ms: number): Promise<void> {
    if (pending === undefined && clock.monotonic() - triedAt < ms) return
    pending ??= fetchOnce().finally(() => {
      pending = undefined
    })
    await pending
  }

  return {
    async current() {
      if (held === undefined) await fetchAtMostEvery(firstPauseMs)
      else if (clock.monotonic() - held.at >= maxAgeMs) await fetchAtMostEvery(pauseMs)
      if (held === undefined) throw failure ?? new Error('the keys have not been fetched')
      return held.keys
    },
    async renewed(unfit) {
      // Another request may have fetched them meanwhile.
      if (held?.keys === unfit) await fetchAtMostEvery(pauseMs)
      return held?.keys === unfit ? undefined : held?.keys
    },
    isStale: () => failure !== undefined,
  }
}

/** @throws Error when the answer is not 200, is too large, or is not complete in time */
async function readBounded(url: string): Promise<string> {
  const headers = { accept: 'application/jwk-set+json, application/json' }
  const response = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
  if (response.status === 200) return boundedText(response.body ?? [], maxKeysBytes)
  await response.body?.cancel() // an unread body keeps the connection
  throw new Error(`the answer has status ${response.status}`)
}
