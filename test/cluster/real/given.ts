import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { rootCertificates } from 'node:tls'
import { CoreV1Api, KubeConfig, RbacAuthorizationV1Api } from '@kubernetes/client-node'
import { createHttp } from '../client/http.ts'
import type { TestCluster } from '../test-cluster.ts'
import { type Access, clusterAccess } from './access.ts'

const namespace = 'kube-system'

/**
 * An existing cluster, through the current context of an administrator's kubeconfig. The tests get their own ServiceAccount, bound to
 * `cluster-admin` (no token can carry the group `system:masters`); `stop()` removes it.
 */
export async function useGivenCluster(kubeconfigPath: string): Promise<TestCluster> {
  const config = new KubeConfig()
  config.loadFromFile(kubeconfigPath)
  const cluster = config.getCurrentCluster()
  if (!cluster) throw new Error(`${kubeconfigPath}: no current context with a cluster`)

  const core = config.makeApiClient(CoreV1Api)
  const rbac = config.makeApiClient(RbacAuthorizationV1Api)
  const name = `skerry-test-${randomBytes(4).toString('hex')}`
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name } } })
  await rbac.createClusterRoleBinding({
    body: {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace, name }],
    },
  })
  const request = await core.createNamespacedServiceAccountToken({
    namespace,
    name,
    body: { spec: { audiences: [], expirationSeconds: 24 * 3600 } },
  })
  const adminToken = request.status?.token
  if (!adminToken) throw new Error(`${cluster.server} gave no token for ${name}`)
  const access: Access = { url: cluster.server, ca: authorityOf(cluster), adminToken }
  await untilAdministrator(access)

  const notOurs = async () => {
    throw new Error(`${cluster.server} does not belong to the test, which cannot take it away`)
  }
  return {
    kind: 'real',
    ...clusterAccess(access),
    faults: undefined,
    suspend: notOurs,
    resume: notOurs,
    async stop() {
      await rbac.deleteClusterRoleBinding({ name })
      await core.deleteNamespacedServiceAccount({ namespace, name })
    },
  }
}

/** An API server applies a new binding only once its watch has delivered it. */
async function untilAdministrator(access: Access): Promise<void> {
  const http = createHttp({ url: access.url, ca: access.ca, token: access.adminToken })
  const review = { spec: { resourceAttributes: { verb: '*', group: '*', resource: '*' } } }
  try {
    for (const deadline = performance.now() + 30_000; ; await sleep(50)) {
      const answer = await http.post('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review)
      if (answer.body?.status?.allowed) return
      if (performance.now() > deadline) throw new Error(`${access.url} does not grant everything to cluster-admin: ${answer.text}`)
    }
  } finally {
    http.close()
  }
}

function authorityOf({ caData, caFile }: { caData?: string; caFile?: string }): string {
  if (caData) return Buffer.from(caData, 'base64').toString()
  return caFile ? readFileSync(caFile, 'utf8') : rootCertificates.join('\n')
}
