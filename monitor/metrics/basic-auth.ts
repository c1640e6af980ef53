import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'
import type { Secret } from '../../shared/fields.ts'

/** Who may read: a user, with the password or its hash. */
export type BasicAuthConfig = { username: string; passwordFile?: Secret | undefined; passwordHash?: PasswordHash | undefined }

/** The parts of an scrypt hash. */
export type PasswordHash = { cost: number; blockSize: number; parallelization: number; salt: Buffer; hash: Buffer }

/**
 * An scrypt hash as Python's passlib and others write it: `$scrypt$ln=15,r=8,p=1$<salt>$<hash>`.
 * At most 64 MiB and a fraction of a second of work, since anybody may cause it.
 */
export const passwordHash = z.string().transform((text, context): PasswordHash => {
  const [, ln, r, p, salt = '', hash = ''] =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{8,128})\$([A-Za-z0-9+/]{22,128})$/.exec(text) ?? []
  const found = {
    cost: 2 ** Number(ln),
    blockSize: Number(r),
    parallelization: Number(p),
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
  if (ln !== undefined && Number(ln) >= 10 && found.blockSize >= 1 && found.parallelization >= 1 && memoryOf(found) <= 2 ** 26) return found
  const message = 'must be an scrypt hash of at most 64 MiB: $scrypt$ln=15,r=8,p=1$<salt>$<hash>'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

function memoryOf({ cost, blockSize, parallelization }: Pick<PasswordHash, 'cost' | 'blockSize' | 'parallelization'>): number {
  return 128 * cost * blockSize * parallelization
}

/** Passwords that may wait to be hashed: whoever guesses must not be able to fill the memory, or all threads. */
const maxWaiting = 8

/**
 * Says whether an `Authorization` header is that of the user; 'busy' when too many others are being found out about.
 *
 * What was right once is remembered by a keyed digest, so that a scrape does not pay for scrypt each time. Digests of equal length are
 * compared, in constant time, whatever was sent.
 */
export function createBasicAuth({
  username,
  passwordFile,
  passwordHash,
}: BasicAuthConfig): (header: string | undefined) => Promise<boolean | 'busy'> {
  const key = randomBytes(32)
  const digest = (text: string) => createHmac('sha256', key).update(text).digest()
  let known = passwordFile === undefined ? undefined : digest(`${username}:${passwordFile.reveal()}`)
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  /** One hash at a time. */
  async function matches(password: string, expected: PasswordHash): Promise<boolean> {
    waiting++
    const mine = last.then(() => derive(password, expected))
    last = mine.catch(() => {})
    try {
      return timingSafeEqual(await mine, expected.hash)
    } finally {
      waiting--
    }
  }

  return async (header) => {
    const given = credentialsOf(header)
    if (given === undefined) return false
    const found = digest(given)
    if (known !== undefined && timingSafeEqual(found, known)) return true
    if (passwordHash === undefined) return false
    if (waiting >= maxWaiting) return 'busy'
    const colon = given.indexOf(':')
    const isUser = timingSafeEqual(digest(given.slice(0, colon)), digest(username))
    // The password is hashed whoever it is said to be of, so that the time does not tell the user's name.
    const isRight = (await matches(given.slice(colon + 1), passwordHash)) && isUser
    if (isRight) known = found
    return isRight
  }
}

/** `user:password` of a header of RFC 7617. */
function credentialsOf(header: string | undefined): string | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/=]{1,4096})$/i.exec(header ?? '') ?? []
  const text = encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8')
  return text?.includes(':') ? text : undefined
}

function derive(password: string, expected: PasswordHash): Promise<Buffer> {
  const { cost, blockSize, parallelization, salt, hash } = expected
  return new Promise((resolve, reject) =>
    scrypt(password, salt, hash.length, { cost, blockSize, parallelization, maxmem: 2 * memoryOf(expected) }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    ),
  )
}
