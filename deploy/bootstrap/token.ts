import { createHash, createPrivateKey, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

/**
 * The content of a token (docs/decisions/0010-the-installation-token.md; `id` and `pin`: 0036-the-link-to-the-cloud.md). Times are Unix seconds.
 */
export type Claims = {
  region: string
  name?: string
  /** `https://…` of the cloud that the region belongs to. */
  cloud: string
  issued: number
  expires: number
  /** The tunnel's id, with the agent's hostname and the place of its credentials: `https://…` or `secret:NAME`. */
  tunnel?: string
  hostname?: string
  credentials?: string
  /** SHA-256, in hex, of the token with which the cloud will call the agent. */
  caller?: string
  /** The cloud's own name for the token, which is then good for one region. Tokens without one can be used again. */
  id?: string
  /** SHA-256 of the public key (SubjectPublicKeyInfo) of the CA that the cloud's certificate comes from, base64url. */
  pin?: string
}

/** The token of a region for install.sh, signed with the cloud's Ed25519 key. */
export function issueToken(claims: Claims, key: KeyObject): string {
  const lines = Object.entries(claims).map(([name, value]) => `${name}=${value}`)
  const signed = `skerry1.${Buffer.from(lines.join('\n')).toString('base64url')}`
  const whole = `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
  return `${whole}.${cksum(Buffer.from(whole))}`
}

/** The sum that `cksum` prints: the CRC of POSIX, IEEE Std 1003.1, over the bytes and their number. */
function cksum(bytes: Buffer): number {
  let crc = 0
  const add = (byte: number) => {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  }
  for (const byte of bytes) add(byte)
  for (let length = bytes.length; length > 0; length = Math.floor(length / 256)) add(length & 255)
  return ~crc >>> 0
}

const host = '[a-z0-9]([-a-z0-9.]*[a-z0-9])?'

/** The pattern of each word of the command line. token.sh has the same ones, so that install.sh refuses no token that is issued here. */
const words: Record<string, { pattern: string; as: string }> = {
  region: { pattern: '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?', as: 'lower-case letters, digits and "-", 63 at most' },
  name: { pattern: '[^"\\\\\\n]{0,200}', as: 'at most 200 characters on one line, without \\ and "' },
  cloud: { pattern: `https://${host}(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?`, as: 'https://…' },
  issued: { pattern: '[0-9]{1,12}', as: 'Unix seconds' },
  expires: { pattern: '[0-9]{1,12}', as: 'Unix seconds' },
  hours: { pattern: '[0-9]{1,6}(\\.[0-9]+)?', as: 'a number of hours' },
  tunnel: { pattern: '[0-9a-f-]{36}', as: 'the id of a tunnel' },
  hostname: { pattern: host, as: 'a host name' },
  credentials: {
    pattern: `https://${host}(:[0-9]+)?/[A-Za-z0-9._~/-]+|secret:[a-z0-9]([-a-z0-9.]*[a-z0-9])?`,
    as: 'https://… or secret:NAME',
  },
  caller: { pattern: '[0-9a-f]{64}', as: 'a SHA-256 in hex' },
  id: { pattern: '[A-Za-z0-9_-]{1,64}', as: 'at most 64 letters, digits, "_" and "-"' },
  pin: { pattern: '[A-Za-z0-9_-]{43}', as: 'a SHA-256 in base64url' },
  ca: { pattern: '[^\\n]+', as: 'a file with a CA certificate' },
}

/** The claims of a command line of KEY=VALUE, or all its faults. @param now Unix seconds */
function readClaims(given: string[], now: number): { claims: Claims } | { faults: string[] } {
  const faults: string[] = []
  const said = new Map<string, string>()
  for (const each of given) {
    const [key, value] = [each.split('=', 1)[0] ?? '', each.slice(each.indexOf('=') + 1)]
    const word = words[key]
    if (!each.includes('=')) faults.push(`${each} is not KEY=VALUE`)
    else if (!word) faults.push(`there is no key ${key}; there are ${Object.keys(words).join(', ')}`)
    else if (said.has(key)) faults.push(`${key} is given twice`)
    else if (!new RegExp(`^(?:${word.pattern})$`).test(value)) faults.push(`${key} is ${word.as}, not ${value === '' ? 'nothing' : value}`)
    said.set(key, value)
  }
  for (const key of ['region', 'cloud']) if (!said.has(key)) faults.push(`${key} is missing`)
  for (const key of ['hostname', 'credentials']) if (said.has('tunnel') && !said.has(key)) faults.push(`tunnel needs ${key} too`)
  if (said.has('hours') && said.has('expires')) faults.push('hours and expires cannot be combined')
  if (said.has('ca') && said.has('pin')) faults.push('ca and pin cannot be combined')
  const { hours = '24', issued = String(now), expires, ca, id = randomBytes(16).toString('base64url'), ...rest } = Object.fromEntries(said)
  const pin = ca === undefined ? undefined : pinOf(ca, faults)
  const times = { issued: Number(issued), expires: Number(expires ?? Math.round(Number(issued) + Number(hours) * 3600)) }
  const claims = { ...rest, ...times, id, ...(pin !== undefined && { pin }) }
  if (claims.expires <= claims.issued) faults.push(`the token would expire (${claims.expires}) before it is issued (${claims.issued})`)
  return faults.length > 0 ? { faults } : { claims: claims as Claims }
}

/** The pin of the CA certificate in a file. Adds its faults to `faults`. */
function pinOf(file: string, faults: string[]): string | undefined {
  try {
    const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' })
    return createHash('sha256').update(key).digest('base64url')
  } catch (error) {
    faults.push(`${file} is not a readable certificate: ${error instanceof Error ? error.message : error}`)
  }
}

/** The private key in a file. Adds its faults to `faults`. */
function readKey(file: string, faults: string[]): KeyObject | undefined {
  try {
    const key = createPrivateKey(readFileSync(file))
    if (key.asymmetricKeyType === 'ed25519') return key
    faults.push(`${file} holds a key of type ${key.asymmetricKeyType}, not ed25519`)
  } catch (error) {
    faults.push(`${file} is not a readable private key: ${error instanceof Error ? error.message : error}`)
  }
}

if (import.meta.main) {
  const [keyFile, ...given] = process.argv.slice(2)
  if (keyFile === undefined || given.length === 0) {
    process.stderr.write(`npx node deploy/bootstrap/token.ts KEY.pem region=… cloud=https://… [name=… tunnel=… hostname=… credentials=… caller=…]
  [id=…, a new one when left out] [ca=CA.pem | pin=SHA256 of its public key]
  [issued=SECONDS, now when left out] [hours=24 | expires=SECONDS]; SECONDS are Unix seconds
`)
    process.exit(2)
  }
  const read = readClaims(given, Math.floor(Date.now() / 1000))
  const faults = 'faults' in read ? read.faults : []
  const key = readKey(keyFile, faults)
  if (faults.length > 0 || !key || 'faults' in read) {
    for (const fault of faults) process.stderr.write(`token.ts: ${fault}\n`)
    process.exit(2)
  }
  process.stdout.write(`${issueToken(read.claims, key)}\n`)
}
