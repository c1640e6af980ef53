import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { http } from '../../../monitor/checks/http.ts'
import { createCertificate, type Signed } from '../../peers/certificates.ts'
import { run, secret } from './run.ts'
import { redirectingPair } from './servers.ts'

test('an HTTP check takes no credentials along to where it is redirected, and not the name of the first host', async (t) => {
  const { port, heard } = await redirectingPair(t)
  const secrets = { Authorization: 'Bearer s3cret', cookie: 'session=s3cret', Host: 's3cret.example' }
  const result = await run(http, { url: `http://127.0.0.1:${port}/`, maxRedirects: 1, headers: { ...secrets, 'X-Site': 'harbour' } })
  assert.equal(result.state, 'up')
  const [first, second] = heard
  assert.equal(first?.match(/s3cret/g)?.length, 3, first)
  assert.doesNotMatch(second ?? '', /s3cret/)
  assert.match(second ?? '', /x-site: harbour/i)
})

/** A TLS server that asks for a certificate, and writes down the name it was asked for and who came. Returns its URL. */
async function serveSecurely(t: TestContext, { cert, key }: Signed, heard: unknown[], location?: string): Promise<string> {
  const server = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, ({ socket }, response) => {
    const { servername, getPeerCertificate } = socket as TLSSocket & { servername: unknown }
    heard.push([servername, getPeerCertificate.call(socket).subject?.CN])
    response.writeHead(location === undefined ? 200 : 302, location === undefined ? {} : { location }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

test('an HTTP check shows its certificate, and asks for serverName, only where it was sent by its URL', async (t) => {
  const [tls, client] = await Promise.all([createCertificate({ name: 'shop.example.com' }), createCertificate({ name: 'monitor' })])
  const heard: unknown[] = []
  const elsewhere = await serveSecurely(t, tls, heard)
  const url = await serveSecurely(t, tls, heard, elsewhere)
  const result = await run(http, {
    url,
    maxRedirects: 1,
    caFile: secret(tls.ca),
    certificateFile: secret(client.cert),
    keyFile: secret(client.key),
    serverName: 'shop.example.com',
  })
  assert.equal(result.state, 'up', result.detail)
  assert.deepEqual(heard, [
    ['shop.example.com', 'monitor'],
    [false, undefined],
  ])
})
