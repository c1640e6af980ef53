import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isProblem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'
import { install } from '../../shared/kubernetes/connected.ts'

let cluster: TestCluster
let region: Region
before(async () => {
  cluster = await startCluster()
  region = await prepareRegion(cluster)
})
after(async () => {
  await region.close()
  await cluster.stop()
})

const definition = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/retaineddatabases.skerry.dev'

async function removeDefinition(): Promise<void> {
  await region.admin.request({ method: 'DELETE', path: definition })
  await until('the kind is not served', () =>
    region.admin.request({ method: 'GET', path: pathOf(kinds.RetainedDatabase, region.namespace) }).then(
      () => false,
      (error) => isProblem(error, 'not-served'),
    ),
  )
}

const records = async () =>
  (await region.admin.request<{ items: unknown[] }>({ method: 'GET', path: pathOf(kinds.RetainedDatabase, region.namespace) })).items

/** As an earlier version left it, reserved for a claim that does not exist. */
async function makeKeptVolume(): Promise<void> {
  const labels = { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide' }
  await region.admin.request({
    method: 'POST',
    path: pathOf(kinds.PersistentVolume),
    body: {
      metadata: { name: 'kept', labels },
      spec: {
        ...{ capacity: { storage: '8Gi' }, accessModes: ['ReadWriteOnce'], persistentVolumeReclaimPolicy: 'Retain' },
        claimRef: { kind: 'PersistentVolumeClaim', namespace: 'project-harbour', name: 'data0-crate-data-hot-tide-0' },
        hostPath: { path: '/kept' },
      },
    },
  })
  const path = `${pathOf(kinds.PersistentVolume, undefined, 'kept')}/status`
  const body = { status: { phase: 'Available' } } // as the binder, which does not run here
  await region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
}

const readyz = async (adminUrl: string) => {
  const answer = await fetch(`${adminUrl}/readyz`)
  const { parts } = (await answer.json()) as { parts: { name: string; ready: boolean; warning?: true; reason?: string }[] }
  return { status: answer.status, part: parts.find(({ name }) => name === 'cache of retained') }
}

test('an agent that was upgraded without the CRD of deleted databases serves its API, says what is missing, and goes on once it is there', async (t) => {
  await removeDefinition()
  await makeKeptVolume()
  const agent = await region.startAgent({ signal: AbortSignal.timeout(60_000) })
  const client = createClient({ url: agent.url, ca: region.ca, token: region.token })
  t.after(() => client.close())
  const put = await client.call('PUT', '/v1/projects/harbour', { body: { id: 'harbour' }, headers: { prefer: 'wait=30' } })
  assert.equal(put.status, 200, put.text)
  const { status, part } = await readyz(agent.adminUrl)
  assert.deepEqual([status, part?.ready, part?.warning], [200, false, true])
  assert.match(part?.reason ?? '', /CRD retaineddatabases\.skerry\.dev is missing/)

  await install(region.admin, ['deploy/crds/retaineddatabases.yaml'])
  await until('it is followed', async () => (await readyz(agent.adminUrl)).part?.ready)
  await until('what was kept before is found', async () => (await records()).length === 1, 60_000)
  await removeDefinition()
  await until('its loss is told', async () => (await readyz(agent.adminUrl)).part?.ready === false)
  assert.equal((await readyz(agent.adminUrl)).status, 200)
  await agent.stop()
})

test('an agent with the permissions of a version before serves its API, and says which one it lacks', async () => {
  await install(region.admin, ['deploy/crds/retaineddatabases.yaml'])
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${region.namespace}/roles/skerry-agent`
  const role = await region.admin.request<KubernetesObject>({ method: 'GET', path })
  const before = role.rules.filter(({ resources }: { resources: string[] }) => !resources.some((each) => each.startsWith('retained')))
  assert.ok(before.length < role.rules.length)
  const withRules = (rules: object[]) =>
    region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { rules } })
  await withRules(before)
  const agent = await region.startAgent({ signal: AbortSignal.timeout(60_000) })
  const { status, part } = await readyz(agent.adminUrl)
  assert.deepEqual([status, part?.ready, part?.warning], [200, false, true])
  assert.match(part?.reason ?? '', /retaineddatabases/)
  await withRules(role.rules)
  await until('it is followed', async () => (await readyz(agent.adminUrl)).part?.ready)
  await agent.stop()
})
