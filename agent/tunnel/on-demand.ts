import type { Clock } from '../../shared/clock.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import type { Log } from '../../shared/log.ts'
import { fieldManager } from '../resources/labels.ts'
import { readCalledUntil } from './desired.ts'
import type { TunnelParts } from './reconcile.ts'
import { lookUp, type TunnelInUse } from './state.ts'

/** Owns the moment in the ConfigMap of the settings, so that it and their other writers do not remove each other's fields. */
const callManager = 'skerry-agent-call'

/** A call this close to the last one moves nothing: the cloud repeats it with each heartbeat. */
const graceMs = 30_000

/** Somebody on site may set a later moment by hand. One still further away is of a clock that was wrong. */
const longestMs = 86_400_000

/**
 * Until when the tunnel is wanted, in Unix milliseconds; undefined if it is not. The moment stands in the ConfigMap of the settings, where the
 * next leader finds it.
 */
function wantedUntil(settings: KubernetesObject | undefined, now: number): number | undefined {
  const until = readCalledUntil(settings)
  return until !== undefined && until > now && until <= now + longestMs ? until : undefined
}

/** Wants the tunnel from now on, for as long as is configured. Without a tunnel that starts on demand, nothing is done. @throws Problem */
export async function callTunnel({ tunnel, caches }: TunnelInUse, { cluster, clock }: { cluster: Cluster; clock: Clock }): Promise<void> {
  const { namespace, settings: name, onDemand } = tunnel
  if (onDemand === undefined) return
  const until = clock.now() + onDemand.stayMs
  if ((wantedUntil(lookUp(tunnel, caches).settings, clock.now()) ?? 0) > until - graceMs) return
  const data = { calledUntil: new Date(until).toISOString() }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data }
  caches.settings.put(await applyObject(cluster, object, { fieldManager: callManager, force: true }))
}

/**
 * Starts cloudflared while the tunnel is wanted, and stops it afterwards, by the subresource `scale` of its Deployment: the right to that lets
 * nobody run anything else (decision 37).
 *
 * @returns milliseconds until the tunnel is no longer wanted; undefined if it is not, or always runs
 */
export async function scale({ tunnel, caches, cluster, clock, mustAct, log }: TunnelParts): Promise<number | undefined> {
  const { namespace, deployment: name, onDemand } = tunnel
  const { settings, deployment } = lookUp(tunnel, caches)
  if (onDemand === undefined || deployment === undefined) return undefined
  const until = wantedUntil(settings, clock.now())
  const replicas = until === undefined ? 0 : onDemand.replicas
  if (deployment.replicas !== replicas) {
    mustAct()
    await mergePatch(cluster, `${pathOf(kinds.Deployment, namespace, name)}/scale`, { spec: { replicas } }, { fieldManager })
    tellOf(until, log)
  }
  return until && until - clock.now()
}

function tellOf(until: number | undefined, log: Log): void {
  if (until === undefined) log.info('the tunnel rests until the cloud calls')
  else log.info({ until: new Date(until).toISOString() }, 'the tunnel starts: the cloud is about to call')
}
