import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** What a proxy is asked for: the method, the request target and the header fields. */
type Asked = { method: string; target: string; headers: IncomingMessage['headers'] }

/**
 * A proxy on loopback that keeps what it is asked for, and takes every name for loopback. It asks for the credentials `probe:e%mple`
 * if it is told to.
 * @param options `tls` for a proxy that speaks TLS; `tunnel` for what it answers instead of opening a tunnel
 */
export async function startProxy(
  t: TestContext,
  { tls, credentials, tunnel }: { tls?: { cert: string; key: string }; credentials?: boolean; tunnel?: string } = {},
) {
  const asked: Asked[] = []
  const sockets = new Set<Socket>()
  const isAllowed = ({ headers }: IncomingMessage) =>
    !credentials || headers['proxy-authorization'] === `Basic ${Buffer.from('probe:e%mple').toString('base64')}`
  const keep = ({ method = '', url = '', headers }: IncomingMessage) => asked.push({ method, target: url, headers })
  const answer = (given: IncomingMessage, response: ServerResponse) => {
    keep(given)
    if (!isAllowed(given)) return response.writeHead(407).end()
    const { port, pathname, search } = new URL(given.url ?? '')
    const { 'proxy-authorization': _, ...headers } = given.headers
    const onward = request({ host: '127.0.0.1', port: port || 80, path: pathname + search, method: given.method, headers }, (found) => {
      response.writeHead(found.statusCode ?? 502, found.headers)
      found.pipe(response)
    })
    onward.on('error', () => response.writeHead(502).end())
    given.pipe(onward)
  }
  const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer)
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.on('connect', (given: IncomingMessage, socket: Socket) => {
    keep(given)
    socket.on('error', () => {})
    if (!isAllowed(given)) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    if (tunnel !== undefined) return socket.end(tunnel)
    const onward = connect(Number(given.url?.split(':').at(-1)), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    sockets.add(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}
