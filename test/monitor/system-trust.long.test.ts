import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { createCertificate, writeCertificate } from '../peers/certificates.ts'

/** Opens the connection of an edge node to the server of its argument, and tells how it went. */
const edgeNode = `
  import { newClient } from ${JSON.stringify(new URL('../../monitor/sparkplug/mqtt-client.ts', import.meta.url).href)}
  import { messageOf } from ${JSON.stringify(new URL('../../monitor/sparkplug/waits.ts', import.meta.url).href)}
  const { open } = newClient({ server: { url: process.argv[1] }, protocolVersion: 4, clientId: 'x', keepAliveSeconds: 30, maxPacketBytes: 1_000 })
  await open(AbortSignal.timeout(20_000)).then(() => console.log('open'), (error) => console.log(messageOf(error)))
  process.exit()`

/** Runs Node in a process of its own, whose system has this store of CA certificates. */
function run(args: readonly string[], store: string): Promise<{ code: number; out: string }> {
  const { PATH = '', NODE_COMPILE_CACHE } = process.env
  const env = { PATH, SSL_CERT_FILE: store, SSL_CERT_DIR: '/nonexistent', ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }) }
  return new Promise((resolve) =>
    execFile(process.execPath, args, { env, timeout: 30_000 }, (error, out) =>
      resolve({ code: error === null ? 0 : Number(error.code), out }),
    ),
  )
}

test('a server whose CA the system trusts is trusted, and another one is not', async (t) => {
  const folder = await mkdtemp(`${tmpdir()}/skerry-trust-`)
  t.after(() => rm(folder, { recursive: true, force: true }))
  const certificate = await createCertificate()
  const { ca } = await writeCertificate(folder, certificate)
  const server = createServer(certificate, (_request, response) => response.end()).listen(0, '127.0.0.1')
  server.on('tlsClientError', () => {})
  await once(server, 'listening')
  t.after(() => server.close())
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`
  const check = ['monitor/main.ts', 'test', 'http', `url=${url}`]
  const [trusting, other] = await Promise.all([run(check, ca), run(check, '/nonexistent')])
  assert.equal(trusting.code, 0, trusting.out)
  assert.equal(other.code, 1)
  assert.match(other.out, /neither among the CAs of the system nor among those built in\. Set caFile/)
  assert.doesNotMatch(other.out, /Node/)

  const node = ['--input-type=module', '--eval', edgeNode, url.replace('https:', 'mqtts:')]
  const [trustingNode, otherNode] = await Promise.all([run(node, ca), run(node, '/nonexistent')])
  assert.equal(trustingNode.out, 'open\n')
  assert.match(otherNode.out, /Set caFile/)
})
