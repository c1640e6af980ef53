import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { createServingCertificate } from '../certificates.ts'
import type { DatabaseState, Databases, Health } from './databases.ts'
import type { Bucket } from './repository-state.ts'
import { runStatement } from './sql.ts'
import { SqlError } from './sql-error.ts'

/** The HTTP endpoints of all databases of a cluster, behind one address. */
export type DatabaseStandIn = {
  /** `http://127.0.0.1:PORT` */
  url: string
  /** The SQL endpoint of a database. */
  urlOf(namespace: string, name: string): string
  /** The contents of a database, to read and to change. */
  state(namespace: string, name: string): DatabaseState
  /** A bucket of the store that all databases can reach. */
  bucket(name: string): Bucket
  /** Overrides the health of a database; undefined makes it depend on the nodes again. */
  setHealth(namespace: string, name: string, health: Health | undefined): void
  stop(): Promise<void>
}

/**
 * Serves `POST /<namespace>/<name>/_sql` as CrateDB does: HTTP Basic authentication as `system` or a user created later, JSON requests and
 * answers, its error codes. A database without a ready node hangs up. One with a keystore speaks TLS, with a certificate that nobody knows.
 */
export async function serveDatabases(databases: Databases): Promise<DatabaseStandIn> {
  const handle = (isTls: boolean) => (request: IncomingMessage, response: ServerResponse) => {
    answer(databases, request, response, isTls).catch(() => response.destroy())
  }
  const plain = createServer(handle(false))
  const secure = createTlsServer(await createServingCertificate('of a customer'), handle(true))
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
    socket.once('readable', () => {
      const first: Buffer | null = socket.read()
      if (first === null) return void socket.destroy()
      socket.unshift(first)
      // A handshake of TLS begins with a record of type 22.
      const chosen = first[0] === 22 ? secure : plain
      chosen.emit('connection', socket)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    urlOf: (namespace, name) => `${url}/${namespace}/${name}/_sql`,
    state: (namespace, name) => databases.state(`${namespace}/${name}`),
    bucket: (name) => databases.bucket(name),
    setHealth: (namespace, name, health) => databases.setHealth(`${namespace}/${name}`, health),
    async stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
      if (server.listening) await once(server, 'close')
    },
  }
}

async function answer(databases: Databases, request: IncomingMessage, response: ServerResponse, isTls: boolean): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://database')
  const [, namespace, name, endpoint] = pathname.split('/')
  const key = `${namespace}/${name}`
  const text = await readBody(request)
  if (endpoint === undefined || databases.nodes(key).length === 0 || databases.hasTls(key) !== isTls) return void request.socket.destroy()
  if (endpoint !== '_sql' || request.method !== 'POST') return void response.writeHead(404).end('404 Not Found')
  const user = authenticate(databases, key, request.headers.authorization)
  if (user instanceof Refused) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="CrateDB Authenticator"', 'content-type': 'text/plain; charset=UTF-8' })
    return void response.end(user.message)
  }
  const { status, body } = await execute(databases, key, user, text)
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body))
}

async function execute(databases: Databases, key: string, user: string, text: string): Promise<{ status: number; body: unknown }> {
  const started = performance.now()
  try {
    const { stmt, args = [] } = parseRequest(text)
    databases.state(key).statements.push({ stmt, args, user })
    const { cols, rows, rowcount } = await runStatement({ databases, key, user }, stmt, args)
    return { status: 200, body: { cols, rows, rowcount, duration: performance.now() - started } }
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return { status: statusOf(error.code), body: { error: { message: error.message, code: error.code } } }
  }
}

function parseRequest(text: string): { stmt: string; args?: unknown[] } {
  try {
    const body: unknown = JSON.parse(text)
    if (body !== null && typeof body === 'object' && 'stmt' in body && typeof body.stmt === 'string') return body as { stmt: string }
  } catch {
    // reported below, like any other invalid body
  }
  throw new SqlError(4000, 'SQLParseException[Invalid SQL request body]')
}

/** Both 4041 and 40410 are a 404. */
const statusOf = (code: number): number => Number(String(code).slice(0, 3))

class Refused extends Error {}

function authenticate(databases: Databases, key: string, header: string | undefined): string | Refused {
  const [user = '', ...rest] = Buffer.from(header?.replace(/^Basic /i, '') ?? '', 'base64')
    .toString()
    .split(':')
  const { users } = databases.state(key)
  const expected = user === 'system' ? databases.systemPassword(key) : users.get(user)?.password
  // The superuser can connect only from inside the pods.
  if (user === '' || user === 'crate') return new Refused('trust authentication failed for user "crate"')
  return users.has(user) && expected !== undefined && expected === rest.join(':')
    ? user
    : new Refused(`password authentication failed for user "${user}"`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
