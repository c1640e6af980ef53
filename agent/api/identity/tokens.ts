import { timingSafeEqual } from 'node:crypto'
import * as YAML from 'yaml'
import type { Clock } from '../../../shared/clock.ts'
import { shown } from '../../../shared/clock-wording.ts'
import { Problem } from '../../../shared/errors.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import type { Log } from '../../../shared/log.ts'
import type { TokenTime } from '../../clock/index.ts'
import type { Identity } from '../http.ts'
import { tokenList } from './config.ts'
import { createFileValue } from './file.ts'
import { identityFrom } from './source.ts'

/** The static tokens. */
export type Tokens = Part & {
  /**
   * The identity of a token, by its SHA-256 in hexadecimal; undefined for an unknown token.
   * @throws Problem `unauthenticated` when it has expired
   */
  find(sha256: string): Identity | undefined
  /** The file has changed, and its present content is invalid. */
  isStale(): boolean
}

type Entry = { digest: Buffer; identity: Identity; expiresAt: number }

/** Static tokens in a file, which is read again when it changes. @param file YAML or JSON of `tokenList` */
export function createTokens(file: string, { clock, time, log }: { clock: Clock; time: TokenTime; log: Log }): Tokens {
  const entries = createFileValue(file, parseTokens, { name: 'tokens', clock, log })
  return {
    name: entries.name,
    start: (signal) => entries.start(signal),
    stop: (deadline) => entries.stop(deadline),
    isStale: entries.isStale,
    find(sha256) {
      const given = Buffer.from(sha256, 'latin1')
      let found: Entry | undefined
      // Compares all of them completely: the time must not reveal which one was nearly right.
      for (const entry of entries.value()) if (timingSafeEqual(entry.digest, given)) found = entry
      if (found !== undefined && Number.isFinite(found.expiresAt) && found.expiresAt <= time.now())
        throw new Problem('unauthenticated', `The token expired at ${shown(found.expiresAt)}; ${time.told()}`)
      return found?.identity
    },
  }
}

/** @throws Error with every fault, quoting nothing */
function parseTokens(text: string): Entry[] {
  const document = YAML.parseDocument(text, { uniqueKeys: true })
  const [broken] = document.errors
  if (broken !== undefined) throw new Error(`it is not YAML (line ${broken.linePos?.[0].line ?? 1}, ${broken.code})`)
  const parsed = parseWith(tokenList, document.toJS({ maxAliasCount: 0 }))
  if (!parsed.ok)
    throw new Error(
      parsed.faults
        .map((fault) => asFault(fault))
        .map(({ path, message }) => `${path || '/'} ${message}`)
        .concat(parsed.more > 0 ? [`and ${parsed.more} more faults`] : [])
        .join('; '),
    )
  const twice = parsed.value.findIndex(({ sha256 }, index) => parsed.value.findIndex((other) => other.sha256 === sha256) < index)
  if (twice >= 0) throw new Error(`/${twice}/sha256 is given more than once`)
  return parsed.value.map(({ name, sha256, scopes, projects, expires }) => ({
    digest: Buffer.from(sha256, 'latin1'),
    identity: identityFrom('token', name, { scopes, projects }),
    expiresAt: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
  }))
}
