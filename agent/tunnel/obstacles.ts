import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { listObjects } from '../../shared/kubernetes/read.ts'
import { containerConfigError, imageNotPulled, podCrashLooping } from '../region/obstacles/containers.ts'
import { cures } from '../region/obstacles/cures.ts'
import { conditionOf, describeObject, tell } from '../region/obstacles/evidence.ts'
import type { Obstacle } from '../resources/operation.ts'
import type { Tunnel } from './settings.ts'
import { type CloudflaredView, lookUp, type TunnelCaches, tunnelStateOf } from './state.ts'

const timeoutMs = 5_000

/**
 * The obstacles of the tunnel; empty when it works. Reads pods and Secrets only when cloudflared is not ready. Never rejects: a failed
 * read finds nothing.
 */
export async function tunnelObstacles(tunnel: Tunnel, caches: TunnelCaches, cluster: Cluster): Promise<Obstacle[]> {
  const { cloudflared, lastError } = tunnelStateOf(tunnel, caches)
  const { deployment } = lookUp(tunnel, caches)
  return [...notApplied(tunnel, lastError), ...(await ofCloudflared())]

  async function ofCloudflared(): Promise<Obstacle[]> {
    switch (cloudflared.state) {
      case 'running':
      case 'resting':
      case 'unknown':
        return []
      case 'missing':
        return [missing(tunnel)]
      case 'scaled-down':
        return [scaledDown(tunnel)]
      default:
        return deployment === undefined ? [] : notReady(tunnel, deployment, cluster)
    }
  }
}

function notApplied({ namespace, settings }: Tunnel, lastError: string | null): Obstacle[] {
  if (lastError === null) return []
  return [
    tell({
      code: 'TunnelNotApplied',
      message: `The configuration of cloudflared could not be written: ${lastError}`,
      evidence: `ConfigMap ${namespace}/${settings}`,
      cures: [cures.TunnelNotApplied.compare()],
    }),
  ]
}

function missing({ namespace, deployment }: Tunnel): Obstacle {
  return tell({
    code: 'CloudflaredMissing',
    message: `Deployment ${deployment} does not exist: this region cannot be reached through the tunnel.`,
    evidence: `Deployment ${namespace}/${deployment}`,
    cures: [cures.CloudflaredMissing.install()],
  })
}

function scaledDown({ namespace, deployment }: Tunnel): Obstacle {
  return tell({
    code: 'CloudflaredScaledDown',
    message: 'cloudflared is scaled to 0 replicas: this region cannot be reached through the tunnel.',
    evidence: `Deployment ${namespace}/${deployment}`,
    cures: [cures.CloudflaredScaledDown.start({ namespace, deployment })],
  })
}

async function notReady(tunnel: Tunnel, view: CloudflaredView, cluster: Cluster): Promise<Obstacle[]> {
  const { namespace, deployment } = tunnel
  const [pods, gone] = await Promise.all([podsOf(tunnel, view, cluster), missingSecrets(namespace, view.secrets, cluster)])
  const secrets = gone.map((name) =>
    tell({
      code: 'SecretMissing',
      message: `Secret ${name} does not exist; the pods of cloudflared need it to start.`,
      evidence: `Deployment ${namespace}/${deployment}`,
      cures: [cures.SecretMissing.tunnel({ namespace, name })],
    }),
  )
  const seen = { pods, missingSecrets: gone.map((name) => ({ namespace, name, usedFor: 'the tunnel' })) }
  const found = [...secrets, ...imageNotPulled(seen), ...containerConfigError(seen), ...podCrashLooping(seen), ...unschedulable(pods)]
  return found.length > 0 ? found : [withoutConnection(tunnel, view, pods)]
}

async function podsOf({ namespace }: Tunnel, { matchLabels }: CloudflaredView, cluster: Cluster): Promise<KubernetesObject[]> {
  const labelSelector = Object.entries(matchLabels)
    .map((pair) => pair.join('='))
    .join(',')
  // An empty selector would match all pods of the namespace.
  if (labelSelector === '') return []
  try {
    return await listObjects(cluster, kinds.Pod, { namespace, query: { labelSelector, limit: 50 }, timeoutMs })
  } catch {
    return []
  }
}

/** The Secrets that do not exist. Their content is not read. */
async function missingSecrets(namespace: string, names: string[], cluster: Cluster): Promise<string[]> {
  const isGone = async (name: string) => {
    try {
      await cluster.request({ method: 'GET', path: pathOf(kinds.Secret, namespace, name), timeoutMs })
      return false
    } catch (error) {
      return isProblem(error, 'not-found')
    }
  }
  const found = await Promise.all(names.map(isGone))
  return names.filter((_, index) => found[index])
}

function unschedulable(pods: KubernetesObject[]): Obstacle[] {
  return pods.flatMap((pod) => {
    const scheduled = conditionOf(pod, 'PodScheduled')
    if (scheduled?.status !== 'False') return []
    const { namespace = '', name } = pod.metadata
    return [
      tell({
        code: 'PodUnschedulable',
        message: `No node takes a pod of cloudflared: ${scheduled.message ?? scheduled.reason ?? 'no reason given'}`,
        evidence: describeObject(pod),
        cures: [cures.PodUnschedulable.describe({ namespace, pod: name })],
      }),
    ]
  })
}

function withoutConnection({ namespace, deployment }: Tunnel, { trouble }: CloudflaredView, pods: KubernetesObject[]): Obstacle {
  const runs = pods.some(({ status }) => status?.phase === 'Running')
  const said = trouble === undefined ? '' : ` Kubernetes says: ${trouble}`
  const { log, describe } = cures.CloudflaredNotReady
  return tell({
    code: 'CloudflaredNotReady',
    message: runs
      ? `cloudflared runs, but not every replica has a connection to Cloudflare's edge.${said}`
      : `Not every replica of cloudflared is ready.${said}`,
    evidence: `Deployment ${namespace}/${deployment}`,
    cures: [(runs ? log : describe)({ namespace, deployment })],
  })
}
