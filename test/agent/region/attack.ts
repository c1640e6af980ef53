import { applyObject } from '../../../shared/kubernetes/apply.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { type TestCluster, until } from '../../cluster/index.ts'
import { connectTo, installObject } from '../../shared/kubernetes/connected.ts'

// What somebody with a stolen token of the agent tries, request by request.

const account = 'powerful'
const rbac = 'rbac.authorization.k8s.io'

/** A service account that may do everything, as some controllers have one in most clusters. */
export async function installAccountOfPower(admin: Cluster, namespace: string): Promise<void> {
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await installObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace } })
  await installObject(admin, {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: `${account}-${namespace}` },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
  })
}

/** Applies the RoleBinding with which the agent gives itself its rights in the namespace of a project. @throws Problem when it is refused */
export async function bindProjectRights(thief: Cluster, namespace: string): Promise<void> {
  const subjects = [{ kind: 'ServiceAccount', name: 'skerry-agent', namespace: 'skerry' }]
  const roleRef = { apiGroup: rbac, kind: 'ClusterRole', name: 'skerry-agent-project' }
  const metadata = { name: 'skerry-agent-project', namespace }
  await applyObject(
    thief,
    { apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata, roleRef, subjects },
    { fieldManager: 'thief', force: true },
  )
}

/**
 * Makes a token of the powerful account in a namespace, reads it, and reads a Secret of the cluster with it.
 * @returns what the last request read
 * @throws Problem of the first request that is refused
 */
export async function becomeAdministrator(thief: Cluster, cluster: TestCluster, namespace: string): Promise<KubernetesObject[]> {
  const metadata = { name: 'loot', annotations: { 'kubernetes.io/service-account.name': account } }
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/service-account-token' }
  await thief.request({ method: 'POST', path: pathOf(kinds.Secret, namespace), body })
  const token = await until('the token is made', async () => {
    const { data } = await thief.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, namespace, 'loot') })
    return data?.token as string | undefined
  })
  const administrator = connectTo(cluster, Buffer.from(token, 'base64').toString())
  try {
    return (await administrator.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kinds.Secret) })).items
  } finally {
    administrator.close()
  }
}
