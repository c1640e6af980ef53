import { createPrivateKey, type KeyObject, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** What a token says (docs/decisions/0010-the-installation-token.md). Times are Unix seconds. */
export type Claims = {
  region: string
  name?: string
  /** `https://…` of the cloud that the region belongs to. */
  cloud: string
  issued: number
  expires: number
  /** The tunnel's id, with the hostname of the agent and where its credentials are: `https://…` or `secret:NAME`. */
  tunnel?: string
  hostname?: string
  credentials?: string
  /** SHA-256, in hex, of the token by which the cloud will call the agent. */
  caller?: string
}

/** The token of a region, signed with the cloud's Ed25519 key, as install.sh takes it. */
export function issueToken(claims: Claims, key: KeyObject): string {
  const lines = Object.entries(claims).map(([name, value]) => `${name}=${value}`)
  const signed = `skerry1.${Buffer.from(lines.join('\n')).toString('base64url')}`
  const whole = `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`
  return `${whole}.${cksum(Buffer.from(whole))}`
}

/** What `cksum` prints: the CRC of POSIX, IEEE Std 1003.1, over the bytes and their number. */
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

if (import.meta.main) {
  const [keyFile, ...given] = process.argv.slice(2)
  if (keyFile === undefined || given.some((each) => !each.includes('='))) {
    process.stderr.write(
      'node deploy/bootstrap/token.ts KEY.pem region=… cloud=https://… [name=… tunnel=… hostname=… credentials=… caller=… hours=24]\n',
    )
    process.exit(2)
  }
  const { hours = '24', ...claims } = Object.fromEntries(
    given.map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  )
  const issued = Math.floor(Date.now() / 1000)
  const token = issueToken(
    { ...(claims as Omit<Claims, 'issued' | 'expires'>), issued, expires: issued + Number(hours) * 3600 },
    createPrivateKey(readFileSync(keyFile)),
  )
  process.stdout.write(`${token}\n`)
}
