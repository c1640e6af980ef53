import type { Socket } from 'node:net'
import { LineReader } from './line-reader.ts'
import { CheckFailure } from './reasons.ts'
import { shorten } from './wording.ts'

type Dialogue = { read: LineReader; write(text: string | Buffer): void }

/** The most lines of one answer. */
const maxLines = 200

/** How each protocol asks for TLS on a connection that begins without it, by the name of the protocol. */
const protocols = {
  /** RFC 3207. */
  smtp: async ({ read, write }: Dialogue) => {
    await lastLine(read, /^220 /, /^220-/)
    write('EHLO skerry-monitor\r\n')
    const offer = await lastLine(read, /^250 /, /^250-/)
    if (!offer.some((line) => /^250[ -]STARTTLS\s*$/i.test(line))) throw refused('It does not offer STARTTLS')
    write('STARTTLS\r\n')
    await lastLine(read, /^220 /, /^220-/)
  },
  /** RFC 9051, section 6.2.1. */
  imap: async ({ read, write }: Dialogue) => {
    await lastLine(read, /^\* (OK|PREAUTH)\b/i)
    write('a1 STARTTLS\r\n')
    await lastLine(read, /^a1 OK\b/i, /^\* /)
  },
  /** RFC 2595, section 4. */
  pop3: async ({ read, write }: Dialogue) => {
    await lastLine(read, /^\+OK\b/)
    write('STLS\r\n')
    await lastLine(read, /^\+OK\b/)
  },
  /** RFC 4217, section 4. */
  ftp: async ({ read, write }: Dialogue) => {
    await lastLine(read, /^220 /, /^(220-|(?!\d{3} ))/)
    write('AUTH TLS\r\n')
    await lastLine(read, /^234 /, /^(234-|(?!\d{3} ))/)
  },
  /** PostgreSQL's SSLRequest (its documentation, "Message Formats"). */
  postgresql: async ({ read, write }: Dialogue) => {
    write(Buffer.from('0000000804d2162f', 'hex'))
    const answer = (await read.bytes(1)).toString('latin1')
    if (answer === 'N') throw refused('It has no TLS configured')
    if (answer !== 'S') throw refused(`It sent ${JSON.stringify(answer)}`)
  },
} satisfies Record<string, (dialogue: Dialogue) => Promise<void>>

/** How each protocol takes its leave, where it has words for that before a login. */
export const goodbyes: Partial<Record<StartTlsProtocol, string>> = {
  smtp: 'QUIT\r\n',
  imap: 'a2 LOGOUT\r\n',
  pop3: 'QUIT\r\n',
  ftp: 'QUIT\r\n',
}

/** A protocol that can start TLS. */
export type StartTlsProtocol = keyof typeof protocols

/** The protocols that can start TLS. */
export const startTlsProtocols = Object.keys(protocols) as [StartTlsProtocol, ...StartTlsProtocol[]]

/**
 * Asks a server, on a connection without TLS, to go on with TLS. The handshake comes next.
 * @param signal the signal that the socket was opened with
 * @throws CheckFailure `protocol` or `connection_lost`; the socket's error; the signal's reason
 */
export async function askForTls(socket: Socket, protocol: StartTlsProtocol, signal: AbortSignal): Promise<void> {
  await protocols[protocol]({ read: new LineReader(socket, signal), write: (text) => socket.write(text) })
}

/** Reads the lines of one answer, which go on as long as they match `more`, up to the one that ends it. */
async function lastLine(read: LineReader, last: RegExp, more?: RegExp): Promise<string[]> {
  const lines: string[] = []
  while (lines.length < maxLines) {
    const line = (await read.line())?.toString('latin1')
    if (line === undefined) throw new CheckFailure('connection_lost', 'The server closed the connection before TLS started. See its log.')
    lines.push(line)
    if (last.test(line)) return lines
    if (!more?.test(line)) throw refused(`It sent ${JSON.stringify(shorten(line, 100))}`)
  }
  throw refused(`It sent more than ${maxLines} lines`)
}

function refused(what: string): CheckFailure {
  return new CheckFailure('protocol', `The server does not start TLS. ${what}. Check starttls, the port, and the server's configuration.`)
}
