import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { parse, stringify } from 'yaml'
import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { annotation, managedBy } from '../resources/labels.ts'
import type { Exposable, Tunnel } from './settings.ts'

/** What can be switched by `PATCH /v1/tunnel`. */
export const exposureSpec = z.strictObject({
  grafana: z.boolean().default(false).describe('Grafana is reachable from the internet, at its hostname'),
})
export const tunnelSpec = z.strictObject({ expose: exposureSpec.prefault({}) })

export type Exposure = z.output<typeof exposureSpec>

/** The key of cloudflared's ConfigMap. */
export const tunnelKey = 'tunnel.yaml'

/** What the tunnel leads to, the agent first. */
export function exposedBy({ agent, prometheus, grafana }: Tunnel, expose: Exposure): Exposable[] {
  return [agent, prometheus, expose.grafana ? grafana : undefined]
    .filter((each) => each !== undefined)
    .map(({ what, hostname, url }) => ({ what, hostname, url }))
}

/**
 * cloudflared's configuration as an object. The first rule whose hostname is that of a request wins; the last must fit all of them, or
 * cloudflared refuses the file (developers.cloudflare.com, "Configuration file").
 */
export function desiredTunnel(tunnel: Tunnel, expose: Exposure): object {
  const { serverName, caFile } = tunnel.agent
  const originRequest = { originServerName: serverName, ...(caFile !== undefined && { caPool: caFile }) }
  const rules = exposedBy(tunnel, expose).map(({ what, hostname, url }) => ({
    hostname,
    service: url,
    ...(what === 'agent' && { originRequest }),
  }))
  return {
    tunnel: tunnel.id,
    'credentials-file': tunnel.credentialsFile,
    metrics: tunnel.metrics,
    'no-autoupdate': true,
    protocol: tunnel.protocol,
    'grace-period': tunnel.gracePeriod,
    ingress: [...rules, { service: 'http_status:404' }],
  }
}

/** The text of `tunnel.yaml`. */
export function tunnelYaml(tunnel: Tunnel, expose: Exposure): string {
  return stringify(desiredTunnel(tunnel, expose), { lineWidth: 0 })
}

/** The `tunnel.yaml` that stands in a ConfigMap, parsed; undefined when there is none that can be. */
export function readTunnelYaml(configMap: KubernetesObject | undefined): Record<string, unknown> | undefined {
  try {
    const found = parse(configMap?.data?.[tunnelKey] ?? '')
    return typeof found === 'object' && found !== null ? found : undefined
  } catch {
    return undefined
  }
}

/** Whether cloudflared would read the same from both: comments, order of keys and quotes make no difference. */
export function isSameTunnel(one: object | undefined, other: object | undefined): boolean {
  return one !== undefined && other !== undefined && canonicalize(one) === canonicalize(other)
}

/** The hostnames in a parsed `tunnel.yaml`, whoever wrote it. */
export function hostnamesIn(tunnelYaml: Record<string, unknown> | undefined): string[] {
  const rules = Array.isArray(tunnelYaml?.ingress) ? tunnelYaml.ingress : []
  return rules.map((rule) => rule?.hostname).filter((hostname) => typeof hostname === 'string')
}

/**
 * Names one writing of the configuration: `3-5d41402abc4b`, a number that goes up and a hash of what was written.
 *
 * The ConfigMap bears it, and so do the pods that are made for it. The hash alone would not do: pods that began while somebody else's
 * text stood there must be replaced although the right one, with the same hash as before, stands there again.
 *
 * @param found what stood there, if anything: pods may run with that, so it counts as the first writing
 * @param present the revisions that the ConfigMap and the pods bear
 */
export function nextRevision(configuration: object, found: object | undefined, present: readonly (string | undefined)[]): string {
  const last = Math.max(found === undefined ? 0 : 1, ...present.map((revision) => Number.parseInt(revision ?? '', 10) || 0))
  const digest = createHash('sha256')
    .update(canonicalize(configuration) ?? '')
    .digest('hex')
    .slice(0, 12)
  return `${last + 1}-${digest}`
}

/**
 * Whether pods that bear `borne` are made for what the ConfigMap says, whose revision is `written`. Those that bear none are as they were
 * installed, and could only start once something was written for the first time.
 */
export function isTakenUp(written: string | undefined, borne: string | undefined): boolean {
  return written === borne || written === undefined || (borne === undefined && written.startsWith('1-'))
}

/**
 * cloudflared's ConfigMap. It bears no labels of ours: mostly it is a Helm release's, and labels say so.
 */
export function tunnelConfigMap({ namespace, configMap }: Tunnel, text: string, revision: string): KubernetesObject {
  const metadata = { name: configMap, namespace, annotations: { [annotation.tunnelRevision]: revision } }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [tunnelKey]: text } }
}

/** Of cloudflared's Deployment the one field that is Skerry's: its pods are replaced when it changes. */
export function rolledDeployment({ namespace, deployment }: Tunnel, revision: string): KubernetesObject {
  const template = { metadata: { annotations: { [annotation.tunnelRevision]: revision } } }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: deployment, namespace }, spec: { template } }
}

/** The ConfigMap in which stands what is to be exposed. @param resourceVersion only if it is still that version */
export function settingsConfigMap({ namespace, settings }: Tunnel, expose: Exposure, resourceVersion?: string): KubernetesObject {
  const metadata = { name: settings, namespace, labels: managedBy, ...(resourceVersion !== undefined && { resourceVersion }) }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { expose: JSON.stringify(expose) } }
}

/**
 * What is to be exposed: as was last asked for, else as configured. What somebody made unreadable exposes nothing, and neither does
 * what is not configured.
 */
export function readExposure({ grafana }: Tunnel, settings: KubernetesObject | undefined): Exposure {
  const text: unknown = settings?.data?.expose
  if (text === undefined) return { grafana: grafana?.usuallyExposed ?? false }
  try {
    const parsed = exposureSpec.parse(JSON.parse(String(text)))
    return { grafana: parsed.grafana && grafana !== undefined }
  } catch {
    return { grafana: false }
  }
}

/** What to know about each thing that is exposed besides the agent, in sentences. */
export function exposureWarnings(exposed: readonly Exposable[]): string[] {
  return exposed.flatMap(({ what, hostname }) => {
    if (what === 'grafana')
      return [
        `Grafana is reachable from the internet at https://${hostname}; it is protected only by its own login, and by Cloudflare Access if you set that up.`,
      ]
    if (what === 'prometheus')
      return [
        `Prometheus is reachable from the internet at https://${hostname}; it has no login of its own, so that only Cloudflare Access, if you set that up, protects it.`,
      ]
    return []
  })
}

/** What a change of exposure means, in sentences. */
export function exposureConsequences(tunnel: Tunnel, before: Exposure, after: Exposure): string[] {
  const { grafana } = tunnel
  if (grafana === undefined || before.grafana === after.grafana) return []
  const said = after.grafana
    ? `Grafana becomes reachable from the internet at https://${grafana.hostname}; it is protected only by its own login and Cloudflare Access if you set that up.`
    : `Grafana is no longer reachable at https://${grafana.hostname}; whoever uses it there is cut off.`
  return [
    said,
    'The pods of cloudflared are replaced one after the other; requests through the old ones may be cut off when their grace period ends.',
  ]
}
