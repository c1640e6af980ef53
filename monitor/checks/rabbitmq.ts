import type { Options as AmqpOptions } from 'amqplib'
import * as z from 'zod'
import { orAbort } from '../wire/abort.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { ask, below, httpFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { tlsOf } from '../wire/tls.ts'
import { count, shorten, someOf, versionIn } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Finding, type Measurement, resultOf } from './kind.ts'

const { tokenFile: _, ...access } = httpFields

const options = z
  .strictObject({
    host: host.optional().describe('Host for AMQP. Without it, only the management API is checked.'),
    port: port.optional().describe('Port for AMQP: 5672, or 5671 with TLS.'),
    vhost: z.string().min(1).max(255).default('/').describe('Virtual host for AMQP.'),
    tls: z.boolean().default(false).describe('Whether AMQP uses TLS.'),
    url: httpUrl.optional().describe('The management API, such as http://rabbitmq:15672. Without it, only AMQP is checked.'),
    maxMessages: z.int().min(0).optional().describe('Degraded when all queues together hold more messages.'),
    ...access,
  })
  .refine(({ host, url }) => host !== undefined || url !== undefined, { error: 'needs host, url or both', path: ['host'] })

type RabbitmqOptions = z.output<typeof options>

const node = z.object({
  name: z.string(),
  running: z.boolean(),
  mem_alarm: z.boolean().default(false),
  disk_free_alarm: z.boolean().default(false),
  partitions: z.array(z.unknown()).default([]),
})
const overview = z.object({
  rabbitmq_version: z.string(),
  queue_totals: z
    .object({ messages: z.number().default(0), messages_unacknowledged: z.number().default(0) })
    .default({ messages: 0, messages_unacknowledged: 0 }),
  object_totals: z
    .object({ queues: z.number().default(0), connections: z.number().default(0), consumers: z.number().default(0) })
    .default({ queues: 0, connections: 0, consumers: 0 }),
})

/** Up when an AMQP handshake succeeds and no node has an alarm. */
export const rabbitmq = checkKind({
  about:
    'With `host`, opens and closes an AMQP connection. With `url`, asks the management API for nodes and alarms, for which the user needs the tag monitoring. Down when either fails. Degraded by an alarm (which blocks publishers), a stopped node, a network partition, or too many messages.',
  example: {
    host: 'rabbitmq.example.com',
    url: 'http://rabbitmq.example.com:15672',
    username: 'monitor',
    passwordFile: '/etc/skerry/rabbitmq-password',
  },
  options,
  measures: {
    skerry_rabbitmq_info: { type: 'gauge', help: 'Always 1; the version is its label.', labels: ['version'] },
    skerry_rabbitmq_handshake_seconds: { type: 'gauge', help: 'Time to open the AMQP connection.' },
    skerry_rabbitmq_nodes: { type: 'gauge', help: 'Nodes, by state: running, stopped.', labels: ['state'] },
    skerry_rabbitmq_alarms: { type: 'gauge', help: 'Nodes with an alarm, by alarm: memory, disk.', labels: ['alarm'] },
    skerry_rabbitmq_queues: { type: 'gauge', help: 'Queues.' },
    skerry_rabbitmq_connections: { type: 'gauge', help: 'Connections.' },
    skerry_rabbitmq_consumers: { type: 'gauge', help: 'Consumers.' },
    skerry_rabbitmq_messages: { type: 'gauge', help: 'Messages in all queues.' },
  },
  target: (options) =>
    options.host === undefined ? targetOfUrl(options.url as string) : hostAndPort({ host: options.host, port: portOf(options) }),
  async check(options, { signal }) {
    const measurements: Measurement[] = []
    if (options.host !== undefined) {
      const started = performance.now()
      await handshake(options, options.host, signal)
      measurements.push({ name: 'skerry_rabbitmq_handshake_seconds', value: (performance.now() - started) / 1000 })
    }
    if (options.url === undefined) return { state: 'up', detail: 'An AMQP connection opened and closed.', measurements }
    return manage(options, options.url, signal, measurements)
  },
})

function portOf({ port, tls }: RabbitmqOptions): number {
  return port ?? (tls ? 5671 : 5672)
}

async function handshake(options: RabbitmqOptions, hostname: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { connect } = (await import('amqplib')).default
  const { username = 'guest', passwordFile, vhost, tls } = options
  const address: AmqpOptions.Connect = {
    protocol: tls ? 'amqps' : 'amqp',
    hostname,
    port: portOf(options),
    username,
    password: passwordFile?.reveal() ?? (options.username === undefined ? 'guest' : ''),
    vhost: encodeURIComponent(vhost),
    heartbeat: 0,
    maxFrameSize: 128 * 1024,
  }
  // The signal goes to the socket, because nothing else closes a connection whose handshake hangs.
  const closing = new AbortController()
  const socketOptions = {
    signal: closing.signal,
    noDelay: true,
    ...(tls && tlsOf(options, hostname)),
  }
  const opening = connect(address, socketOptions).then(async (connection) => {
    connection.on('error', () => {})
    await connection.close()
  })
  try {
    await orAbort(opening, signal, () => {})
  } catch (error) {
    throw signal.aborted ? error : amqpFailure(error, username, vhost)
  } finally {
    closing.abort()
  }
}

function amqpFailure(error: unknown, username: string, vhost: string): unknown {
  if (!(error instanceof Error) || ('code' in error && typeof error.code === 'string')) return error
  const said = shorten(error.message, 160)
  if (/ACCESS-REFUSED|\b403\b/.test(said))
    return new CheckFailure(
      'unauthorized',
      `RabbitMQ rejects user ${username}: ${said}. Check the password, and the user's permissions on ${vhost}.`,
      {
        cause: error,
      },
    )
  if (/NOT.ALLOWED|\b530\b|OpenOk; got <ConnectionClose/.test(said))
    return new CheckFailure(
      'missing',
      `RabbitMQ refuses access to virtual host ${vhost}. Check that it exists, and that user ${username} may use it.`,
      { cause: error },
    )
  if (/closed|ended|ECONNRESET/i.test(said))
    return new CheckFailure('connection_lost', `The connection closed during the handshake: ${said}. See the log of RabbitMQ.`, {
      cause: error,
    })
  return new CheckFailure(
    'protocol',
    `The server does not speak AMQP 0-9-1: ${said}. Is this the right port, with or without TLS as configured?`,
    { cause: error },
  )
}

async function manage(options: RabbitmqOptions, url: string, signal: AbortSignal, measurements: Measurement[]): Promise<CheckResult> {
  const get = async <S extends z.ZodType>(path: string, schema: S) =>
    jsonOf(await ask(options, { url: below(url, path), maxBytes: 4 * 1024 * 1024, signal }), schema, { what: path })
  const {
    rabbitmq_version: version,
    queue_totals: totals,
    object_totals: objects,
  } = await get('/api/overview?columns=rabbitmq_version,queue_totals,object_totals', overview)
  const nodes = await get('/api/nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions', z.array(node).max(1000))
  const stopped = nodes.filter(({ running }) => !running)
  const alarms = { memory: nodes.filter((each) => each.mem_alarm), disk: nodes.filter((each) => each.disk_free_alarm) }
  measurements.push(
    { name: 'skerry_rabbitmq_info', labels: { version: versionIn(version) }, value: 1 },
    { name: 'skerry_rabbitmq_nodes', labels: { state: 'running' }, value: nodes.length - stopped.length },
    { name: 'skerry_rabbitmq_nodes', labels: { state: 'stopped' }, value: stopped.length },
    { name: 'skerry_rabbitmq_alarms', labels: { alarm: 'memory' }, value: alarms.memory.length },
    { name: 'skerry_rabbitmq_alarms', labels: { alarm: 'disk' }, value: alarms.disk.length },
    { name: 'skerry_rabbitmq_queues', value: objects.queues },
    { name: 'skerry_rabbitmq_connections', value: objects.connections },
    { name: 'skerry_rabbitmq_consumers', value: objects.consumers },
    { name: 'skerry_rabbitmq_messages', value: totals.messages },
  )
  const found: Finding[] = []
  const names = (some: z.output<typeof node>[]) => someOf(some.map(({ name }) => name))
  if (alarms.memory.length > 0)
    found.push({
      reason: 'limit',
      text: `Memory alarm on ${names(alarms.memory)}: publishers are blocked. Consume messages, or raise vm_memory_high_watermark`,
    })
  if (alarms.disk.length > 0)
    found.push({ reason: 'limit', text: `Disk alarm on ${names(alarms.disk)}: publishers are blocked. Free space on its disk` })
  if (stopped.length > 0) found.push({ reason: 'partly_unavailable', text: `Stopped nodes: ${names(stopped)}. See their logs` })
  const split = nodes.filter(({ partitions }) => partitions.length > 0)
  if (split.length > 0)
    found.push({ reason: 'partly_unavailable', text: `Network partition seen by ${names(split)}. See rabbitmqctl cluster_status` })
  if (options.maxMessages !== undefined && totals.messages > options.maxMessages)
    found.push({ reason: 'limit', text: `${totals.messages} messages are queued, more than ${options.maxMessages}. Check the consumers` })
  return resultOf(
    found,
    `Version ${shorten(version, 40)}, ${count(nodes.length, 'node')}, ${count(objects.queues, 'queue')}.`,
    measurements,
  )
}
