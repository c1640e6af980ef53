import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { deleteObject } from '../../shared/kubernetes/delete.ts'
import { tellEvent } from '../../shared/kubernetes/events.ts'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import type { Log } from '../../shared/log.ts'
import { fieldManager } from '../resources/labels.ts'
import {
  desiredTunnel,
  exposedBy,
  exposureWarnings,
  hostnamesIn,
  isSameTunnel,
  nextRevision,
  readExposure,
  readTunnelYaml,
  tunnelConfigMap,
  tunnelKey,
  tunnelYaml,
} from './desired.ts'
import { nextReplaced, podOfTunnel, podsOf, toBeNoted } from './pods.ts'
import type { Tunnel } from './settings.ts'
import { lookUp, readSettings, type TunnelCaches } from './state.ts'

/** Owns the error in the ConfigMap of the settings, so that its two writers do not remove each other's fields. */
const errorManager = 'skerry-agent-tunnel'

export type TunnelParts = { tunnel: Tunnel; caches: TunnelCaches; cluster: Cluster; mustAct: () => void; clock: Clock; log: Log }

/** Writes the desired `tunnel.yaml`, with a new revision. */
export async function configure({ tunnel, caches, cluster, mustAct, log }: TunnelParts): Promise<void> {
  const { settings, configuration, written, deployment } = lookUp(tunnel, caches)
  const found = readTunnelYaml(configuration)
  if (isSameTunnel(found, desiredTunnel(tunnel, readExposure(tunnel, settings)))) return
  // Two watches report settings and configuration. A stale setting must not expose anything.
  const expose = readExposure(tunnel, await readSettings(tunnel, cluster))
  const wanted = desiredTunnel(tunnel, expose)
  if (isSameTunnel(found, wanted)) return
  const revision = nextRevision(wanted, found, [written, deployment?.revision])
  mustAct()
  const outdated = configuration?.data?.[tunnelKey] === undefined ? toBeNoted.started : toBeNoted.all
  const object = tunnelConfigMap(tunnel, tunnelYaml(tunnel, expose), { revision, outdated })
  caches.configuration.put(await applyObject(cluster, object, { fieldManager, force: true }))
  const [before, now] = [hostnamesIn(found), exposedBy(tunnel, expose).map(({ hostname }) => hostname)]
  const opened = now.filter((hostname) => !before.includes(hostname))
  const closed = before.filter((hostname) => !now.includes(hostname))
  log.info({ revision, opened, closed, isNew: configuration === undefined }, 'tunnel configured')
}

/**
 * Notes which pods started with an earlier configuration. It asks after the configuration is written, so that every pod that could read an
 * earlier one is among them.
 */
export async function noteOutdated({ tunnel, caches, cluster, mustAct }: TunnelParts): Promise<void> {
  const { configuration, written: revision, deployment, outdated } = lookUp(tunnel, caches)
  if (configuration === undefined || revision === undefined || 'uids' in outdated) return
  const pods = await listObjects(cluster, kinds.Pod, { namespace: tunnel.namespace })
  const concerned = podsOf(deployment, pods.map(podOfTunnel)).filter(({ isStarted }) => isStarted || outdated.note === 'all')
  const uids = concerned.map(({ metadata }) => metadata.uid).join(' ')
  mustAct()
  const { resourceVersion } = configuration.metadata
  const object = tunnelConfigMap(tunnel, configuration.data?.[tunnelKey], { revision, outdated: uids, resourceVersion })
  caches.configuration.put(await applyObject(cluster, object, { fieldManager, force: true }))
}

/**
 * Replaces the pods that started with an earlier configuration, one after the other. They are deleted, and their Deployment makes new ones:
 * a right to change the Deployment would be one to run anything (decision 29).
 */
export async function roll({ tunnel, caches, cluster, mustAct, log }: TunnelParts): Promise<void> {
  const { written, deployment, pods, outdated } = lookUp(tunnel, caches)
  if (deployment === undefined || !('uids' in outdated)) return
  const next = nextReplaced(pods, outdated.uids, deployment.replicas)
  if (next === undefined) return
  const { name, uid } = next.metadata
  mustAct()
  if (await deleteObject(cluster, pathOf(kinds.Pod, tunnel.namespace, name), uid))
    log.info({ pod: name, revision: written }, 'pod of cloudflared replaced')
}

/** Warns about everything exposed, in the log and by an Event, once for each occasion. Resolves with the occasion. */
export async function warn(last: string, parts: TunnelParts): Promise<string> {
  const { tunnel, caches, mustAct, log } = parts
  const { settings, written } = lookUp(tunnel, caches)
  const warnings = exposureWarnings(exposedBy(tunnel, readExposure(tunnel, settings)))
  const occasion = `${written ?? ''} ${warnings.join(' ')}`
  if (occasion === last) return occasion
  mustAct()
  if (warnings.length > 0) {
    log.warn({ warnings }, 'more than the agent is exposed')
    await emit(occasion, warnings.join(' '), parts)
  }
  return occasion
}

async function emit(occasion: string, message: string, { tunnel, caches, cluster, clock }: TunnelParts): Promise<void> {
  const { namespace, configMap } = tunnel
  const { uid } = lookUp(tunnel, caches).configuration?.metadata ?? {}
  await tellEvent(cluster, {
    // The name depends on the occasion, so that the next leader does not create a second Event while this one is kept.
    name: `skerry-tunnel.${createHash('sha256').update(occasion).digest('hex').slice(0, 16)}`,
    about: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: configMap, namespace, ...(uid !== undefined && { uid }) } },
    type: 'Warning',
    reason: 'Exposed',
    message,
    component: 'skerry-agent',
    now: clock.now(),
  })
}

/** Writes the last error where every replica can read it. */
export async function noteError(error: string | undefined, { tunnel, caches, cluster, mustAct }: TunnelParts): Promise<void> {
  const { settings } = lookUp(tunnel, caches)
  if (settings?.data?.error === error) return
  mustAct()
  const { namespace, settings: name } = tunnel
  const data = error === undefined ? {} : { error }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
  caches.settings.put(await applyObject(cluster, object, { fieldManager: errorManager, force: true }))
}
