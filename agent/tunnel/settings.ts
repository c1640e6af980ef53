import * as z from 'zod'
import { duration, formatDuration } from '../../shared/fields.ts'
import { hostname, objectName } from '../resources/identifiers.ts'

/** cloudflared refuses a service with a path, be it only "/": the path of the request goes on as it is. */
const originUrl = z.string().refine(isOrigin, 'must be http:// or https:// with a host and perhaps a port, and nothing after that')

function isOrigin(text: string): boolean {
  return /^https?:\/\/[^/?#@\s]+$/.test(text) && URL.canParse(text)
}

const exposable = (what: string) => ({
  url: originUrl.describe(`Where ${what} is within the cluster, such as http://${what.toLowerCase()}.monitoring.svc:80`),
  hostname: hostname.optional().describe(`What it is called from outside; ${what.toLowerCase()}-<region>.<domain> when left out`),
})

/** The section `tunnel` of the agent's configuration: what cloudflared is to be told. */
export const tunnelSection = z.strictObject({
  id: z
    .string()
    .regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be the id of a tunnel, as "cloudflared tunnel list" shows it')
    .describe('Id of the tunnel'),
  hostname: hostname.describe('What the agent is called from outside'),
  domain: hostname.optional().describe('Below which Prometheus and Grafana get their names'),
  agent: z
    .strictObject({
      url: originUrl
        .refine((url) => url.startsWith('https:'), 'must be https://')
        .optional()
        .describe("Where cloudflared reaches the agent; https://skerry-agent.<namespace>.svc:8443 when left out, the chart's Service"),
      serverName: hostname.optional().describe("Name in the agent's certificate; the host of url when left out"),
      caFile: z
        .string()
        .optional()
        .describe("Authority of that certificate, as cloudflared's pods see it; those of the system when left out"),
    })
    .prefault({})
    .describe('How cloudflared reaches the agent'),
  prometheus: z.strictObject(exposable('Prometheus')).optional().describe('The Prometheus that is exposed; none when left out'),
  grafana: z
    .strictObject({
      ...exposable('Grafana'),
      exposed: z.boolean().default(false).describe('Whether it is exposed as long as nobody said so by PATCH /v1/tunnel'),
    })
    .optional()
    .describe('The Grafana that can be exposed; none when left out'),
  deployment: objectName.default('cloudflared').describe('Deployment of cloudflared, in the namespace of the agent'),
  configMap: objectName.default('cloudflared').describe('ConfigMap with its tunnel.yaml'),
  settings: objectName.default('skerry-tunnel').describe('ConfigMap in which is kept what PATCH /v1/tunnel says'),
  credentialsFile: z
    .string()
    .default('/etc/cloudflared/credentials/credentials.json')
    .describe("The tunnel's credentials, as cloudflared's pods see them"),
  metrics: z
    .string()
    .regex(/^\S+:\d{1,5}$/, 'must be an address and a port such as 0.0.0.0:2000')
    .default('0.0.0.0:2000')
    .describe('Where cloudflared tells its metrics and whether it is ready'),
  protocol: z.enum(['auto', 'quic', 'http2']).default('auto').describe("How it talks to Cloudflare's edge"),
  gracePeriod: duration({ min: '0s', max: '10m' }).prefault('30s').describe('How long it lets requests end when it stops'),
})

export type TunnelSection = z.output<typeof tunnelSection>

/** What the tunnel may lead to. The agent and Prometheus, where it is configured, always are exposed. */
export const exposables = ['agent', 'prometheus', 'grafana'] as const

/** One thing that the tunnel may lead to. */
export type Exposable = { what: (typeof exposables)[number]; hostname: string; url: string }

/** A tunnel as it is configured, with every default filled in. */
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
  /** As cloudflared reads durations: `30s`. */
  gracePeriod: string
}

/** @param around the region's id, from which names are made, and the agent's namespace */
export function tunnelOf(section: TunnelSection, around: { region: string; namespace: string }): Tunnel {
  const { id, hostname, domain, agent, prometheus, grafana, gracePeriod, ...rest } = section
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
    gracePeriod: formatDuration(gracePeriod),
  }
}

/** What is wrong with a tunnel although each field by itself is right: a name that is missing, too long, or given twice. */
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
