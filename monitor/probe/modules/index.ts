import * as z from 'zod'
import { type FaultAt, parseWith } from '../../../shared/faults.ts'
import { probers } from '../probers/index.ts'
import type { Prober } from '../probers/prober.ts'
import { timeout } from './fields.ts'
import { commonLeft, concerns, type Left } from './left.ts'
import { rawTextOf } from './raw-text.ts'

type ProberName = keyof typeof probers
type Settings = { [N in ProberName]: (typeof probers)[N]['settings'] }

/** A module as it is written: the prober's name, and a section of that name with its settings. */
export type ModuleInput = {
  [N in ProberName]: { prober: N; timeout?: string | undefined } & { [S in N]?: z.input<Settings[N]> | undefined }
}[ProberName]

/** A parsed module. `timeout` is in milliseconds. */
export type ProbeModule = {
  [N in ProberName]: { prober: N; timeout: number | undefined; settings: z.output<Settings[N]> }
}[ProberName]

/** The sections of a module in blackbox_exporter's configuration. Those of other probers than the module's own say nothing. */
const sections = ['http', 'tcp', 'dns', 'icmp', 'grpc', 'unix', 'websocket']
const ignored = Object.fromEntries(sections.map((name) => [name, z.unknown().optional()]))

type Option = z.ZodObject<{ prober: z.ZodLiteral<string> }>

const options = Object.entries<Prober>(probers).map(([name, { settings }]) =>
  z.strictObject({
    prober: z.literal(name),
    timeout,
    ...ignored,
    [name]: settings.prefault({}).describe(`Settings of the prober ${name}`),
  }),
) as unknown as [Option, ...Option[]]

/** One module, written as in blackbox_exporter's configuration. An empty section or field counts as one that is left out. */
export const probeModule = z.preprocess(
  withoutNulls,
  z.discriminatedUnion('prober', options).transform((module) => {
    const { prober, timeout, [prober]: settings } = module as { prober: string; timeout?: number; [section: string]: unknown }
    return { prober, timeout, settings }
  }),
) as unknown as z.ZodType<ProbeModule, ModuleInput>

/** The value without the fields that are null, at any depth: Go's decoder leaves such a field as it is. `!!binary` becomes text. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (value instanceof Uint8Array) return rawTextOf(value)
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).flatMap(([name, each]) => (each === null ? [] : [[name, withoutNulls(each)]])))
}

/** Everything that blackbox_exporter has and the probers here have not, or have in another way. */
export const left: readonly Left[] = [...Object.values<Prober>(probers).flatMap((prober) => prober.left), ...commonLeft]

/** A module as far as it can be had: what differs, or why it is refused and what to do instead. Quotes nothing secret. */
export type JudgedModule = { module: ProbeModule; differences: readonly Left[] } | { refused: readonly string[] }

/** Judges one module of a file of blackbox_exporter's. Its files are not read. */
export function judgeModule(given: unknown): JudgedModule {
  const written = withoutNulls(given)
  const asRecord = typeof written === 'object' && written !== null ? (written as Record<string, unknown>) : {}
  const concerned = left.filter((each) => concerns(each, asRecord))
  const missing = concerned.filter(({ effect }) => effect === 'refused')
  if (missing.length > 0) return { refused: missing.map(sayLeft) }
  const parsed = parseWith(probeModule, written)
  if (!parsed.ok) return { refused: parsed.faults.map(sayFault) }
  return { module: parsed.value, differences: concerned }
}

/** An entry of `left` as one sentence or two. */
export function sayLeft({ what, instead }: Left): string {
  return instead === undefined ? what : `${what} ${instead}`
}

function sayFault({ path, message }: FaultAt): string {
  const name = path.map((piece) => (typeof piece === 'number' ? `[${piece}]` : `.${piece}`)).join('')
  return `${name === '' ? 'the module' : name.replace(/^\./, '')} ${message}`
}

/** The built-in modules. A configured module of the same name takes precedence. */
export const builtInModules: Readonly<Record<string, ModuleInput>> = {
  http_2xx: { prober: 'http' },
  http_post_2xx: { prober: 'http', http: { method: 'POST' } },
  tcp_connect: { prober: 'tcp' },
  tls_connect: { prober: 'tcp', tcp: { tls: true } },
  ssh_banner: { prober: 'tcp', tcp: { query_response: [{ expect: '^SSH-2.0-' }, { send: 'SSH-2.0-skerry' }] } },
  ssh_banner_extract: {
    prober: 'tcp',
    timeout: '5s',
    tcp: {
      query_response: [
        {
          expect: '^SSH-2.0-([^ -]+)(?: (.*))?$',
          labels: [
            { name: 'ssh_version', value: `\${1}` },
            { name: 'ssh_comments', value: `\${2}` },
          ],
        },
      ],
    },
  },
  pop3s_banner: { prober: 'tcp', tcp: { query_response: [{ expect: '^\\+OK' }], tls: true } },
  irc_banner: {
    prober: 'tcp',
    tcp: {
      query_response: [
        { send: 'NICK prober' },
        { send: 'USER prober prober prober :prober' },
        { expect: 'PING :([^ ]+)', send: `PONG \${1}` },
        { expect: '^:[^ ]+ 001' },
      ],
    },
  },
  icmp: { prober: 'icmp' },
  icmp_ttl5: { prober: 'icmp', timeout: '5s', icmp: { ttl: 5 } },
  grpc: { prober: 'grpc', grpc: { tls: true } },
  grpc_plain: { prober: 'grpc', grpc: { tls: false } },
  dns_udp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A' } },
  dns_tcp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A', transport_protocol: 'tcp' } },
}
