import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { generate } from 'selfsigned'

/** Files of an authority, and of the certificates that it gave a server on 127.0.0.1 and a client. */
export type MutualTls = {
  ca: string
  clientCert: string
  clientKey: string
  /** Lines of mosquitto's configuration: who has no certificate of that authority is not let in. */
  lines: string[]
}

/** Makes them for one test. */
export async function createMutualTls(t: TestContext): Promise<MutualTls> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-tls-'))
  t.after(() => rm(directory, { recursive: true }))
  const common = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const
  const authority = await generate([{ name: 'commonName', value: 'test authority' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const ca = { key: authority.private, cert: authority.cert }
  const signed = (name: string, use: object) =>
    generate([{ name: 'commonName', value: name }], {
      ...common,
      ca,
      extensions: [
        { name: 'basicConstraints', cA: false, critical: true },
        { name: 'extKeyUsage', ...use },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ],
    })
  const [server, client] = [await signed('localhost', { serverAuth: true }), await signed('monitor', { clientAuth: true })]
  const write = async (name: string, text: string) => {
    const file = path.join(directory, name)
    await writeFile(file, text)
    return file
  }
  await chmod(directory, 0o755)
  const file = await write('ca.pem', authority.cert)
  const [cert, key] = [await write('server.pem', server.cert), await write('server.key', server.private)]
  return {
    ca: file,
    clientCert: await write('client.pem', client.cert),
    clientKey: await write('client.key', client.private),
    lines: [`cafile ${file}`, `certfile ${cert}`, `keyfile ${key}`, 'require_certificate true', 'use_identity_as_username true'],
  }
}
