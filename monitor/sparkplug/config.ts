import * as z from 'zod'
import { byteSize, duration, fileToRead } from '../../shared/fields.ts'
import type { EdgeNodeConfig } from './edge-node.ts'
import { idFault } from './topics.ts'

const id = (isGroup = false) =>
  z.string().superRefine((text, context) => {
    const fault = idFault(text, { isGroup })
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
  })

const server = z
  .strictObject({
    url: z.url({ protocol: /^(mqtts?|wss?)$/ }).describe('mqtt://, mqtts://, ws:// or wss://, with host and port'),
    username: z.string().optional().describe('Name of the user'),
    passwordFile: fileToRead().optional().describe('File that contains the password'),
    caFile: fileToRead()
      .optional()
      .describe("PEM file of the CA certificates for the server's certificate; those of the system and those built in when left out"),
    certFile: fileToRead().optional().describe('PEM file of the client certificate'),
    keyFile: fileToRead().optional().describe('PEM file of the key of the client certificate'),
    maxPacketSize: byteSize({ min: '512B', max: '256MiB' })
      .optional()
      .describe(
        'Largest packet that the server takes, such as 128KiB for AWS IoT Core. Without it: what an MQTT 5 server says, or what is learned',
      ),
  })
  .refine(({ url }) => !URL.canParse(url) || new URL(url).username === '', {
    message: 'must not contain credentials: use username and passwordFile',
    path: ['url'],
  })
  .refine(({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined), {
    message: 'certFile and keyFile must be given together',
  })

/** The section `sparkplug` of the monitor's configuration. `edgeNodeConfig` turns its output into the edge node's settings. */
export const sparkplugConfig = z.strictObject({
  group: id(true).describe('Sparkplug group id: the name of the region'),
  node: id().describe('Sparkplug edge node id: the name of the cluster'),
  servers: z.array(server).min(1).describe('MQTT servers, in the order in which they are tried'),
  protocol: z.enum(['3.1.1', '5']).default('3.1.1').describe('MQTT version; every server supports 3.1.1'),
  clientId: z.string().min(1).max(200).optional().describe('MQTT client id; skerry-<group>-<node> when left out'),
  keepAlive: duration({ min: '1s', max: '18h' }).prefault('30s').describe('A silently lost link is noticed after 1.5 times this'),
  primaryHost: z
    .strictObject({
      id: id().describe('Host id'),
      giveUp: duration({ min: '1s', max: '1h' })
        .prefault('5s')
        .describe('How long to wait for its first word on one server if there are others'),
      pause: duration({ min: '100ms', max: '10m' })
        .prefault('5s')
        .describe('While it is offline: window of the pause before the next server is asked; the pause is a random part of it'),
    })
    .optional()
    .describe('Host application that must be online for anything to be published'),
  names: z
    .enum(['portable', 'plain'])
    .default('portable')
    .describe('How device ids and metric names are written: as every consumer takes them, or as they are'),
  datatypes: z
    .enum(['always', 'births'])
    .default('always')
    .describe('Where values name their type; consumers that do not remember births need it in data too, for 2 bytes a value'),
  aliases: z.boolean().default(false).describe('Send aliases (numbers) instead of names in data'),
  maxSilence: duration({ min: '1s', max: '7d' })
    .prefault('10m')
    .describe('A value that is measured again without a change is sent again after this'),
  coalesce: duration({ min: '0s', max: '10s' }).prefault('100ms').describe('How long changes are gathered into one message'),
  reconnect: z
    .strictObject({
      first: duration({ min: '100ms', max: '10m' }).prefault('10s').describe('Window of the first pause; the pause is a random part of it'),
      longest: duration({ min: '1s', max: '1h' })
        .prefault('2m')
        .describe('Largest window; it doubles with each failure of a server, until a session on it lasts as long'),
    })
    .prefault({})
    .describe('Pauses before a new connection'),
  buffer: z
    .strictObject({
      values: z
        .int()
        .min(100)
        .max(10_000_000)
        .default(50_000)
        .describe('Values in memory at most; with a directory, older ones are written to it from half of this on'),
      directory: z.string().optional().describe('Directory for more values, which survive a restart'),
      maxSize: byteSize({ min: '64KiB' }).prefault('64MiB').describe('Largest size of that directory'),
      flushPerSecond: z.int().min(1).max(1_000_000).default(5_000).describe('Historical values sent per second'),
    })
    .prefault({})
    .describe('Values kept while nothing can be sent; the oldest are dropped first'),
})

/** The validated section. */
export type SparkplugConfig = z.output<typeof sparkplugConfig>

/** The settings of the edge node: the validated section, and limits that are not configurable. */
export function edgeNodeConfig(section: SparkplugConfig): EdgeNodeConfig {
  const { group, node, servers, primaryHost } = section
  return {
    group,
    node,
    servers,
    primaryHost: primaryHost && { id: primaryHost.id, giveUpMs: primaryHost.giveUp },
    hasAliases: section.aliases,
    names: section.names,
    hasDatatypes: section.datatypes === 'always',
    maxSilenceMs: section.maxSilence,
    hostPauseMs: primaryHost?.pause ?? 5_000,
    reconnect: { baseMs: section.reconnect.first, capMs: section.reconnect.longest },
    protocolVersion: section.protocol === '5' ? 5 : 4,
    clientId: section.clientId ?? `skerry-${group}-${node}`,
    keepAliveSeconds: Math.round(section.keepAlive / 1000),
    connectTimeoutMs: 15_000,
    subscribeTimeoutMs: 10_000,
    deathTimeoutMs: 2_000,
    coalesceMs: section.coalesce,
    proofMs: 1_000,
    rebirthIntervalMs: 5_000,
    maxPacketBytes: 4 * 1024 * 1024,
    maxMetricsPerMessage: 500,
    flushPerSecond: section.buffer.flushPerSecond,
    maxUnproven: 2_000,
  }
}
