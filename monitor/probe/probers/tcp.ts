import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Match, Pattern } from '../../wire/patterns.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket, readSocket } from '../../wire/socket.ts'
import { earliestExpiry, secure, tlsOf } from '../../wire/tls.ts'
import { type TcpSettings, tcpSettings } from '../modules/tcp.ts'
import { close, type ProbeSeries, setCertificate, setTls } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget } from './target.ts'
import { trustOf } from './tls.ts'

/** The most bytes to read while waiting for a line. */
const maxBytes = 64 * 1024

const lineEnd = Buffer.from('\n')

const regexHelp = '1 if the probe failed because of a regular expression.'

/** The prober `tcp`. */
export const tcp: Prober<typeof tcpSettings> = {
  settings: tcpSettings,
  targetOf: (text) => hostTarget(text),
  begin: (series) => series.set('probe_failed_due_to_regex', regexHelp, 0),
  probe,
}

/** Connects, starts TLS if configured, and goes through the dialogue. Rejects if any step fails. */
async function probe(config: TcpSettings, { reach, series, signal }: ProbeRun): Promise<boolean> {
  const target = await reach(config)
  const connection = await openSocket({ host: target.address, port: target.port }, signal)
  try {
    let socket: Socket = connection
    const begin = async () => {
      const { tls_config } = config
      const tls = await secure(socket, tlsOf(trustOf(tls_config), target.host), tls_config.server_name ?? target.host)
      describe(tls, series)
      socket = tls
    }
    if (config.tls) await begin()
    let rest: Buffer = Buffer.alloc(0)
    for (const { expect, send, starttls } of config.query_response) {
      let line: Match | undefined
      if (expect !== undefined) {
        const found = await expectLine(socket, rest, expect, signal).catch((error) => {
          if (error instanceof CheckFailure || signal.aborted) series.set('probe_failed_due_to_regex', regexHelp, 1)
          throw error
        })
        line = found.match
        rest = found.rest
      }
      if (send !== undefined) socket.write(Buffer.concat([line?.expand(send) ?? Buffer.from(send), lineEnd]))
      if (starttls) {
        await begin()
        rest = Buffer.alloc(0) // plaintext is discarded when TLS starts (RFC 3207, section 5)
      }
    }
    return true
  } finally {
    close(connection)
  }
}

function describe(tls: TLSSocket, series: ProbeSeries): void {
  setTls(series, { expiresAt: earliestExpiry(tls), version: tls.getProtocol() ?? '', trusted: tls.authorized })
  setCertificate(series, tls)
}

/** Reads up to the first line that matches. The bytes behind it remain for the next step. */
async function expectLine(
  socket: Socket,
  before: Buffer,
  expression: Pattern,
  signal: AbortSignal,
): Promise<{ match: Match; rest: Buffer }> {
  let bytes = before
  for (let from = 0; ; ) {
    const end = bytes.indexOf(10, from)
    if (end === -1) {
      const read = await readSocket(socket, { maxBytes: maxBytes - bytes.length, enough: (now) => now.includes(10) })
      bytes = Buffer.concat([bytes, read])
      continue
    }
    const line = bytes.subarray(from, bytes[end - 1] === 13 && end > from ? end - 1 : end)
    from = end + 1
    const match = await expression.match(line, signal)
    if (match !== undefined) return { match, rest: Buffer.from(bytes.subarray(from)) }
  }
}
