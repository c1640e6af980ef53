import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Obstacle } from '../../resources/operation.ts'
import { describeObject, type Evidence, isPast, listed } from './evidence.ts'

/** How long whoever is known to take a finalizer off may take for it before that is worth telling, in milliseconds. */
const patienceMs = 10_000

type Keeper = {
  finalizer: RegExp
  /** Who takes it off. */
  who: string
  /** What that waits for, if more than its turn. */
  waitsFor?: (object: KubernetesObject, evidence: Evidence) => string | undefined
  cure: (object: KubernetesObject, evidence: Evidence) => string
}

const keepers: Keeper[] = [
  {
    finalizer: /^operator\.cloud\.crate\.io\//,
    who: 'the Crate Operator',
    cure: (object, { operatorName: { namespace, name } }) =>
      `See that it runs: kubectl --namespace ${namespace} get deployment ${name}. If it is gone for good (and this is not OpenShift): ${takeOff(object)}`,
  },
  {
    finalizer: /^kubernetes\.io\/pvc-protection$/,
    who: 'kube-controller-manager, once no pod uses the volume',
    waitsFor: ({ metadata }, { pods }) => {
      const users = pods.filter((pod) => claimsOf(pod).includes(metadata.name)).map((pod) => pod.metadata.name)
      return users.length > 0 ? `it is used by ${listed(users)}` : undefined
    },
    cure: ({ metadata }) => `See which pods use it: kubectl --namespace ${metadata.namespace} describe pvc ${metadata.name}`,
  },
  {
    finalizer: /^service\.kubernetes\.io\/load-balancer-cleanup$/,
    who: 'the controller of the load balancer, once it has taken the load balancer away',
    cure: ({ metadata }) =>
      `See that it runs and what it says: kubectl --namespace ${metadata.namespace} describe service ${metadata.name}`,
  },
  {
    finalizer: /^(foregroundDeletion|orphan)$/,
    who: 'the garbage collector of kube-controller-manager, once what belongs to it is gone',
    cure: ({ metadata }) => `See that kube-controller-manager runs, and what is left: kubectl --namespace ${metadata.namespace} get all`,
  },
  {
    finalizer: /^external-(provisioner|attacher)\.volume\.kubernetes\.io\/|^external-attacher\//,
    who: 'the storage driver',
    cure: () => 'See that the pods of the CSI driver run: kubectl get csidrivers; kubectl get pods --all-namespaces | grep csi',
  },
]

/**
 * Something that is being deleted and is held by a finalizer. Kubernetes' own and the operator's get a moment; a foreign one
 * is told at once, since nothing here knows whether anybody will ever take it off.
 */
export function finalizerHeld(evidence: Evidence): Obstacle[] {
  const { project, namespace, databases, claims, pods, services, statefulSets } = evidence
  const leaving = [project, namespace, ...databases, ...statefulSets, ...services, ...pods, ...claims].filter(
    (object) => object?.metadata.deletionTimestamp !== undefined,
  ) as KubernetesObject[]
  return leaving.flatMap((object) =>
    (object.metadata.finalizers ?? [])
      .filter((finalizer) => !finalizer.startsWith('skerry.dev/')) // the agent's own: what it waits for is told beside it
      .flatMap((finalizer) => held(object, finalizer, evidence)),
  )
}

function held(object: KubernetesObject, finalizer: string, evidence: Evidence): Obstacle[] {
  const since = object.metadata.deletionTimestamp
  const keeper = keepers.find((candidate) => candidate.finalizer.test(finalizer))
  const operatorAway = finalizer.startsWith('operator.cloud.crate.io/') && !isRunning(evidence.operator)
  if (keeper && !operatorAway && !isPast(since, patienceMs, evidence.now)) return []
  const about = `${describeObject(object)} is being deleted since ${since} and held by the finalizer ${finalizer}`
  const waits = keeper?.waitsFor?.(object, evidence)
  return [
    {
      code: 'FinalizerHeld',
      message: keeper
        ? `${about}. To take it off is for ${keeper.who}${operatorAway ? ', which is not running' : waits === undefined ? '' : `; ${waits}`}.`
        : `${about}. Whoever put it there has to take it off.`,
      evidence: describeObject(object),
      cure:
        keeper?.cure(object, evidence) ?? `Find the controller it is named for and start it. If there is none any more: ${takeOff(object)}`,
    },
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

/** Takes all finalizers off: there is no patch that takes one off by name. */
function takeOff({ kind, metadata: { namespace, name } }: KubernetesObject): string {
  const where = namespace === undefined ? '' : `--namespace ${namespace} `
  return `kubectl ${where}patch ${kind.toLowerCase()} ${name} --type merge --patch '{"metadata":{"finalizers":null}}'`
}
