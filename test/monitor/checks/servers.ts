import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/** A TCP server for one test; everything it accepted is destroyed at its end. Returns its port. */
export async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // the check hangs up on us; that is its right
    socket.on('close', () => sockets.delete(socket))
    onConnection(socket)
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  return opened(t, server)
}

/** An HTTP server for one test that answers by path; a missing path is 404. A value that is no string goes out as JSON. Returns its URL. */
export async function serve(
  t: TestContext,
  answers: Record<string, unknown | ((request: IncomingMessage, body: string) => { status?: number; body: unknown })>,
): Promise<string> {
  const server = createHttpServer(async (request: IncomingMessage, response: ServerResponse) => {
    const body = (await request.toArray()).join('')
    const found = answers[request.url ?? '']
    const { status = 200, body: answer } =
      found === undefined ? { status: 404, body: 'no such page' } : typeof found === 'function' ? found(request, body) : { body: found }
    response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  })
  return `http://127.0.0.1:${await opened(t, server)}`
}

async function opened(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return (server.address() as AddressInfo).port
}
