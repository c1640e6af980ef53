import { stringify } from 'yaml'
import { createHttp } from '../client/http.ts'
import type { TestCluster } from '../test-cluster.ts'

/** The address of an API server, its CA certificate as PEM, and an administrator's token. */
export type Access = { url: string; ca: string; adminToken: string }

/** The members of a `TestCluster` that need an administrator's token and nothing else. */
export function clusterAccess(access: Access): Access & Pick<TestCluster, 'kubeconfig' | 'serviceAccountToken'> {
  return {
    ...access,
    kubeconfig: (token = access.adminToken) =>
      stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [
          { name: 'test', cluster: { server: access.url, 'certificate-authority-data': Buffer.from(access.ca).toString('base64') } },
        ],
        users: [{ name: 'test', user: { token } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
        'current-context': 'test',
      }),
    serviceAccountToken: (namespace, name) => requestToken(access, namespace, name),
  }
}

async function requestToken(access: Access, namespace: string, name: string): Promise<string> {
  const http = createHttp({ url: access.url, ca: access.ca, token: access.adminToken })
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
  try {
    const created = await http.post(accounts, { metadata: { name } })
    if (created.status !== 201 && created.body?.reason !== 'AlreadyExists') throw new Error(`ServiceAccount ${name}: ${created.text}`)
    const answer = await http.post(`${accounts}/${name}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 24 * 3600 },
    })
    if (answer.status !== 201) throw new Error(`TokenRequest for ${name}: ${answer.text}`)
    return answer.body.status.token
  } finally {
    http.close()
  }
}
