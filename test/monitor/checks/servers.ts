import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** Starts a TCP server for one test, whose connections are destroyed at the end. Returns its port. */
export async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // the check may hang up
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  return opened(t, server)
}

/** Starts an HTTP server for one test that answers by path, or with 404. Values other than strings are sent as JSON. Returns its URL. */
export async function serve(
  t: TestContext,
  answers: Record<
    string,
    unknown | ((request: IncomingMessage, body: string) => { status?: number; headers?: Record<string, string>; body: unknown })
  >,
): Promise<string> {
  const server = createHttpServer(async (request: IncomingMessage, response: ServerResponse) => {
    const body = (await request.toArray()).join('')
    const found = answers[request.url ?? '']
    const {
      status = 200,
      headers = {},
      body: answer,
    } = found === undefined ? { status: 404, body: 'no such page' } : typeof found === 'function' ? found(request, body) : { body: found }
    response.writeHead(status, headers).end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  return `http://127.0.0.1:${await opened(t, server)}`
}

/** Starts two servers for one test. The first redirects to the second, on port `elsewhere`; `heard` holds the requests of both. */
export async function redirectingPair(t: TestContext): Promise<{ port: number; elsewhere: number; heard: string[] }> {
  const heard: string[] = []
  const answering = (answer: string) =>
    listen(t, (socket) =>
      socket.once('data', (request) => {
        heard.push(request.toString())
        socket.end(`HTTP/1.1 ${answer}\r\nContent-Length: 0\r\n\r\n`)
      }),
    )
  const elsewhere = await answering('200 OK')
  return { port: await answering(`302 Found\r\nLocation: http://127.0.0.1:${elsewhere}/`), elsewhere, heard }
}

async function opened(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return (server.address() as AddressInfo).port
}
