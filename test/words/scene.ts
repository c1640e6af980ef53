import { readFileSync } from 'node:fs'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { startCluster, startStandIns, until } from '../cluster/index.ts'
import { definitionNamed } from '../deploy/bootstrap.ts'
import { definitions } from '../region/definitions.ts'
import { runDeployments } from './deployments.ts'
import { runJobs } from './jobs.ts'
import { type Inside, standBefore } from './kubelets.ts'
import { createRunner } from './runner.ts'

export type Scene = Awaited<ReturnType<typeof openScene>>

/**
 * A cluster with nodes, storage and a Crate Operator, all of them stand-ins, in which nothing of Skerry is installed yet, and somebody who
 * runs what the texts say. Runs on either control plane.
 */
export async function openScene(story: string) {
  const cluster = await startCluster({ crds: definitions.crateDB.map((file) => readFileSync(file, 'utf8')) })
  const standIns = await startStandIns(cluster, { nodes: 4 })
  const { world } = standIns
  const controllers = world.plane === 'embedded' ? await Promise.all([runDeployments(world), runJobs(world)]) : []
  /** By the beginning of the pod's name. */
  const programs = new Map<string, Inside>()
  const inside = (_namespace: string, pod: string) => [...programs].find(([name]) => pod.startsWith(name))?.[1]
  const front = await standBefore(cluster, inside)
  const runner = await createRunner(story, { front, world })

  /** Serves a kind of Kubernetes itself that the embedded control plane has not, as objects that nobody acts upon. @returns its path */
  async function serve(kind: string, plural: string, group: string): Promise<string> {
    const path = `/apis/${group}/v1/${plural}`
    if (world.plane === 'real') return path
    const definition = definitionNamed(`${plural}.${group}`)
    const spec = { ...definition.spec, scope: 'Cluster', names: { plural, singular: kind.toLowerCase(), kind } }
    await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { ...definition, spec })
    await until(`${plural} are served`, async () => (await read(path)) !== undefined)
    return path
  }

  /** An object by its path; undefined when it is not there. */
  async function read(path: string): Promise<KubernetesObject | undefined> {
    return world.cluster.request<KubernetesObject>({ method: 'GET', path }).catch(() => undefined)
  }

  async function make(path: string, body: object): Promise<KubernetesObject> {
    return world.cluster.request<KubernetesObject>({ method: 'POST', path, body })
  }

  async function list(path: string): Promise<KubernetesObject[]> {
    return (await world.cluster.request<{ items: KubernetesObject[] }>({ method: 'GET', path })).items
  }

  // The embedded control plane calls itself 1.33, for which the chart has policies.
  await serve('ValidatingAdmissionPolicy', 'validatingadmissionpolicies', 'admissionregistration.k8s.io')
  await serve('ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings', 'admissionregistration.k8s.io')

  /**
   * Resolves once nothing that data hangs on comes or goes in a namespace: its claims are bound, or gone with the volumes that go with them.
   * @param count of claims; any number of them when left out
   */
  async function settled(namespace: string, count?: number): Promise<void> {
    await until(`nothing in ${namespace} comes or goes`, async () => {
      const claims = await list(`/api/v1/namespaces/${namespace}/persistentvolumeclaims`)
      const volumes = (await list('/api/v1/persistentvolumes')).filter(({ spec }) => spec.claimRef?.namespace === namespace)
      const lost = volumes.filter(({ spec }) => claims.every(({ metadata }) => metadata.uid !== spec.claimRef.uid))
      return (
        (count === undefined || claims.length === count) &&
        claims.every(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase === 'Bound') &&
        lost.every(({ spec }) => spec.persistentVolumeReclaimPolicy === 'Retain')
      )
    })
  }

  return {
    ...{ cluster, standIns, world, front, runner, programs, read, list, make, serve, settled },
    /** A change of an object by a merge patch, of its status too. */
    change: (path: string, body: object) =>
      world.cluster.request<KubernetesObject>({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body }),
    async close() {
      await runner.close()
      front.close()
      await Promise.all(controllers.map((each) => each.stop()))
      await standIns.stop()
      await cluster.stop()
    },
  }
}
