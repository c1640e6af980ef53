import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { apiServerOf } from '../../../monitor/wire/api-server.ts'
import { systemClock } from '../../../shared/clock.ts'
import { clusterAt } from '../../../shared/kubernetes/connection.ts'
import { kubeconfigCredentials } from '../../../shared/kubernetes/credentials.ts'
import { createServingCertificate } from '../../cluster/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'skerry-kubeconfig-'))
const { ca, cert, key } = await createServingCertificate()
// A gateway that serves several clusters, each below a path of its own.
const gateway = createServer({ cert, key }, ({ url }, response) => {
  response.writeHead(url === '/k8s/clusters/c-1/version' ? 200 : 404)
  response.end(JSON.stringify({ gitVersion: 'v1.35.2' }))
})
await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve))
const origin = `127.0.0.1:${(gateway.address() as AddressInfo).port}`

after(() => {
  gateway.close()
  gateway.closeAllConnections()
  rmSync(folder, { recursive: true })
})

function fileOf(name: string, content: object): string {
  const file = join(folder, name)
  writeFileSync(file, stringify({ apiVersion: 'v1', kind: 'Config', ...content }))
  return file
}

const context = { name: 'site', context: { cluster: 'site', user: 'site' } }
const users = [{ name: 'site', user: { token: 'abc' } }]
const clusterOf = (server: string) => ({
  name: 'site',
  cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
})

test('a cluster behind a path is asked below it, of kubeconfigs that stand in several files', async () => {
  const files = [
    fileOf('contexts', { contexts: [context], 'current-context': 'site', clusters: [], users }),
    fileOf('clusters', {
      clusters: [clusterOf(`https://${origin}/k8s/clusters/c-1/`)],
      contexts: [],
      users: [],
      'current-context': 'other',
    }),
  ]
  const credentials = await kubeconfigCredentials(files)
  const cluster = clusterAt(credentials, { clock: systemClock })
  try {
    assert.deepEqual(await cluster.request({ method: 'GET', path: '/version' }), { gitVersion: 'v1.35.2' })
  } finally {
    cluster.close()
  }
  const { status } = await apiServerOf(credentials).get('/version', { signal: AbortSignal.timeout(10_000) })
  assert.equal(status, 200, 'checks ask the same one')
})

test('a cluster without HTTPS is refused, with the file', async () => {
  const file = fileOf('plain', { contexts: [context], 'current-context': 'site', clusters: [clusterOf(`http://${origin}`)], users })
  await assert.rejects(kubeconfigCredentials(file), new RegExp(`^Error: ${file}: the cluster is at http://${origin}, which is not HTTPS$`))
})
