import { type Cache, type CacheTools, createCache } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, kinds, type ObjectMeta } from '../../shared/kubernetes/objects.ts'
import { inBackground, type Part } from '../../shared/lifecycle.ts'
import { identityOf } from './caches.ts'
import { type ComponentState, componentsOf, type KnownComponent, type WorkloadView, workloadView } from './components.ts'
import { type Controller, SealingCertificate } from './sealing.ts'

type Named = { metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'resourceVersion'> }
type IngressClassView = Named & { controller: string; isDefault: boolean }

/** What runs in the cluster besides databases, and what it offers. */
export type Stack = {
  workloads: readonly Cache<WorkloadView>[]
  ingressClasses: Cache<IngressClassView>
  csiDrivers: Cache<Named>
  sealing: SealingCertificate
  /** How each component is, by its name. */
  components(): Record<string, ComponentState>
  /** Nothing waits for it: a cluster may serve a kind late, or refuse it, and the region is none the worse. */
  part: Part
}

/**
 * Follows what runs in the cluster besides databases. Of Deployments, StatefulSets and DaemonSets it follows all but those of databases,
 * since a component may be anywhere; of most it keeps their names alone.
 */
export function createStack(known: readonly KnownComponent[], tools: CacheTools): Stack {
  // A cluster with a thousand databases has a thousand StatefulSets of the Crate Operator.
  const workload = (kind: 'Deployment' | 'StatefulSet' | 'DaemonSet') =>
    createCache<WorkloadView>(
      {
        kind: kinds[kind],
        labelSelector: 'app.kubernetes.io/managed-by!=crate-operator',
        pageSize: 50,
        view: workloadView(kinds[kind].plural, known),
      },
      tools,
    )
  const workloads = [workload('Deployment'), workload('StatefulSet'), workload('DaemonSet')]
  const ingressClasses = createCache<IngressClassView>({ kind: kinds.IngressClass, view: ingressClassView }, tools)
  const csiDrivers = createCache<Named>({ kind: kinds.CSIDriver, view: (object) => ({ metadata: identityOf(object) }) }, tools)
  const sealing = new SealingCertificate(() => controllerOf(workloads), tools)
  for (const cache of workloads) cache.subscribe(({ object: { part } }) => part?.component === sealedSecrets && sealing.look())
  const parts: Part[] = [...workloads, ingressClasses, csiDrivers, sealing]
  return {
    workloads,
    ingressClasses,
    csiDrivers,
    sealing,
    components: () =>
      componentsOf(
        workloads.flatMap((cache) => [...cache.values()]),
        known,
      ),
    part: inBackground('stack', parts),
  }
}

function ingressClassView(object: KubernetesObject): IngressClassView {
  return {
    metadata: identityOf(object),
    controller: String(object.spec?.controller ?? ''),
    isDefault: object.metadata.annotations?.['ingressclass.kubernetes.io/is-default-class'] === 'true',
  }
}

const sealedSecrets = 'sealed-secrets'

function controllerOf(workloads: readonly Cache<WorkloadView>[]): Controller | undefined {
  for (const { metadata, part } of workloads.flatMap((cache) => [...cache.values()])) {
    const { namespace, name, uid } = metadata
    if (part?.component === sealedSecrets && namespace !== undefined) return { namespace, name, uid, isReady: part.isReady }
  }
  return undefined
}
