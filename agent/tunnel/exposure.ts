import { isProblem, Problem } from '../../shared/errors.ts'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { sameJson } from '../operations/deciding/decision.ts'
import { differenceOf } from '../operations/deciding/difference.ts'
import { patched } from '../operations/deciding/merge-patch.ts'
import { type PlannedObject, type PlannedStep, tryOut } from '../operations/deciding/plan.ts'
import { fieldManager } from '../resources/labels.ts'
import {
  desiredTunnel,
  type Exposure,
  exposureConsequences,
  isSameTunnel,
  readExposure,
  readTunnelYaml,
  settingsConfigMap,
  tunnelKey,
  tunnelSpec,
} from './desired.ts'
import type { Tunnel } from './settings.ts'
import { lookUp, readSettings, type TunnelInUse } from './state.ts'

/** A request to change what is exposed. The guard throws if the request was meant for a state other than the current one. */
export type ExposureRequest = { patch: Record<string, unknown>; guard: (present: Exposure) => void }

type Decision = { before: Exposure; after: Exposure; present: KubernetesObject | undefined; isNews: boolean }

/** How often a request is decided again because another writer came first. */
const attempts = 4

/**
 * Writes the new exposure if its object is still the version that the decision read. It is in etcd when this resolves; the controller
 * does the rest.
 *
 * It is not an operation: the tunnel has one object, and the last write takes precedence (decision 8).
 *
 * @throws Problem `invalid-fields`, `wrong-state` when Grafana is not configured, the guard's own, `conflict` when others keep writing,
 *   and those of `Cluster.request`
 */
export async function changeExposure(use: TunnelInUse, cluster: Cluster, request: ExposureRequest): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { after, present, isNews } = await decide(use, cluster, request)
    if (!isNews) return
    try {
      const object = settingsConfigMap(use.tunnel, after, present?.metadata.resourceVersion)
      use.caches.settings.put(await applyObject(cluster, object, { fieldManager, force: true }))
      return
    } catch (error) {
      if (!isProblem(error, 'conflict') || attempt === attempts) throw error
    }
  }
}

/** The plan of `changeExposure`. Writes nothing. @throws Problem like `changeExposure` */
export async function planExposure({ tunnel, caches }: TunnelInUse, cluster: Cluster, request: ExposureRequest): Promise<PlannedStep[]> {
  const { before, after, isNews } = await decide({ tunnel, caches }, cluster, request)
  if (!isNews) return []
  const { configuration, pods } = lookUp(tunnel, caches)
  const consequences = exposureConsequences(tunnel, before, after)
  const settings = await tryOut(cluster, settingsConfigMap(tunnel, after), new Map())
  const steps = [{ name: 'expose', consequences, objects: [settings] }]

  const [found, wanted] = [readTunnelYaml(configuration), desiredTunnel(tunnel, after)]
  if (isSameTunnel(found, wanted)) return steps
  const asObject = (content: object | undefined) => content && configurationShown(tunnel, content)
  const written: PlannedObject = {
    kind: 'ConfigMap',
    namespace: tunnel.namespace,
    name: tunnel.configMap,
    change: configuration === undefined ? 'create' : 'change',
    diff: differenceOf(asObject(found), asObject(wanted)),
  }
  const replaced = pods.map(({ metadata }): PlannedObject => {
    return { kind: 'Pod', namespace: tunnel.namespace, name: metadata.name, change: 'delete', diff: [] }
  })
  return [...steps, { name: 'configure', consequences: [], objects: [written, ...replaced] }]
}

/** The ConfigMap with its text parsed: a difference then names a rule instead of the whole file. */
function configurationShown({ configMap, namespace }: Tunnel, content: object): KubernetesObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: configMap, namespace }, data: { [tunnelKey]: content } }
}

async function decide({ tunnel, caches }: TunnelInUse, cluster: Cluster, { patch, guard }: ExposureRequest): Promise<Decision> {
  const present = await readSettings(tunnel, cluster)
  if (present) caches.settings.put(present)
  const before = readExposure(tunnel, present)
  guard(before)
  const { expose: after } = patched(tunnelSpec, { expose: before }, patch)
  if (after.grafana && tunnel.grafana === undefined) {
    const detail = 'No Grafana is configured. Set tunnel.grafana.url in the configuration of the agent first.'
    throw new Problem('wrong-state', detail)
  }
  // An explicit value is kept even if it equals the default, which may change.
  const isSaid = present?.data?.expose !== undefined
  return { before, after, present, isNews: !isSaid || !sameJson(before, after) }
}
