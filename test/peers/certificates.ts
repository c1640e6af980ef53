import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generate } from 'selfsigned'

/** PEM of an authority, and of a certificate and key that it signed. */
export type Signed = { ca: string; cert: string; key: string }

/** A certificate for `localhost` and 127.0.0.1 by an authority of its own. */
export async function createCertificate({ days = 30, name = 'localhost' }: { days?: number; name?: string } = {}): Promise<Signed> {
  const authority = await generate([{ name: 'commonName', value: 'Test Authority' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const own = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    notAfterDate: new Date(Date.now() + days * 86_400_000),
    notBeforeDate: new Date(Date.now() - 2 * 86_400_000),
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: name },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { ca: authority.cert, cert: own.cert, key: own.private }
}

/** Writes them as `ca.crt`, `server.crt` and `server.key`, and returns the paths. */
export async function writeCertificate(folder: string, { ca, cert, key }: Signed) {
  const paths = { ca: join(folder, 'ca.crt'), cert: join(folder, 'server.crt'), key: join(folder, 'server.key') }
  await Promise.all([writeFile(paths.ca, ca), writeFile(paths.cert, cert), writeFile(paths.key, key)])
  return paths
}
