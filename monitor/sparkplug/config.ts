import * as z from 'zod'
import { byteSize, duration, fileToRead } from '../../shared/fields.ts'
import type { LinkProfile } from '../../shared/link/index.ts'
import type { Deadband, Deadbands } from './deadbands.ts'
import type { EdgeNodeConfig } from './edge-node.ts'
import { type Profile, profiles } from './profiles.ts'
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

const relative = z.number().min(0).max(100).optional().describe('It must also differ by more than this times the one last sent')
const atMostEvery = duration({ max: '7d' }).optional().describe('At most one change in this time, unless the state of the check changes')
const absolute = (unit: string) =>
  z.number().min(0).optional().describe(`A value must differ by more than this from the one last sent, in ${unit}`)

/** The settings of each class of metrics. What is left out is as the profile has it. */
const deadbands = z.strictObject({
  duration: z
    .strictObject({ absolute: absolute('seconds'), relative, atMostEvery })
    .prefault({})
    .describe('How long a check took: 0.1, 0.5 and 5m when left out; 1, 1 and 1h if metered'),
  detail: z.strictObject({ atMostEvery }).prefault({}).describe('The sentence of a check: 5m when left out, 1h if metered'),
  usage: z
    .strictObject({ absolute: absolute('bytes'), relative, atMostEvery })
    .prefault({})
    .describe(
      'How full the volumes of a database are, beyond one percent of their size: 0, 0 and 0s when left out; 0, 0.05 and 1h if metered',
    ),
  requested: z
    .strictObject({ relative, atMostEvery })
    .prefault({})
    .describe('Sums over the pods of a host or the cluster: 0 and 0s when left out, 0.1 and 15m if metered'),
  lastSeen: z
    .strictObject({ atMostEvery })
    .prefault({})
    .describe('When a watched edge node was last heard, beyond its interval: 0s when left out, 15m if metered'),
  link: z.strictObject({ atMostEvery }).prefault({}).describe('The bytes of the link itself: 15m when left out, 6h if metered'),
})

/** The section `sparkplug` of the monitor's configuration. `edgeNodeConfig` turns its output into the edge node's settings. */
export const sparkplugConfig = z.strictObject({
  group: id(true).describe('Sparkplug group id: the name of the region'),
  node: id().describe('Sparkplug edge node id: the name of the cluster'),
  servers: z.array(server).min(1).describe('MQTT servers, in the order in which they are tried'),
  protocol: z.enum(['3.1.1', '5']).default('3.1.1').describe('MQTT version; every server supports 3.1.1'),
  clientId: z.string().min(1).max(200).optional().describe('MQTT client id; skerry-<group>-<node> when left out'),
  profile: z
    .enum(['standard', 'metered', 'critical'])
    .optional()
    .describe(
      'Defaults of the settings that decide how many bytes are sent; metered is for a link that is paid by the megabyte. When left out, that of link.profile',
    ),
  keepAlive: duration({ min: '1s', max: '18h' })
    .optional()
    .describe('A silently lost link is noticed after 1.5 times this; 30s when left out, 4m if metered'),
  primaryHost: z
    .strictObject({
      id: id().describe('Host id'),
      giveUp: duration({ min: '1s', max: '1h' })
        .prefault('5s')
        .describe('How long to wait for its first word on one server if there are others'),
      pause: duration({ min: '100ms', max: '10m' })
        .prefault('5s')
        .describe(
          'While it is offline: window of the pause before the next server is asked, and after it has come online, before the births. The ' +
            'pause is a random part of it',
        ),
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
  aliases: z.boolean().optional().describe('Send aliases (numbers) instead of names in data; false when left out, true if metered'),
  documentation: z.boolean().optional().describe('Say in births what each metric means; true when left out, false if metered'),
  maxSilence: duration({ min: '1s', max: '7d' })
    .optional()
    .describe('A value that is measured again without a change is sent again after this; 10m when left out, 1d if metered'),
  coalesce: duration({ min: '0s', max: '10s' })
    .optional()
    .describe('How long changes are gathered into one message; 100ms when left out, 5s if metered'),
  deadbands: deadbands.prefault({}).describe('Which changes are sent of metrics that change although nothing happens'),
  reconnect: z
    .strictObject({
      first: duration({ min: '100ms', max: '10m' }).prefault('10s').describe('Window of the first pause; the pause is a random part of it'),
      longest: duration({ min: '1s', max: '1h' })
        .prefault('2m')
        .describe(
          'Largest window; it doubles with each failure of a server, until a session on it lasts as long. From the second failure on, the ' +
            'pause is in its second half',
        ),
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

/**
 * The settings of the edge node: the validated section, and limits that are not configurable.
 * @param link the profile of the link, whose words are those of the agent
 */
export function edgeNodeConfig(section: SparkplugConfig, link: LinkProfile = 'normal'): EdgeNodeConfig {
  const { group, node, servers, primaryHost } = section
  const profile: Profile = profiles[section.profile ?? (link === 'normal' ? 'standard' : link)]
  return {
    group,
    node,
    servers,
    primaryHost: primaryHost && { id: primaryHost.id, giveUpMs: primaryHost.giveUp },
    hasAliases: section.aliases ?? profile.aliases,
    hasDocumentation: section.documentation ?? profile.documentation,
    names: section.names,
    hasDatatypes: section.datatypes === 'always',
    maxSilenceMs: section.maxSilence ?? profile.maxSilence,
    deadbands: deadbandsOf(section.deadbands, profile),
    hostPauseMs: primaryHost?.pause ?? 5_000,
    reconnect: { baseMs: section.reconnect.first, capMs: section.reconnect.longest },
    protocolVersion: section.protocol === '5' ? 5 : 4,
    clientId: section.clientId ?? `skerry-${group}-${node}`,
    keepAliveSeconds: Math.round((section.keepAlive ?? profile.keepAlive) / 1000),
    connectTimeoutMs: 15_000,
    subscribeTimeoutMs: 10_000,
    deathTimeoutMs: 2_000,
    coalesceMs: section.coalesce ?? profile.coalesce,
    proofMs: 1_000,
    rebirthIntervalMs: 5_000,
    maxPacketBytes: 4 * 1024 * 1024,
    maxMetricsPerMessage: 500,
    flushPerSecond: section.buffer.flushPerSecond,
    maxUnproven: 2_000,
  }
}

type GivenDeadband = { absolute?: number | undefined; relative?: number | undefined; atMostEvery?: number | undefined }

function deadbandsOf(given: Record<keyof Deadbands, GivenDeadband>, { deadbands: usual }: Profile): Deadbands {
  const one = ({ absolute, relative, atMostEvery }: GivenDeadband, other: Deadband): Deadband => ({
    absolute: absolute ?? other.absolute,
    relative: relative ?? other.relative,
    atMostEveryMs: atMostEvery ?? other.atMostEveryMs,
  })
  return {
    duration: one(given.duration, usual.duration),
    detail: one(given.detail, usual.detail),
    usage: one(given.usage, usual.usage),
    requested: one(given.requested, usual.requested),
    lastSeen: one(given.lastSeen, usual.lastSeen),
    link: one(given.link, usual.link),
  }
}
