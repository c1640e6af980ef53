import * as z from 'zod'
import { probers } from '../probers/index.ts'
import type { Prober } from '../probers/prober.ts'
import { timeout } from './fields.ts'

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

type Option = z.ZodObject<{ prober: z.ZodLiteral<string> }>

const options = Object.entries<Prober>(probers).map(([name, { settings }]) =>
  z.strictObject({ prober: z.literal(name), timeout, [name]: settings.prefault({}).describe(`Settings of the prober ${name}`) }),
) as unknown as [Option, ...Option[]]

/** One module, written as in blackbox_exporter's configuration. */
export const probeModule = z.discriminatedUnion('prober', options).transform((module) => {
  const { prober, timeout, [prober]: settings } = module as { prober: string; timeout?: number; [section: string]: unknown }
  return { prober, timeout, settings }
}) as unknown as z.ZodType<ProbeModule, ModuleInput>

/** The built-in modules. A configured module of the same name takes precedence. */
export const builtInModules: Readonly<Record<string, ModuleInput>> = {
  http_2xx: { prober: 'http' },
  http_post_2xx: { prober: 'http', http: { method: 'POST' } },
  tcp_connect: { prober: 'tcp' },
  tls_connect: { prober: 'tcp', tcp: { tls: true } },
  ssh_banner: { prober: 'tcp', tcp: { query_response: [{ expect: '^SSH-2.0-' }, { send: 'SSH-2.0-skerry' }] } },
  dns_udp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A' } },
  dns_tcp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A', transport_protocol: 'tcp' } },
}
