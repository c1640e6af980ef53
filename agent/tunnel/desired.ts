import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { parse, stringify } from 'yaml'
import * as z from 'zod'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { annotation, managedBy } from '../resources/labels.ts'
import type { Exposable, Tunnel } from './settings.ts'

/** What `PATCH /v1/tunnel` can change. */
export const exposureSpec = z.strictObject({
  grafana: z.boolean().default(false).describe('Grafana is reachable from the internet, at its hostname'),
})
export const tunnelSpec = z.strictObject({ expose: exposureSpec.prefault({}) })

export type Exposure = z.output<typeof exposureSpec>

/** The key of cloudflared's ConfigMap. */
export const tunnelKey = 'tunnel.yaml'

/** Everything that the tunnel exposes, the agent first. */
export function exposedBy({ agent, prometheus, grafana }: Tunnel, expose: Exposure): Exposable[] {
  return [agent, prometheus, expose.grafana ? grafana : undefined]
    .filter((each) => each !== undefined)
    .map(({ what, hostname, url }) => ({ what, hostname, url }))
}

/**
 * cloudflared's configuration as an object. The first rule with the hostname of a request wins; the last must match every request, or
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
    // Its flag is not in the documentation, but is read from this file too (cloudflared's cmd/cloudflared/tunnel/cmd.go).
    ...(tunnel.connections !== undefined && { 'ha-connections': tunnel.connections }),
    'grace-period': tunnel.gracePeriod,
    ingress: [...rules, { service: 'http_status:404' }],
  }
}

/** The text of `tunnel.yaml`. */
export function tunnelYaml(tunnel: Tunnel, expose: Exposure): string {
  return stringify(desiredTunnel(tunnel, expose), { lineWidth: 0 })
}

/** The parsed `tunnel.yaml` of a ConfigMap; undefined when it is missing or malformed. */
export function readTunnelYaml(configMap: KubernetesObject | undefined): Record<string, unknown> | undefined {
  try {
    const found = parse(configMap?.data?.[tunnelKey] ?? '')
    return typeof found === 'object' && found !== null ? found : undefined
  } catch {
    return undefined
  }
}

/** Whether both mean the same to cloudflared: comments, quotes and the order of keys make no difference. */
export function isSameTunnel(one: object | undefined, other: object | undefined): boolean {
  return one !== undefined && other !== undefined && canonicalize(one) === canonicalize(other)
}

/** The hostnames in a parsed `tunnel.yaml`, even one that somebody else wrote. */
export function hostnamesIn(tunnelYaml: Record<string, unknown> | undefined): string[] {
  const rules = Array.isArray(tunnelYaml?.ingress) ? tunnelYaml.ingress : []
  return rules.map((rule) => rule?.hostname).filter((hostname) => typeof hostname === 'string')
}

/**
 * Names one revision of the configuration: `3-5d41402abc4b`, a growing number and a hash of the content.
 *
 * @param found the content until now, if any, which counts as the first revision
 * @param present the present revision; also that of the pods, which an earlier version wrote
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
 * Whether pods of revision `borne` use the ConfigMap of revision `written`, both from a version that changed the pods' template. Pods without
 * a revision are those of the installation, which could only start after the first write.
 */
export function isTakenUp(written: string | undefined, borne: string | undefined): boolean {
  return written === borne || written === undefined || (borne === undefined && written.startsWith('1-'))
}

/**
 * cloudflared's ConfigMap. It gets no labels of ours: it usually belongs to a Helm release, whose labels it has.
 * @param outdated which pods are, as `outdatedIn` reads it
 * @param resourceVersion writes only if it is still that version
 */
export function tunnelConfigMap(
  { namespace, configMap }: Tunnel,
  text: string,
  { revision, outdated, resourceVersion }: { revision: string; outdated: string; resourceVersion?: string | undefined },
): KubernetesObject {
  const annotations = { [annotation.tunnelRevision]: revision, [annotation.tunnelOutdatedPods]: outdated }
  const metadata = { name: configMap, namespace, annotations, ...(resourceVersion !== undefined && { resourceVersion }) }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [tunnelKey]: text } }
}

/** The ConfigMap that keeps the exposure. @param resourceVersion writes only if it is still that version */
export function settingsConfigMap({ namespace, settings }: Tunnel, expose: Exposure, resourceVersion?: string): KubernetesObject {
  const metadata = { name: settings, namespace, labels: managedBy, ...(resourceVersion !== undefined && { resourceVersion }) }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { expose: JSON.stringify(expose) } }
}

/**
 * The exposure that was last requested, else the configured one. A malformed ConfigMap exposes nothing, and a Grafana that is not configured
 * is never exposed.
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

/** Until when the cloud has asked for a tunnel that starts on demand, in Unix milliseconds; undefined if it never has. */
export function readCalledUntil(settings: KubernetesObject | undefined): number | undefined {
  const until = Date.parse(settings?.data?.calledUntil ?? '')
  return Number.isNaN(until) ? undefined : until
}

/** A warning about everything that is exposed besides the agent. */
export function exposureWarnings(exposed: readonly Exposable[]): string[] {
  return exposed.flatMap(({ what, hostname }) => {
    if (what === 'grafana')
      return [
        `Grafana is reachable from the internet at https://${hostname}; only its own login protects it, and Cloudflare Access if you set that up.`,
      ]
    if (what === 'prometheus')
      return [
        `Prometheus is reachable from the internet at https://${hostname}; it has no login, so only Cloudflare Access protects it, if you set that up.`,
      ]
    return []
  })
}

/** The consequences of a change of exposure. */
export function exposureConsequences(tunnel: Tunnel, before: Exposure, after: Exposure): string[] {
  const { grafana } = tunnel
  if (grafana === undefined || before.grafana === after.grafana) return []
  const said = after.grafana
    ? `Grafana becomes reachable from the internet at https://${grafana.hostname}; only its own login protects it, and Cloudflare Access if you set that up.`
    : `Grafana is no longer reachable at https://${grafana.hostname}; its users there are disconnected.`
  return [
    said,
    'The pods of cloudflared are replaced one after the other; requests through the old ones may be cut off when their grace period ends. If there is only one, nothing gets through until the next one is connected.',
  ]
}
