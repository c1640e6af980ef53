import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { shownBy } from '../../../shared/discretion.ts'
import { LineReader } from '../../wire/line-reader.ts'
import type { Match, Pattern } from '../../wire/patterns.ts'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket } from '../../wire/socket.ts'
import { secure, tlsOf } from '../../wire/tls.ts'
import { rawBytesOf } from '../modules/raw-text.ts'
import { type TcpSettings, tcpSettings } from '../modules/tcp.ts'
import type { Resolved } from '../resolve.ts'
import { close, setTls } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget } from './target.ts'
import { trustOf } from './tls.ts'

const lineEnd = Buffer.from('\n')

const regexHelp = '1 if the probe failed because of a regular expression.'
const bytesHelp = '1 if the probe failed because of expect_bytes.'

/** The prober `tcp`. */
export const tcp: Prober<typeof tcpSettings> = {
  settings: tcpSettings,
  left: [
    {
      where: 'tcp.query_response, expect_bytes',
      effect: 'differs',
      what: 'The probe waits until all bytes have come, from where the line before ended. blackbox_exporter takes one packet, and skips what it has read behind that line.',
      concerns: (module) => stepsOf(module).some((step) => recordOf(step).expect_bytes),
    },
  ],
  targetOf: (text) => hostTarget(text),
  begin: (series) => series.set('probe_failed_due_to_regex', regexHelp, 0),
  probe,
}

function stepsOf({ tcp }: Record<string, unknown>): readonly unknown[] {
  const steps = recordOf(tcp).query_response
  return Array.isArray(steps) ? steps : []
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** Connects, starts TLS if configured, and goes through the dialogue. Rejects if any step fails. */
async function probe(config: TcpSettings, run: ProbeRun): Promise<boolean> {
  const { reach, series, signal, dialogue } = run
  // A version of blackbox_exporter that knows expect_bytes has the series in every module; an older one has it in none.
  if (config.query_response.some(({ expect_bytes }) => expect_bytes)) series.set('probe_failed_due_to_bytes', bytesHelp, 0)
  const target = await reach(config)
  dialogue.say(config.tls ? 'Dialing TCP with TLS' : 'Dialing TCP without TLS', { ip: target.address, port: target.port })
  const { source_ip_address: localAddress } = config
  const connection = await openSocket(
    { host: target.address, port: target.port },
    signal,
    localAddress === undefined ? {} : { localAddress },
  )
  dialogue.say('Successfully dialed')
  try {
    await converse(config.tls ? await startTls(connection, config, target, run) : connection, config, target, run)
    return true
  } finally {
    close(connection)
  }
}

/** The steps in the order of blackbox_exporter: expect, send, TLS. */
async function converse(connection: Socket, config: TcpSettings, target: Resolved, run: ProbeRun): Promise<void> {
  const { series, signal, dialogue } = run
  const shown = shownBy('steps', config.query_response) as TcpSettings['query_response']
  let socket = connection
  let reader = new LineReader(socket, signal)
  for (const [index, { expect, expect_bytes, labels, send = '', starttls }] of config.query_response.entries()) {
    dialogue.say('Processing query response entry', { entry_number: index })
    const match = expect && (await expectLine(reader, expect, run))
    if (match && labels) {
      const values = labels.map(({ name, value }) => [name, match.expand(value).toString()])
      series.set('probe_expect_info', 'Always 1; the labels are parts of an expected line.', 1, Object.fromEntries(values))
    }
    if (expect_bytes) await expectBytes(reader, rawBytesOf(expect_bytes), run)
    // Without an expectation, nothing is replaced in the text.
    const text = rawBytesOf(send, match ? (part) => match.expand(part) : undefined)
    if (text.length > 0) {
      dialogue.say('Sending line', { line: shown[index]?.send === send ? text.toString() : shown[index]?.send, bytes: text.length + 1 })
      await sendLine(socket, text)
    }
    if (starttls) {
      socket = await startTls(socket, config, target, run)
      reader = new LineReader(socket, signal) // plaintext that was read before TLS is discarded (RFC 3207, section 5)
    }
  }
}

async function startTls(
  socket: Socket,
  { tls_config }: TcpSettings,
  { host }: Resolved,
  { series, dialogue }: ProbeRun,
): Promise<TLSSocket> {
  const tls = await secure(socket, tlsOf(trustOf(tls_config), host), tls_config.server_name ?? host)
  dialogue.say('TLS Handshake (client) succeeded.', { version: tls.getProtocol() ?? '', trusted: tls.authorized })
  // Go's crypto/tls verifies no chain if it need not, even if it could.
  setTls(series, tls, !tls_config.insecure_skip_verify)
  return tls
}

/** Reads up to the first line that matches. As in blackbox_exporter, the expression is to blame only when all lines were read. */
async function expectLine(reader: LineReader, expect: Pattern, { series, signal, dialogue }: ProbeRun): Promise<Match> {
  try {
    for (let line = await reader.line(); line !== undefined; line = await reader.line()) {
      dialogue.say('Read line', { line: line.toString() })
      const match = await expect.match(line, signal)
      if (match === undefined) continue
      dialogue.say('Regexp matched', { regexp: expect.source })
      series.set('probe_failed_due_to_regex', regexHelp, 0)
      return match
    }
  } catch (error) {
    dialogue.fail('Regexp did not match', { regexp: expect.source })
    throw error
  }
  series.set('probe_failed_due_to_regex', regexHelp, 1)
  dialogue.fail('Regexp did not match', { regexp: expect.source })
  throw new CheckFailure('unexpected_answer', 'The server closed the connection before a line matched.')
}

async function expectBytes(reader: LineReader, expected: Buffer, { series, dialogue }: ProbeRun): Promise<void> {
  const read = await reader.bytes(expected.length)
  const shown = { expected: expected.toString('latin1'), bytes: read.toString('latin1') }
  const fault = read.length < expected.length ? 'Read less data than expected' : read.equals(expected) ? undefined : 'Bytes did not match'
  if (fault === undefined) dialogue.say('Bytes matched', shown)
  else {
    // As in blackbox_exporter, an early end is not the fault of the bytes.
    if (read.length === expected.length) series.set('probe_failed_due_to_bytes', bytesHelp, 1)
    dialogue.fail(fault, shown)
    throw new CheckFailure('unexpected_answer', 'The server sent other bytes than expected.')
  }
}

/** Resolves when the text is with the system, so that the last text of a dialogue is sent before the connection is closed. */
function sendLine(socket: Socket, text: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(Buffer.concat([text, lineEnd]), (error) => (error ? reject(error) : resolve()))
  })
}
