import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createSecureContext, TLSSocket } from 'node:tls'
import { postgresql } from '../../../monitor/checks/postgresql.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { assertResult, run, secret } from './run.ts'
import { listen } from './servers.ts'

/** A server that agrees to TLS and then refuses every password: that one comes so far shows that its certificate was accepted. */
async function startRefusing(t: TestContext, { cert, key }: Signed): Promise<{ port: number; asked: unknown[] }> {
  const asked: unknown[] = []
  const fields = ['SFATAL', 'VFATAL', 'C28P01', 'Mpassword authentication failed', ''].map((field) => `${field}\0`).join('')
  const refusal = Buffer.from(`E\0\0\0\0${fields}`)
  refusal.writeUInt32BE(refusal.length - 1, 1)
  const port = await listen(t, (socket) =>
    socket.once('data', () => {
      socket.write('S')
      const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ cert, key }) })
      secure.on('error', () => {}) // the check does not trust us; that is its right
      secure.once('data', () => {
        asked.push((secure as unknown as { servername: unknown }).servername)
        secure.end(refusal)
      })
    }),
  )
  return { port, asked }
}

test('a PostgreSQL check asks for serverName, and holds the certificate against it, whatever the host is called', async (t) => {
  const tls = await createCertificate({ name: 'db.example.com' })
  const { port, asked } = await startRefusing(t, tls)
  const given = { port, username: 'monitor', tls: true, caFile: secret(tls.ca) }
  assertResult(await run(postgresql, { ...given, host: 'localhost' }), 'down', 'tls')
  for (const host of ['localhost', '127.0.0.1'])
    assertResult(await run(postgresql, { ...given, host, serverName: 'db.example.com' }), 'down', 'unauthorized')
  assertResult(await run(postgresql, { ...given, host: 'localhost', serverName: '127.0.0.1' }), 'down', 'unauthorized')
  assertResult(await run(postgresql, { ...given, host: '127.0.0.1', serverName: 'other.example.com' }), 'down', 'tls')
  // An address is held against the certificate, but not asked for (RFC 6066, section 3).
  assert.deepEqual(asked, ['db.example.com', 'db.example.com', false])
})
