import { isProblem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type Kind, kinds } from '../../../shared/kubernetes/objects.ts'

const further = {
  Role: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', plural: 'roles', namespaced: true },
  RoleBinding: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', plural: 'rolebindings', namespaced: true },
  PodDisruptionBudget: { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets', namespaced: true },
  Job: { apiVersion: 'batch/v1', kind: 'Job', plural: 'jobs', namespaced: true },
} satisfies Record<string, Kind>

export type StandInKind = keyof typeof kinds | keyof typeof further
export type StandInKinds = Record<StandInKind, Kind>

/** What Kubernetes 1.20 serves only in an older version than later ones do. */
const older: Partial<Record<StandInKind, string>> = { PodDisruptionBudget: 'policy/v1beta1', CronJob: 'batch/v1beta1' }

/** The kinds the stand-ins deal with, in the versions that this API server serves. */
export async function discoverKinds(cluster: Cluster): Promise<StandInKinds> {
  const found: StandInKinds = { ...kinds, ...further }
  for (const [name, apiVersion] of Object.entries(older) as [StandInKind, string][]) {
    if (!(await serves(cluster, found[name]))) found[name] = { ...found[name], apiVersion }
  }
  return found
}

async function serves(cluster: Cluster, { apiVersion, plural }: Kind): Promise<boolean> {
  try {
    const { resources } = await cluster.request<{ resources: { name: string }[] }>({ method: 'GET', path: `/apis/${apiVersion}` })
    return resources.some(({ name }) => name === plural)
  } catch (error) {
    if (isProblem(error, 'not-served')) return false
    throw error
  }
}
