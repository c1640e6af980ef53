import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { Connection as MysqlConnection, QueryOptions } from 'mysql2'
import type { Secret } from '../../shared/fields.ts'
import { orAbort } from './abort.ts'
import { farewell } from './farewell.ts'
import { CheckFailure } from './reasons.ts'
import { defaultMaxBytes, openSocket } from './socket.ts'
import { secure, type TlsOptions, tlsOf } from './tls.ts'

/** Where and as whom to log in. */
export type MysqlLogin = TlsOptions & {
  host: string
  port: number
  username: string
  passwordFile?: Secret | undefined
  database?: string | undefined
  tls: boolean
}

/** A row, by the names of its columns. Text as the server sends it; numbers as numbers. */
export type MysqlRow = ReadonlyMap<string, unknown>

/** A session with MySQL or MariaDB. */
export type MysqlSession = {
  /** The rows of one statement. @throws the server's error (`errno`, `sqlState`), or that of the connection */
  query(statement: string): Promise<MysqlRow[]>
  /** Says COM_QUIT once the login has succeeded, and closes the connection. */
  close(): void
}

/** Without this packet, the server counts and logs an aborted connection (MySQL protocol documentation, "COM_QUIT"). */
const quit = Buffer.from('0100000001', 'hex')

/**
 * Opens a session, on a connection of our own: an abort closes it, it carries at most `defaultMaxBytes`, and its TLS is that of all checks.
 * mysql2 reads it through a `Wire`.
 * @throws the server's refusal, a CheckFailure, or the connection's error
 */
export async function openMysql(login: MysqlLogin, signal: AbortSignal): Promise<MysqlSession> {
  const { createConnection } = (await import('mysql2')).default
  const tcp = await openSocket(login, signal)
  const wire = new Wire(tcp)
  const client = createConnection({
    stream: wire,
    host: login.host,
    user: login.username,
    password: login.passwordFile?.reveal() ?? '',
    ...(login.database !== undefined && { database: login.database }),
    ...(login.tls && { ssl: {} }),
    // No file of this machine for a server that asks for one.
    flags: ['-LOCAL_FILES'],
    // By default, mysql2 compiles a program from the names of the columns that a server sends.
    disableEval: true,
    rowsAsArray: true,
    trace: false,
    connectTimeout: 0,
    connectAttributes: { program_name: 'skerry-monitor' },
  } as Parameters<typeof createConnection>[0])
  client.on('error', () => {}) // the awaited promise rejects, too; without a listener the error would end the process
  client.on('warn', (error: Error) => {
    throw error // packets out of order, which mysql2 would write to standard error and read on
  })
  if (login.tls) secureWith(client, wire, login)
  let hasSession = false
  const close = () => void (hasSession ? farewell(wire.release(), quit) : tcp.destroy())
  const guarded = <T>(work: Promise<T>) => orAbort(Promise.race([work, wire.broken]), signal, close)
  try {
    await guarded(new Promise<void>((resolve, reject) => void client.connect((error) => (error ? reject(error) : resolve()))))
  } catch (error) {
    close()
    throw error
  }
  hasSession = true
  return { query: (statement) => guarded(rowsOf(client, statement)), close }
}

/** mysql2's own TLS reads its settings as texts, and holds the certificate of an address against the name `localhost`. */
function secureWith(client: MysqlConnection, wire: Wire, login: MysqlLogin): void {
  const inside = client as unknown as { startTLS: (then: (error?: Error) => void) => void }
  inside.startTLS = (then) => {
    secure(wire.release(), tlsOf(login, login.host), login.serverName ?? login.host).then(
      (socket) => {
        wire.attach(socket)
        then()
      },
      (error: Error) => wire.fail(error),
    )
  }
}

function rowsOf(client: MysqlConnection, statement: string): Promise<MysqlRow[]> {
  const options: QueryOptions = { sql: statement, rowsAsArray: true }
  return new Promise((resolve, reject) => {
    client.query(options, (error, rows, fields) => {
      if (error) return reject(error)
      if (!Array.isArray(rows) || !Array.isArray(fields)) return resolve([])
      const names = fields.map((field) => field?.name ?? '')
      resolve((rows as unknown[][]).map((row) => new Map(names.map((name, index) => [name, row[index]]))))
    })
  })
}

/**
 * The stream that mysql2 reads: a socket, and later the TLS socket on it. mysql2 throws in the middle of its listener when a packet is
 * malformed. In the listener of a socket, that would end the process; here it ends the connection.
 */
class Wire extends EventEmitter {
  socket: Socket
  /** Rejects when the connection breaks. */
  readonly broken: Promise<never>
  #break: (error: unknown) => void
  #bytes = 0

  constructor(socket: Socket) {
    super()
    const { promise, reject } = Promise.withResolvers<never>()
    promise.catch(() => {}) // whoever waits for the connection hears of it
    this.broken = promise
    this.#break = reject
    this.socket = socket
    this.attach(socket)
  }

  get destroyed(): boolean {
    return this.socket.destroyed
  }

  /** Reads this socket from now on. */
  attach(socket: Socket): void {
    this.socket = socket
    socket.on('data', this.#onData)
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new CheckFailure('connection_lost', lost)))
  }

  /** The socket, which is no longer read here. */
  release(): Socket {
    return this.socket.off('data', this.#onData)
  }

  /** Closes the connection for this error. The first one counts. */
  fail(error: unknown): void {
    this.#break(error)
    this.socket.destroy()
  }

  write(bytes: Buffer): boolean {
    return this.socket.write(bytes)
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length
    if (this.#bytes > defaultMaxBytes) {
      this.fail(new CheckFailure('too_large', `The server sent more than ${defaultMaxBytes} bytes. Is this a MySQL server?`))
      return
    }
    // mysql2 prints its stack where a number is malformed, before it throws. Nothing else runs until the parser returns.
    const { trace } = console
    console.trace = () => {}
    try {
      this.emit('data', chunk)
    } catch (cause) {
      this.fail(new CheckFailure('protocol', 'The server does not answer like MySQL. Is this the right port?', { cause }))
    } finally {
      console.trace = trace
    }
  }
}

const lost = 'The server closed the connection before the answer was complete. See its log.'
