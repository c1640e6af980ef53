import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer as createProxy } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, connect, type Server } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTls } from 'node:tls'
import { createServingCertificate } from '../../cluster/index.ts'

/** Of every host outside. Only its own authority makes it trusted. */
export const certificate = await createServingCertificate()

/** Listens until the test ends. @returns the port */
export async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A host that speaks TLS with a certificate of an authority that only `ca` makes trusted. */
export function outside(t: TestContext): Promise<number> {
  const server = createTls({ cert: certificate.cert, key: certificate.key }, (socket) => socket.on('error', () => {}))
  server.on('tlsClientError', () => {})
  return listen(t, server)
}

/** What a proxy was asked for. */
export type Asked = { path: string | undefined; authorization: string | undefined }

/** A proxy that connects everything, or answers `status`. */
export async function proxy(t: TestContext, { status = 200 } = {}): Promise<{ port: number; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createProxy()
  server.on('connect', (request, client) => {
    asked.push({ path: request.url, authorization: request.headers['proxy-authorization'] })
    if (status !== 200) return client.end(`HTTP/1.1 ${status} No\r\n\r\n`)
    const upstream = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.pipe(upstream).pipe(client)
    })
    for (const socket of [client, upstream]) socket.on('error', () => {})
  })
  return { port: await listen(t, server), asked }
}

/** A site that answers by HTTPS. @returns its address */
export async function site(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createHttps({ cert: certificate.cert, key: certificate.key }, answer)
  t.after(() => server.closeAllConnections())
  return `https://localhost:${await listen(t, server)}`
}
