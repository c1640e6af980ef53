import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import * as z from 'zod'
import type { Secret } from '../../shared/fields.ts'
import { FairQueue } from './fair-queue.ts'

/** The user who may read, with the password or its hash. */
type BasicAuthConfig = { username: string; passwordFile?: Secret | undefined; passwordHash?: PasswordHash | undefined }

/** The parts of an scrypt hash. */
type PasswordHash = { cost: number; blockSize: number; parallelization: number; salt: Buffer; hash: Buffer }

/**
 * An scrypt hash in the format of Python's passlib and others: `$scrypt$ln=15,r=8,p=1$<salt>$<hash>`.
 * It may take 64 MiB and a fraction of a second, since anybody can cause that work.
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

/** The number of passwords that may wait to be hashed: somebody who guesses must not fill the memory. */
const maxWaiting = 8

/** Who sent a header: the address of the other end, and a signal that aborts when it disconnects. */
export type Sender = { address: string; gone: AbortSignal }

/**
 * Checks whether an `Authorization` header has the user and the password; 'busy' when too many others are being checked.
 *
 * Passwords are hashed one at a time, and addresses take turns: strangers who guess cannot keep out whoever knows the password, not even
 * before it was given for the first time. Valid credentials are remembered as a keyed digest, so that not every scrape pays for scrypt. Digests of equal length are compared in
 * constant time.
 */
export function createBasicAuth({
  username,
  passwordFile,
  passwordHash,
}: BasicAuthConfig): (header: string | undefined, sender: Sender) => Promise<boolean | 'busy'> {
  const key = randomBytes(32)
  const digest = (text: string) => createHmac('sha256', key).update(text).digest()
  let known = passwordFile === undefined ? undefined : digest(`${username}:${passwordFile.reveal()}`)
  const hashing = new FairQueue<boolean>({ most: maxWaiting })

  return async (header, { address, gone }) => {
    const given = credentialsOf(header)
    if (given === undefined) return false
    const found = digest(given)
    if (known !== undefined && timingSafeEqual(found, known)) return true
    if (passwordHash === undefined) return false
    const colon = given.indexOf(':')
    const isUser = timingSafeEqual(digest(given.slice(0, colon)), digest(username))
    // The password is hashed whatever the user, so that the time does not reveal whether the user is right.
    const matches = async () => timingSafeEqual(await derive(given.slice(colon + 1), passwordHash), passwordHash.hash)
    const verdict = await hashing.run(networkOf(address), matches, gone)
    if (verdict === 'busy') return 'busy'
    if (verdict && isUser) known = found
    return verdict && isUser
  }
}

/** An IPv4 address, or the /64 of an IPv6 address: a single host has all addresses of one. */
function networkOf(address: string): string {
  if (isIP(address) !== 6 || address.startsWith('::ffff:')) return address
  const [head = ''] = address.split('::')
  return head.split(':').slice(0, 4).join(':')
}

/** The `user:password` in a header (RFC 7617). */
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
