import * as z from 'zod'
import { duration, formatDuration } from '../../shared/fields.ts'
import { hostname, objectName } from '../resources/identifiers.ts'

/** cloudflared refuses a service with a path, even "/": it forwards the path of the request. */
const originUrl = z.string().refine(isOrigin, 'must be http:// or https:// with a host and an optional port, and nothing else')

function isOrigin(text: string): boolean {
  return /^https?:\/\/[^/?#@\s]+$/.test(text) && URL.canParse(text)
}

const exposable = (what: string) => ({
  url: originUrl.describe(`The address of ${what} within the cluster, such as http://${what.toLowerCase()}.monitoring.svc:80`),
  hostname: hostname.optional().describe(`Its public hostname; ${what.toLowerCase()}-<region>.<domain> by default`),
})

/** The section `tunnel` of the agent's configuration. */
export const tunnelSection = z.strictObject({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be the id of a tunnel, as "cloudflared tunnel list" shows it')
    .describe('Id of the tunnel'),
  hostname: hostname.describe('The public hostname of the agent'),
  domain: hostname.optional().describe('The domain of the default hostnames of Prometheus and Grafana'),
  agent: z
    .strictObject({
      url: originUrl
        .refine((url) => url.startsWith('https:'), 'must be https://')
        .optional()
        .describe("Where cloudflared reaches the agent; by default https://skerry-agent.<namespace>.svc:8443, the chart's Service"),
      serverName: hostname.optional().describe("Name in the agent's certificate; the host of url by default"),
      caFile: z.string().optional().describe("CA of that certificate, as a path in cloudflared's pods; the system's CAs by default"),
    })
    .prefault({})
    .describe('How cloudflared reaches the agent'),
  prometheus: z.strictObject(exposable('Prometheus')).optional().describe('The Prometheus that is exposed; none by default'),
  grafana: z
    .strictObject({
      ...exposable('Grafana'),
      exposed: z.boolean().default(false).describe('Whether it is exposed until PATCH /v1/tunnel says otherwise'),
    })
    .optional()
    .describe('The Grafana that can be exposed; none by default'),
  deployment: objectName.default('cloudflared').describe('Deployment of cloudflared, in the namespace of the agent'),
  configMap: objectName.default('cloudflared').describe('ConfigMap with its tunnel.yaml'),
  settings: objectName.default('skerry-tunnel').describe('ConfigMap that keeps the settings of PATCH /v1/tunnel'),
  credentialsFile: z
    .string()
    .default('/etc/cloudflared/credentials/credentials.json')
    .describe("The tunnel's credentials, as a path in cloudflared's pods"),
  metrics: z
    .string()
    .regex(/^\S+:\d{1,5}$/, 'must be an address and a port such as 0.0.0.0:2000')
    .default('0.0.0.0:2000')
    .describe('Where cloudflared serves its metrics and readiness'),
  protocol: z.enum(['auto', 'quic', 'http2']).default('auto').describe("Its protocol to Cloudflare's edge"),
  connections: z
    .int()
    .min(1)
    .max(4)
    .optional()
    .describe(
      "Connections of each cloudflared to the edge, each of which costs bytes at rest too; cloudflared's own default, four, if not set",
    ),
  gracePeriod: duration({ min: '0s', max: '10m' }).prefault('30s').describe('How long requests may finish when it stops'),
  onDemand: z
    .strictObject({
      stay: duration({ min: '1m', max: '1d' }).prefault('10m').describe('How long it runs after the cloud has last asked for it'),
      replicas: z.int().min(1).max(10).default(1).describe('How many run then'),
    })
    .optional()
    .describe(
      'Without it cloudflared always runs. With it, it runs once the cloud asks for it in its answer to a status; the agent then needs the right to scale its Deployment',
    ),
})

export type TunnelSection = z.output<typeof tunnelSection>

/** What the tunnel can expose. The agent and a configured Prometheus always are exposed. */
export const exposables = ['agent', 'prometheus', 'grafana'] as const

/** One exposed service. */
export type Exposable = { what: (typeof exposables)[number]; hostname: string; url: string }

/** A configured tunnel with every default. */
export type Tunnel = {
  id: string
  /** Of cloudflared and of the ConfigMaps. */
  namespace: string
  agent: Exposable & { what: 'agent'; serverName: string; caFile: string | undefined }
  prometheus: (Exposable & { what: 'prometheus' }) | undefined
  grafana: (Exposable & { what: 'grafana'; usuallyExposed: boolean }) | undefined
  deployment: string
  configMap: string
  settings: string
  credentialsFile: string
  metrics: string
  protocol: string
  /** Of each replica to the edge; undefined for what cloudflared itself takes. */
  connections: number | undefined
  /** Undefined if cloudflared always runs. */
  onDemand: { stayMs: number; replicas: number } | undefined
  /** As cloudflared reads durations: `30s`. */
  gracePeriod: string
}

/** @param around the region's id, from which names are made, and the agent's namespace */
export function tunnelOf(section: TunnelSection, around: { region: string; namespace: string }): Tunnel {
  const { id, hostname, domain, agent, prometheus, grafana, gracePeriod, onDemand, connections, ...rest } = section
  const { region, namespace } = around
  const url = agent.url ?? `https://skerry-agent.${namespace}.svc:8443`
  const nameOf = (what: string, given: string | undefined) => given ?? `${what}-${region}.${domain}`
  return {
    ...rest,
    id,
    namespace,
    agent: { what: 'agent', hostname, url, serverName: agent.serverName ?? new URL(url).hostname, caFile: agent.caFile },
    prometheus: prometheus && { what: 'prometheus', url: prometheus.url, hostname: nameOf('prometheus', prometheus.hostname) },
    grafana: grafana && {
      what: 'grafana',
      url: grafana.url,
      hostname: nameOf('grafana', grafana.hostname),
      usuallyExposed: grafana.exposed,
    },
    connections,
    onDemand: onDemand && { stayMs: onDemand.stay, replicas: onDemand.replicas },
    gracePeriod: formatDuration(gracePeriod),
  }
}

/** The faults between valid fields: a hostname that is missing, too long, or used twice. */
export function tunnelFaults(section: TunnelSection, region: string): { path: string[]; message: string }[] {
  const faults: { path: string[]; message: string }[] = []
  const names = new Map([[section.hostname, 'hostname']])
  for (const what of ['prometheus', 'grafana'] as const) {
    const given = section[what]
    if (given === undefined) continue
    const path = ['tunnel', what, 'hostname']
    const name = given.hostname ?? (section.domain === undefined ? undefined : `${what}-${region}.${section.domain}`)
    if (name === undefined) {
      faults.push({ path, message: 'is required where there is no tunnel.domain' })
      continue
    }
    const parsed = hostname.safeParse(name)
    if (!parsed.success) faults.push({ path, message: `"${name}" ${parsed.error.issues[0]?.message}` })
    const other = names.get(name)
    if (other !== undefined) faults.push({ path, message: `is ${name}, which tunnel.${other} is already` })
    names.set(name, `${what}.hostname`)
  }
  return faults
}
