import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { shownBy } from '../../../shared/discretion.ts'
import type { Match, Pattern } from '../../wire/patterns.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket, readSocket } from '../../wire/socket.ts'
import { earliestExpiry, secure, tlsOf } from '../../wire/tls.ts'
import type { Dialogue } from '../dialogue.ts'
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
async function probe(config: TcpSettings, { reach, series, signal, dialogue }: ProbeRun): Promise<boolean> {
  const target = await reach(config)
  dialogue.say(config.tls ? 'Dialing TCP with TLS' : 'Dialing TCP without TLS', { ip: target.address, port: target.port })
  const connection = await openSocket({ host: target.address, port: target.port }, signal)
  dialogue.say('Successfully dialed')
  try {
    let socket: Socket = connection
    const begin = async () => {
      const { tls_config } = config
      const tls = await secure(socket, tlsOf(trustOf(tls_config), target.host), tls_config.server_name ?? target.host)
      dialogue.say('TLS Handshake (client) succeeded.', { version: tls.getProtocol() ?? '', trusted: tls.authorized })
      describe(tls, series)
      socket = tls
    }
    if (config.tls) await begin()
    let rest: Buffer = Buffer.alloc(0)
    const shown = shownBy('steps', config.query_response) as typeof config.query_response
    for (const [index, { expect, send, starttls }] of config.query_response.entries()) {
      dialogue.say('Processing query response entry', { entry_number: index })
      let line: Match | undefined
      if (expect !== undefined) {
        const found = await expectLine(socket, rest, expect, { dialogue, signal }).catch((error) => {
          if (error instanceof CheckFailure || signal.aborted) series.set('probe_failed_due_to_regex', regexHelp, 1)
          dialogue.fail('Regexp did not match', { regexp: expect.source })
          throw error
        })
        line = found.match
        rest = found.rest
      }
      if (send !== undefined) {
        const sent = line?.expand(send) ?? Buffer.from(send)
        dialogue.say('Sending line', { line: shown[index]?.send === send ? sent.toString() : shown[index]?.send, bytes: sent.length + 1 })
        socket.write(Buffer.concat([sent, lineEnd]))
      }
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
  { dialogue, signal }: { dialogue: Dialogue; signal: AbortSignal },
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
    dialogue.say('Read line', { line: Buffer.from(line).toString() })
    const match = await expression.match(line, signal)
    if (match === undefined) continue
    dialogue.say('Regexp matched', { regexp: expression.source })
    return { match, rest: Buffer.from(bytes.subarray(from)) }
  }
}
