import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { createServingCertificate, type ServingCertificate } from '../cluster/index.ts'
import type { Fault } from './faults.ts'
import { HonestCloud } from './honest-cloud.ts'

/** A cloud that listens on this machine. */
export type ServedCloud = {
  cloud: HonestCloud
  origin: string
  /** The CA of its first certificate. */
  ca: string
  server: Server
  /** What it does in place of the honest answer, to each request from now on. */
  fault: Fault | undefined
  /** Changes its certificate: new connections get it, and the others end. */
  use(certificate: ServingCertificate): void
  close(): Promise<void>
}

/** Answers a request, which came over that connection. */
export type Answering = (request: Request, connection: HttpBindings) => Response | Promise<Response>

/**
 * Serves a cloud over HTTPS, on a free port or the given one. Connections are kept for longer than the usual heartbeat, as the contract asks.
 * @param around sees each request before the cloud, and each answer after it
 * @param host how regions call this machine
 */
export async function serveCloud(
  now: () => number = Date.now,
  around: (cloud: HonestCloud) => Answering = (cloud) => cloud.app.fetch,
  port = 0,
  host = '127.0.0.1',
): Promise<ServedCloud> {
  const { ca, cert, key } = await createServingCertificate('cloud')
  const server = createServer({ cert, key, keepAliveTimeout: 120_000 })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const origin = `https://${host}:${(server.address() as AddressInfo).port}`
  const cloud = new HonestCloud(origin, now)
  const answering = around(cloud)
  const honest = getRequestListener((request, connection) => answering(request, connection as HttpBindings))
  const served: ServedCloud = {
    fault: undefined,
    cloud,
    origin,
    ca,
    server,
    use({ cert, key }) {
      server.setSecureContext({ cert, key })
      server.closeAllConnections()
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  server.on('request', (request, response) => {
    if (served.fault) void served.fault({ request, response, cloud })
    else void honest(request, response)
  })
  return served
}
