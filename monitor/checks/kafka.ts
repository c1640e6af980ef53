import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { orAbort } from '../wire/abort.ts'
import { CheckFailure, reasonOf } from '../wire/reasons.ts'
import { asError } from '../wire/socket.ts'
import { tlsFields, tlsOf } from '../wire/tls.ts'
import { count, shorten, someOf } from '../wire/wording.ts'
import { type CheckResult, checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  brokers: z
    .array(z.string().regex(/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):\d{1,5}$/, 'must be host:port'))
    .min(1)
    .max(20)
    .describe('Brokers as host:port, tried in turn. The first that answers describes the whole cluster.'),
  expectBrokers: z.int().min(1).optional().describe('Degraded when the cluster has fewer brokers.'),
  tls: z.boolean().default(false).describe('Whether to use TLS.'),
  mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']).optional().describe('SASL mechanism; without it, no login.'),
  username: z.string().min(1).max(256).optional().describe('User name for SASL.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  brokerTimeoutMs: z
    .int()
    .min(50)
    .max(60_000)
    .default(3000)
    .describe('How long to wait for one broker before trying the next, in milliseconds.'),
  ...tlsFields,
})

type KafkaOptions = z.output<typeof options>

/** The part of Kafka's metadata that is read. */
type Metadata = {
  brokers: { nodeId: number }[]
  controllerId: number
  topics: { name: string | null; partitions: { partitionIndex: number; leaderId: number; replicaNodes: number[]; isrNodes: number[] }[] }[]
}

const maxBytes = 32 * 1024 * 1024
const metadataKey = 3

/** Up when every partition has a leader and all its replicas are in sync. */
export const kafka = checkKind({
  about:
    'Asks a broker (Kafka 2.4 or later) for the metadata of the cluster. Down when no broker answers, or a partition has no leader. Degraded when a partition has replicas that are not in sync, or brokers are missing.',
  example: { brokers: ['kafka-0.example.com:9092', 'kafka-1.example.com:9092'], expectBrokers: 3 },
  options,
  measures: {
    skerry_kafka_brokers: { type: 'gauge', help: 'Brokers of the cluster.' },
    skerry_kafka_topics: { type: 'gauge', help: 'Topics visible to this user.' },
    skerry_kafka_partitions: { type: 'gauge', help: 'Partitions of these topics.' },
    skerry_kafka_under_replicated_partitions: { type: 'gauge', help: 'Partitions with replicas that are not in sync.' },
    skerry_kafka_offline_partitions: { type: 'gauge', help: 'Partitions without a leader, which can be neither read nor written.' },
  },
  target: ({ brokers }) => brokers.join(','),
  async check(options, { signal }) {
    signal.throwIfAborted()
    const library = await import('@platformatic/kafka')
    const failures: unknown[] = []
    for (const broker of options.brokers) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(options.brokerTimeoutMs)])
      try {
        return judge(options, await metadataFrom(library, options, broker, limit))
      } catch (error) {
        signal.throwIfAborted()
        failures.push(failureOf(error))
      }
    }
    // The error of a broker that answered explains more than the absence of another broker.
    throw failures.find((failure) => failure instanceof CheckFailure) ?? failures[0]
  },
})

type Library = typeof import('@platformatic/kafka')

async function metadataFrom(library: Library, options: KafkaOptions, broker: string, signal: AbortSignal): Promise<Metadata> {
  const { mechanism, username, passwordFile } = options
  const colon = broker.lastIndexOf(':')
  const [host, port] = [broker.slice(0, colon).replace(/^\[|\]$/g, ''), Number(broker.slice(colon + 1))]
  const connection = new library.Connection('skerry-monitor', {
    connectTimeout: options.brokerTimeoutMs,
    requestTimeout: options.brokerTimeoutMs,
    ...(options.tls && { tls: tlsOf(options, host) }),
    ...(mechanism && { sasl: { mechanism, username: username ?? '', password: passwordFile?.reveal() ?? '' } }),
  })
  connection.on('error', () => {}) // the awaited promise rejects, too
  const close = () => connection.socket?.destroy()
  try {
    return await orAbort(exchange(library, connection, connection.connect(host, port)), signal, close)
  } finally {
    close()
  }
}

/** Asks for the metadata once `connecting` has resolved, and fails if the broker sends too much. */
async function exchange(
  library: Library,
  connection: InstanceType<Library['Connection']>,
  connecting: Promise<void> | void,
): Promise<Metadata> {
  const tooMuch = new Promise<never>((_, reject) => {
    let bytes = 0
    connection.socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > maxBytes) reject(new CheckFailure('too_large', `The broker sent more than ${maxBytes} bytes. Is this a Kafka broker?`))
      // The first four bytes are the length of the answer. In a text, they are a larger number than a broker ever sends.
      if (bytes === chunk.length && chunk.length >= 4 && chunk.readUInt32BE(0) > maxBytes)
        reject(
          new CheckFailure(
            'protocol',
            `The server does not answer like Kafka: ${shorten(JSON.stringify(chunk.toString('latin1', 0, 24)), 60)}. Is this the right port?`,
          ),
        )
    })
  })
  tooMuch.catch(() => {})
  const work = async () => {
    await connecting
    const { apiKeys } = await library.apiVersionsV3.api.async(connection, 'skerry-monitor', '1')
    const most = apiKeys.find(({ apiKey }) => apiKey === metadataKey)?.maxVersion ?? 1
    const api = most >= 12 ? library.metadataV12.api : most >= 9 ? library.metadataV9.api : library.metadataV5.api
    try {
      return (await (api as typeof library.metadataV12.api).async(connection, null, false, false)) as Metadata
    } catch (error) {
      // The library rejects when a topic is in trouble. The error holds the answer, which is all that is needed.
      const { response } = error as { response?: Metadata }
      if (response?.topics !== undefined && Array.isArray(response.brokers)) return response
      throw error
    }
  }
  return (await Promise.race([work(), tooMuch])) as Metadata
}

function failureOf(error: unknown): Error {
  const { code, message } = asError(error) as Error & { code?: string }
  if (code === 'PLT_KFK_AUTHENTICATION')
    return new CheckFailure('unauthorized', `Kafka rejects the login: ${shorten(message, 150)}. Check user name, password and mechanism.`, {
      cause: error,
    })
  if (reasonOf(error) === 'error')
    return code === 'PLT_KFK_NETWORK' || /closed|socket/i.test(message)
      ? new CheckFailure(
          'connection_lost',
          'The broker closed the connection. See its log, and check whether this port requires TLS or a login.',
          {
            cause: error,
          },
        )
      : new CheckFailure('protocol', `The server does not answer like Kafka: ${shorten(message, 150)}. Is this the right port?`, {
          cause: error,
        })
  return asError(error)
}

function judge({ expectBrokers }: KafkaOptions, { brokers, topics }: Metadata): CheckResult {
  const partitions = topics.flatMap(({ name, partitions }) =>
    partitions.map((partition) => ({ ...partition, label: `${name}-${partition.partitionIndex}` })),
  )
  const offline = partitions.filter(({ leaderId }) => leaderId < 0)
  const under = partitions.filter(({ replicaNodes, isrNodes }) => isrNodes.length < replicaNodes.length)
  const measurements: Measurement[] = [
    { name: 'skerry_kafka_brokers', value: brokers.length },
    { name: 'skerry_kafka_topics', value: topics.length },
    { name: 'skerry_kafka_partitions', value: partitions.length },
    { name: 'skerry_kafka_under_replicated_partitions', value: under.length },
    { name: 'skerry_kafka_offline_partitions', value: offline.length },
  ]
  const names = (some: typeof partitions) => someOf(some.map(({ label }) => label))
  if (offline.length > 0)
    return {
      state: 'down',
      reason: 'unavailable',
      detail: `${count(offline.length, 'partition')} without a leader: ${names(offline)}. Bring back the brokers that hold them.`,
      measurements,
    }
  if (under.length > 0)
    return {
      state: 'degraded',
      reason: 'partly_unavailable',
      detail: `${count(under.length, 'partition')} under-replicated: ${names(under)}. Check whether a broker is missing or slow.`,
      measurements,
    }
  if (expectBrokers !== undefined && brokers.length < expectBrokers)
    return {
      state: 'degraded',
      reason: 'partly_unavailable',
      detail: `Only ${brokers.length} of ${expectBrokers} brokers. See the log of the missing broker.`,
      measurements,
    }
  return { state: 'up', detail: `${count(brokers.length, 'broker')}, ${count(partitions.length, 'partition')}.`, measurements }
}
