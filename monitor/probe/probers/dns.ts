import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { CheckFailure } from '../../wire/reasons.ts'
import { openSocket, readSocket } from '../../wire/socket.ts'
import { type DnsSettings, dnsCodes, dnsSettings, dnsTypes } from '../modules/dns.ts'
import type { Resolved } from '../resolve.ts'
import { close, type ProbeSeries } from '../series.ts'
import type { ProbeRun, Prober } from './prober.ts'
import { hostTarget } from './target.ts'

const help = {
  probe_dns_query_succeeded: '1 if an answer arrived.',
  probe_dns_answer_rrs: 'Records in the answer section.',
  probe_dns_authority_rrs: 'Records in the authority section.',
  probe_dns_additional_rrs: 'Records in the additional section.',
}

/** The prober `dns`. */
export const dns: Prober<typeof dnsSettings> = { settings: dnsSettings, targetOf: (text) => hostTarget(text, 53), begin, probe }

function begin(series: ProbeSeries): void {
  for (const [name, text] of Object.entries(help)) series.set(name, text, 0)
  for (const phase of ['resolve', 'connect', 'request']) setPhase(series, phase, 0)
}

function setPhase(series: ProbeSeries, phase: string, seconds: number): void {
  series.set('probe_dns_duration_seconds', 'Duration of each phase.', seconds, { phase })
}

/** Queries the target, a name server. True if the response code is an expected one. */
async function probe(config: DnsSettings, { reach, series, signal, dialogue }: ProbeRun): Promise<boolean> {
  const target = await reach(config)
  const id = randomInt(65_536)
  const query = queryOf(id, config)
  setPhase(series, 'resolve', target.ms / 1000)
  const ask = config.transport_protocol === 'udp' ? askUdp : askTcp
  dialogue.say('Making DNS query', {
    ip: target.address,
    port: target.port,
    protocol: config.transport_protocol,
    query: config.query_name,
    type: config.query_type,
  })
  const { answer, connectMs, requestMs } = await ask(query, target, signal)
  setPhase(series, 'connect', connectMs / 1000)
  setPhase(series, 'request', requestMs / 1000)
  series.set('probe_dns_query_succeeded', help.probe_dns_query_succeeded, 1)
  series.set('probe_dns_answer_rrs', help.probe_dns_answer_rrs, answer.readUInt16BE(6))
  series.set('probe_dns_authority_rrs', help.probe_dns_authority_rrs, answer.readUInt16BE(8))
  series.set('probe_dns_additional_rrs', help.probe_dns_additional_rrs, answer.readUInt16BE(10))
  if (config.query_type === 'SOA') {
    const serial = serialOf(answer)
    if (serial !== undefined) series.set('probe_dns_serial', 'Serial number of the zone.', serial)
  }
  const rcode = (answer[3] ?? 0) & 15
  const code = dnsCodes[rcode]
  dialogue.say('Got response', {
    bytes: answer.length,
    rcode: code ?? rcode,
    answer_rrs: answer.readUInt16BE(6),
    authority_rrs: answer.readUInt16BE(8),
    additional_rrs: answer.readUInt16BE(10),
  })
  const isValid = code !== undefined && config.valid_rcodes.includes(code)
  if (isValid) dialogue.say('Rcode is valid', { rcode: code })
  else dialogue.fail('Rcode is not one of the valid rcodes', { rcode: code ?? rcode, valid_rcodes: config.valid_rcodes.join(' ') })
  return isValid
}

/** A query (RFC 1035, section 4.1) with one question, class IN. */
function queryOf(id: number, { query_name, query_type, recursion_desired }: DnsSettings): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(id, 0)
  head.writeUInt16BE(recursion_desired ? 0x0100 : 0, 2)
  head.writeUInt16BE(1, 4)
  const labels = query_name.split('.').filter((label) => label !== '')
  const name = labels.flatMap((label) => [Buffer.from([Buffer.byteLength(label)]), Buffer.from(label)])
  const tail = Buffer.alloc(5)
  tail.writeUInt16BE(dnsTypes[query_type], 1)
  tail.writeUInt16BE(1, 3)
  return Buffer.concat([head, ...name, tail])
}

type Asked = { answer: Buffer; connectMs: number; requestMs: number }

function isAnswerTo(query: Buffer, message: Buffer): boolean {
  return message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0) && ((message[2] ?? 0) & 0x80) !== 0
}

/** The connected socket receives datagrams from this address and port only. Datagrams with another id are ignored. */
function askUdp(query: Buffer, { address, port, family }: Resolved, signal: AbortSignal): Promise<Asked> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
    const started = performance.now()
    let connected = started
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort)
      socket.removeAllListeners().on('error', () => {})
      socket.close()
      settle()
    }
    const onAbort = () => finish(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error) => finish(() => reject(error)))
    socket.on('message', (answer) => {
      if (isAnswerTo(query, answer))
        finish(() => resolve({ answer, connectMs: connected - started, requestMs: performance.now() - connected }))
    })
    socket.connect(port, address, () => {
      connected = performance.now()
      socket.send(query)
    })
  })
}

/** Over TCP, each message is preceded by its length (RFC 1035, section 4.2.2). */
async function askTcp(query: Buffer, { address, port }: Resolved, signal: AbortSignal): Promise<Asked> {
  const started = performance.now()
  const socket = await openSocket({ host: address, port }, signal)
  try {
    const connected = performance.now()
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query]))
    const read = await readSocket(socket, {
      maxBytes: 65_537,
      enough: (bytes) => bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0),
    })
    const answer = read.subarray(2)
    if (!isAnswerTo(query, answer)) throw new CheckFailure('protocol', 'The answer does not belong to the query.')
    return { answer, connectMs: connected - started, requestMs: performance.now() - connected }
  } finally {
    close(socket)
  }
}

/** The serial number of the first SOA record among the answers; undefined without one, or if the message is malformed. */
function serialOf(message: Buffer): number | undefined {
  try {
    let at = 12
    for (let question = message.readUInt16BE(4); question > 0; question--) at = afterName(message, at) + 4
    for (let record = message.readUInt16BE(6); record > 0; record--) {
      const fields = afterName(message, at)
      const data = fields + 10
      if (message.readUInt16BE(fields) === dnsTypes.SOA) return message.readUInt32BE(afterName(message, afterName(message, data)))
      at = data + message.readUInt16BE(fields + 8)
    }
  } catch {
    // A length points outside the message, so there is no serial number to read.
  }
  return undefined
}

/** The offset behind a name, which ends with an empty label or a pointer. @throws RangeError outside the message */
function afterName(message: Buffer, start: number): number {
  let at = start
  for (;;) {
    const length = message.readUInt8(at)
    if (length === 0) return at + 1
    if (length >= 0xc0) return at + 2
    at += 1 + length
  }
}
