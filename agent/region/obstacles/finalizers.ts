import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Cure } from '../../resources/cure.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { describeObject, type Evidence, isPast, listed, tell } from './evidence.ts'

/** How long a known keeper may take to remove its finalizer before that is reported, in milliseconds. */
const patienceMs = 10_000

type Keeper = {
  finalizer: RegExp
  /** Who removes it. */
  who: string
  /** What the keeper waits for, if that is known. */
  waitsFor?: (object: KubernetesObject, evidence: Evidence) => string | undefined
  cures: (object: KubernetesObject, evidence: Evidence, finalizer: string) => Cure[]
}

const { install, operator, claim, service, collector, drivers, driverPods, snapshots, controller, keepVolumes, ...takeOff } =
  cures.FinalizerHeld

const keepers: Keeper[] = [
  {
    finalizer: /^operator\.cloud\.crate\.io\//,
    who: 'the Crate Operator',
    cures: (object, evidence, finalizer) => [
      evidence.operator === null
        ? install()
        : operator({ namespace: evidence.operatorName.namespace, deployment: evidence.operatorName.name }),
      ...keeping(object, evidence),
      takeOff.withoutOperator(placeOf(object, finalizer)),
    ],
  },
  {
    finalizer: /^kubernetes\.io\/pvc-protection$/,
    who: 'kube-controller-manager, once no pod uses the volume',
    waitsFor: ({ metadata }, { pods }) => {
      const users = pods.filter((pod) => claimsOf(pod).includes(metadata.name)).map((pod) => pod.metadata.name)
      return users.length > 0 ? `it is used by ${listed(users)}` : undefined
    },
    cures: ({ metadata }, { namespaceName }) => [claim({ namespace: namespaceName, claim: metadata.name })],
  },
  {
    finalizer: /^service\.kubernetes\.io\/load-balancer-cleanup$/,
    who: 'the controller of the load balancer, once the load balancer is removed',
    cures: ({ metadata }, { namespaceName }) => [service({ namespace: namespaceName, service: metadata.name })],
  },
  {
    finalizer: /^(foregroundDeletion|orphan)$/,
    who: 'the garbage collector of kube-controller-manager, once its dependents are gone',
    cures: (_, { namespaceName }) => [collector({ namespace: namespaceName })],
  },
  {
    // On a claim: pvc-as-source-protection, as external-snapshotter 8.6 calls it.
    finalizer: /^(group)?snapshot\.storage\.kubernetes\.io\//,
    who: 'the snapshot controller of the cluster, once no snapshot of it is being made',
    cures: (_, { namespaceName }) => [snapshots({ namespace: namespaceName })],
  },
  {
    finalizer: /^external-(provisioner|attacher)\.volume\.kubernetes\.io\/|^external-attacher\//,
    who: 'the storage driver',
    cures: () => [drivers(), driverPods()],
  },
]

/**
 * Objects that are being deleted and are held by a finalizer. Known keepers get some time; any other finalizer is reported at once, since it
 * is unknown whether anybody will ever remove it.
 */
export function finalizerHeld(evidence: Evidence): Obstacle[] {
  const { project, namespace, databases, claims, pods, services, statefulSets } = evidence
  const leaving = [project, namespace, ...databases, ...statefulSets, ...services, ...pods, ...claims].filter(
    (object) => object?.metadata.deletionTimestamp !== undefined,
  ) as KubernetesObject[]
  return leaving.flatMap((object) =>
    (object.metadata.finalizers ?? [])
      .filter((finalizer) => !finalizer.startsWith('skerry.dev/')) // the agent's own: other rules report what it waits for
      .flatMap((finalizer) => held(object, finalizer, evidence)),
  )
}

function held(object: KubernetesObject, finalizer: string, evidence: Evidence): Obstacle[] {
  const since = object.metadata.deletionTimestamp
  const keeper = keepers.find((candidate) => candidate.finalizer.test(finalizer))
  const operatorAway = finalizer.startsWith('operator.cloud.crate.io/') && !isRunning(evidence.operator)
  if (keeper && !operatorAway && !isPast(since, patienceMs, evidence.now)) return []
  const about = `${describeObject(object)} has been in deletion since ${since}, held by the finalizer ${finalizer}`
  const waits = keeper?.waitsFor?.(object, evidence)
  return [
    tell({
      code: 'FinalizerHeld',
      message: keeper
        ? `${about}. It is removed by ${keeper.who}${operatorAway ? ', which is not running' : waits === undefined ? '' : `; ${waits}`}.`
        : `${about}. Its owner has to remove it.`,
      evidence: describeObject(object),
      cures: keeper?.cures(object, evidence, finalizer) ?? [
        controller(),
        ...keeping(object, evidence),
        takeOff.withoutController({ ...placeOf(object, finalizer), object: describeObject(object) }),
      ],
    }),
  ]
}

function isRunning(operator: Evidence['operator']): boolean {
  return operator === undefined || (operator?.status?.readyReplicas ?? 0) > 0
}

/** The names of the claims that a pod uses. */
export function claimsOf(pod: KubernetesObject): string[] {
  const volumes: { persistentVolumeClaim?: { claimName: string } }[] = pod.spec?.volumes ?? []
  return volumes.flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [])
}

/** How to keep the volumes of the claims that are deleted with this object. */
function keeping(object: KubernetesObject, { claims }: Evidence): Cure[] {
  const { kind, metadata } = object
  const going: Record<string, (claim: KubernetesObject) => boolean> = {
    Project: () => true,
    Namespace: () => true,
    CrateDB: (claim) => claim.metadata.labels?.['app.kubernetes.io/name'] === metadata.name,
    PersistentVolumeClaim: (claim) => claim.metadata.name === metadata.name,
  }
  const volumes = claims.filter(going[kind] ?? (() => false)).flatMap(({ spec }): string[] => spec?.volumeName || [])
  return volumes.length > 0 ? [keepVolumes({ volumes: volumes.sort() })] : []
}

/** The place of a finalizer in the list: a JSON patch can remove it only by its index. */
function placeOf({ kind, metadata: { namespace, name, finalizers = [] } }: KubernetesObject, finalizer: string) {
  const where = namespace === undefined ? [] : ['--namespace', namespace]
  return { where, kind: kind.toLowerCase(), name, finalizer, index: String(finalizers.indexOf(finalizer)) }
}
