import { sign as signBytes, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { generate } from 'selfsigned'

/** A certificate and its key, as PEM. */
export type Pair = { cert: string; key: string }

/** An authority made for one test, and certificates that it signs. */
export type Authority = Pair & {
  /** For a server on 127.0.0.1 and localhost. */
  server(name?: string): Promise<Pair>
  /** For a client. */
  client(name: string): Promise<Pair>
  /** A revocation list of it, in DER. @param revoked certificates in PEM @param expiresAt Unix ms */
  revocationList(revoked: readonly string[], expiresAt?: number): Buffer
}

const curve = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const

/** Creates an authority. */
export async function createAuthority(name = 'skerry test authority'): Promise<Authority> {
  const own = await generate([{ name: 'commonName', value: name }], {
    ...curve,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const sign = async (commonName: string, usage: { serverAuth: true } | { clientAuth: true }): Promise<Pair> => {
    const signed = await generate([{ name: 'commonName', value: commonName }], {
      ...curve,
      ca: { key: own.private, cert: own.cert },
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'keyUsage', digitalSignature: true, critical: true },
        { name: 'extKeyUsage', ...usage },
        {
          name: 'subjectAltName',
          altNames: [
            { type: 7, ip: '127.0.0.1' },
            { type: 2, value: 'localhost' },
          ],
        },
      ],
    })
    return { cert: signed.cert, key: signed.private }
  }
  return {
    cert: own.cert,
    key: own.private,
    server: (commonName = 'skerry-agent') => sign(commonName, { serverAuth: true }),
    client: (commonName) => sign(commonName, { clientAuth: true }),
    revocationList: (revoked, expiresAt = Date.now() + 86_400_000) => revocationList(own.cert, own.private, revoked, expiresAt),
  }
}

/** A value in DER. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  const { length } = body
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), body])
}

// RFC 5280, section 5.1
function revocationList(cert: string, key: string, revoked: readonly string[], expiresAt: number): Buffer {
  const time = (at: number) => der(0x17, Buffer.from(new Date(at).toISOString().replaceAll(/^\d\d|[-:T]|\.\d+/g, '')))
  const serialOf = (pem: string) => Buffer.from(new X509Certificate(pem).serialNumber.padStart(2, '0'), 'hex')
  const positive = (bytes: Buffer) => ((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex')) // ecdsa-with-SHA256
  const subject = subjectOf(new X509Certificate(cert).raw)
  const began = Date.UTC(2026, 0, 1)
  const entries = revoked.map((pem) => der(0x30, der(0x02, positive(serialOf(pem))), time(began)))
  const list = entries.length === 0 ? [] : [der(0x30, ...entries)]
  const content = der(0x30, der(0x02, Buffer.from([1])), algorithm, subject, time(began), time(expiresAt), ...list)
  const signature = signBytes('sha256', content, key)
  return der(0x30, content, algorithm, der(0x03, Buffer.from([0]), signature))
}

/** The subject of a certificate in DER: the sixth part of its content, after version, serial number, algorithm, issuer and validity. */
function subjectOf(raw: Buffer): Buffer {
  const lengthAt = (at: number) => {
    const first = raw[at + 1] ?? 0
    return first < 0x80 ? { head: 2, length: first } : { head: 2 + (first & 0x7f), length: raw.readUIntBE(at + 2, first & 0x7f) }
  }
  let at = lengthAt(0).head
  at += lengthAt(at).head
  for (let part = 0; part < 5; part++) at += lengthAt(at).head + lengthAt(at).length
  return raw.subarray(at, at + lengthAt(at).head + lengthAt(at).length)
}

/** A list as PEM. */
export function pemOf(list: Buffer): string {
  return `-----BEGIN X509 CRL-----\n${list.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END X509 CRL-----\n`
}

/**
 * A folder as the kubelet mounts a Secret: `tls.crt` and `tls.key` point into `..data`, which points to a folder with a time in its
 * name, and is replaced as a whole.
 */
export async function mountSecret(t: TestContext, content: Record<string, string | Buffer>) {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-secret-'))
  t.after(() => rm(folder, { recursive: true }))
  let version = 0
  const replace = async (next: Record<string, string | Buffer>) => {
    const data = `..2026_01_01_${version++}`
    await mkdir(join(folder, data))
    for (const [name, text] of Object.entries(next)) await writeFile(join(folder, data, name), text)
    await symlink(data, join(folder, '..data_tmp'))
    await rename(join(folder, '..data_tmp'), join(folder, '..data'))
  }
  await replace(content)
  for (const name of Object.keys(content)) await symlink(join('..data', name), join(folder, name))
  return { folder, file: (name: string) => join(folder, name), replace }
}
