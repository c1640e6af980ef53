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
  }
}

/**
 * A folder as the kubelet mounts a Secret: `tls.crt` and `tls.key` point into `..data`, which points to a folder with a time in its
 * name, and is replaced as a whole.
 */
export async function mountSecret(t: TestContext, content: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-secret-'))
  t.after(() => rm(folder, { recursive: true }))
  let version = 0
  const replace = async (next: Record<string, string>) => {
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
