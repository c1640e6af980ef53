import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { shownBy } from '../../../shared/discretion.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket, readSocket } from '../../wire/socket.ts'
import { earliestExpiry, secure, tlsOf } from '../../wire/tls.ts'
import type { Dialogue } from '../dialogue.ts'
import { expressionOf } from '../modules/fields.ts'
import { type TcpSettings, tcpSettings } from '../modules/tcp.ts'
import { close, type ProbeSeries, setCertificate, setTls } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget } from './target.ts'
import { trustOf } from './tls.ts'

/** The most bytes to read while waiting for a line. */
const maxBytes = 64 * 1024

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
      let groups: readonly string[] = []
      if (expect !== undefined) {
        const expected = { source: expect, expression: expressionOf(expect) as RegExp }
        const found = await expectLine(socket, rest, expected, dialogue).catch((error) => {
          if (error instanceof CheckFailure || signal.aborted) series.set('probe_failed_due_to_regex', regexHelp, 1)
          dialogue.fail('Regexp did not match', { regexp: expect })
          throw error
        })
        groups = found.groups
        rest = found.rest
      }
      if (send !== undefined) {
        const line = expand(send, groups)
        dialogue.say('Sending line', { line: shown[index]?.send === send ? line : shown[index]?.send, bytes: Buffer.byteLength(line) + 1 })
        socket.write(`${line}\n`)
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
  { source, expression }: { source: string; expression: RegExp },
  dialogue: Dialogue,
): Promise<{ groups: readonly string[]; rest: Buffer }> {
  let found: { groups: readonly string[]; end: number } | undefined
  let from = 0
  const look = (bytes: Buffer): boolean => {
    for (let end = bytes.indexOf(10, from); end !== -1; end = bytes.indexOf(10, from)) {
      const line = bytes.toString('utf8', from, end).replace(/\r$/, '')
      const match = expression.exec(line)
      from = end + 1
      dialogue.say('Read line', { line })
      if (match !== null) {
        dialogue.say('Regexp matched', { regexp: source })
        found = { groups: [...match], end: from }
        return true
      }
    }
    return false
  }
  let bytes = before
  if (!look(before)) {
    const offset = before.length
    let joined = before
    const read = await readSocket(socket, {
      maxBytes: maxBytes - offset,
      enough: (now) => {
        joined = Buffer.concat([before, now])
        return look(joined)
      },
    })
    bytes = Buffer.concat([before, read])
  }
  const { groups, end } = found as unknown as { groups: readonly string[]; end: number }
  return { groups, rest: Buffer.from(bytes.subarray(end)) }
}

/** Replaces `${1}` and `$1` by the groups of the matched line. */
function expand(text: string, groups: readonly string[]): string {
  return text.replace(/\$(?:\{(\d{1,2})\}|(\d{1,2}))/g, (_, braced, bare) => groups[Number(braced ?? bare)] ?? '')
}
