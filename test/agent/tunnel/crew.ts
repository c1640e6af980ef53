import { isProblem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'

/** The pods of cloudflared, which a test makes ready or leaves as they are. */
export type Crew = {
  /** Whether new pods become ready; true at first. */
  becomesReady: boolean
  /** Those that are not about to end. */
  pods(): Promise<KubernetesObject[]>
  /** Reports a pod as running, and as ready or not. */
  report(pod: KubernetesObject, isReady: boolean): Promise<void>
  stop(): Promise<void>
}

/**
 * Plays the kubelets for the pods of a Deployment, and the controller manager as well on a control plane that has none. It makes the next pod
 * as soon as one is about to end.
 */
export function muster(admin: Cluster, deployment: KubernetesObject): Crew {
  const { namespace } = deployment.metadata
  const { replicas, selector } = deployment.spec
  const labelSelector = Object.entries(selector.matchLabels)
    .map((pair) => pair.join('='))
    .join(',')
  const isManaged = process.env.SKERRY_CLUSTER === 'real'
  let stopped = false

  const crew: Crew = {
    becomesReady: true,
    async pods() {
      const all = await listObjects(admin, kinds.Pod, { namespace, query: { labelSelector } })
      return all.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    },
    report: (pod, isReady) =>
      mergeStatus(admin, pod, { phase: 'Running', conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] }),
    async stop() {
      stopped = true
      await running
    },
  }

  async function run(): Promise<void> {
    while (!stopped) {
      const found = isManaged ? undefined : await readObject(admin, pathOfObject(deployment))
      const pods = await crew.pods()
      if (found !== undefined && pods.length < replicas) await makePod(admin, found)
      const started = pods.filter(({ status }) => status?.phase === 'Running')
      for (const pod of pods) if (crew.becomesReady && !started.includes(pod)) await crew.report(pod, true)
      const { generation } = found?.metadata ?? {}
      const status = { observedGeneration: generation, replicas, updatedReplicas: replicas, readyReplicas: started.length }
      if (found !== undefined && !Object.entries(status).every(([key, value]) => found.status?.[key] === value))
        await mergeStatus(admin, deployment, status)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const running = run()
  return crew
}

/** Makes a pod of a Deployment, with the ReplicaSet between them. */
async function makePod(admin: Cluster, { metadata: { name, namespace, uid }, spec }: KubernetesObject): Promise<void> {
  const collection = `/apis/apps/v1/namespaces/${namespace}/replicasets`
  const owner = (kind: string, of: { name: string; uid?: string | undefined }) => {
    return [{ apiVersion: 'apps/v1', kind, name: of.name, uid: of.uid ?? '', controller: true }]
  }
  const set = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: `${name}-5d8f7c`, namespace, ownerReferences: owner('Deployment', { name, uid }) },
    spec: { replicas: 0, selector: spec.selector, template: spec.template },
  }
  const read = () => admin.request<KubernetesObject>({ method: 'GET', path: `${collection}/${set.metadata.name}` })
  const made = await admin.request<KubernetesObject>({ method: 'POST', path: collection, body: set }).catch((error: unknown) => {
    if (isProblem(error, 'already-exists')) return read()
    throw error
  })
  const metadata = {
    ...spec.template.metadata,
    generateName: `${made.metadata.name}-`,
    ownerReferences: owner('ReplicaSet', made.metadata),
  }
  await admin.request({
    method: 'POST',
    path: pathOf(kinds.Pod, namespace),
    body: { ...spec.template, apiVersion: 'v1', kind: 'Pod', metadata },
  })
}

async function mergeStatus(admin: Cluster, object: KubernetesObject, status: object): Promise<void> {
  const [path, contentType] = [`${pathOfObject(object)}/status`, 'application/merge-patch+json']
  await admin.request({ method: 'PATCH', path, contentType, body: { status } }).catch((error: unknown) => {
    if (!isProblem(error, 'not-found')) throw error
  })
}
