import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

/** A proxy on the way to a cloud that cuts connections while the other side answers. */
export type LossyProxy = {
  /** For `HTTPS_PROXY`. */
  url: string
  /** How many pieces of answers have come, and how many of them were the last ones of their connections. */
  readonly count: { pieces: number; cut: number }
  close(): Promise<void>
}

/**
 * A proxy for CONNECT (RFC 9110, section 9.3.6). What the client sends always arrives; of what the server sends, each piece may be the last one
 * of its connection, which then ends without it.
 * @param isLost asked for each piece
 * @param localAddress what the other side sees it come from
 */
export async function startLossyProxy(isLost: () => boolean, localAddress = '127.0.0.1'): Promise<LossyProxy> {
  const count = { pieces: 0, cut: 0 }
  const sockets = new Set<Socket>()
  const server: Server = createServer((_request, response) => response.writeHead(405).end())
  server.on('connect', ({ url = '' }, client: Socket, head: Buffer) => {
    const { hostname, port } = new URL(`tcp://${url}`)
    const far = connect({ port: Number(port), host: hostname, localAddress }, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      far.write(head)
      client.pipe(far)
    })
    const end = () => {
      client.destroy()
      far.destroy()
    }
    for (const socket of [client, far]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    far.on('data', (piece) => {
      count.pieces++
      if (!isLost()) return client.write(piece)
      count.cut++
      end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    count,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
