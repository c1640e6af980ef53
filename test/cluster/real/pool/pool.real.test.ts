import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, type TestContext, test } from 'node:test'
import { type Body, createHttp, expectCode, type Http } from '../../client/http.ts'
import { crateDbDefinition } from '../../crds/index.ts'
import { until } from '../../until.ts'
import { startPool } from './index.ts'

const pool = await startPool()
after(() => pool.stop())

type Borrower = { url: string; http: Http; suspend(): Promise<void>; die(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> }

const program = `
  const [module, path, crds] = process.argv.slice(1)
  const { borrowCluster } = await import(module)
  const cluster = await borrowCluster(path, JSON.parse(crds))
  const { url, ca, adminToken: token } = cluster
  console.log(JSON.stringify({ url, ca, token }))
  for await (const _ of process.stdin) {
    await cluster.suspend()
    console.log('suspended')
  }`

/** A process that has borrowed a control plane. */
async function startBorrower(t: TestContext, crds: string[] = []): Promise<Borrower> {
  const args = ['--input-type=module', '-e', program, import.meta.resolve('./borrowed.ts'), pool.path, JSON.stringify(crds)]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const { value = '{}' } = await lines.next()
  const target = JSON.parse(value)
  const http = createHttp(target)
  const die: Borrower['die'] = async (signal) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
    http.close()
  }
  t.after(() => die('SIGKILL'))
  return {
    url: target.url,
    http,
    die,
    async suspend() {
      child.stdin.write('suspend\n')
      assert.equal((await lines.next()).value, 'suspended')
    },
  }
}

/** The names of all objects, by the paths of their kinds; without those of controllers, which come by and by. */
async function everything(http: Http): Promise<Record<string, string[]>> {
  const { groups } = expectCode(await http.get('/apis'), 200)
  const served: string[] = ['/api/v1', ...groups.map(({ preferredVersion }: Body) => `/apis/${preferredVersion.groupVersion}`)]
  const found: Record<string, string[]> = {}
  for (const path of served) {
    const { resources } = expectCode(await http.get(path), 200)
    for (const { name, verbs } of resources) {
      if (!verbs.includes('list')) continue
      const { items } = expectCode(await http.get(`${path}/${name}`), 200)
      const own = (items ?? []).filter(({ metadata }: Body) => !managed.test(metadata.name))
      found[`${path}/${name}`] = own.map(({ metadata }: Body) => `${metadata.namespace ?? ''}/${metadata.name}`).sort()
    }
  }
  return found
}
/** What a controller manager makes in each namespace. */
const managed = /^default(-token-.*)?$|^kube-root-ca\.crt$|-controller(-token-.*)?$|-token-/

const finalized = { finalizers: ['example.org/never'] }
const boats = {
  metadata: { name: 'boats.example.org' },
  spec: {
    ...{ group: 'example.org', scope: 'Namespaced', names: { plural: 'boats', kind: 'Boat' } },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
}
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const viewRole = '/apis/rbac.authorization.k8s.io/v1/clusterroles/view'

test('what a borrower leaves behind, no other one finds', async (t) => {
  const first = await startBorrower(t)
  const asNew = await everything(first.http)
  const make = async (path: string, body: Body) => expectCode(await first.http.post(path, body), 201)
  await make('/api/v1/namespaces', { metadata: { name: 'harbour' } })
  for (let at = 0; at < 250; at++) await make('/api/v1/namespaces/harbour/configmaps', { metadata: { name: `tide-${at}`, ...finalized } })
  await make(definitions, boats)
  const boat = { apiVersion: 'example.org/v1', kind: 'Boat', metadata: { name: 'ferry', ...finalized } }
  await until('a boat is made', async () => (await first.http.post('/apis/example.org/v1/namespaces/harbour/boats', boat)).status === 201)
  await make('/api/v1/nodes', { metadata: { name: 'a' } })
  await make('/api/v1/namespaces/harbour/services', { metadata: { name: 'quay' }, spec: { ports: [{ port: 80 }] } })
  expectCode(await first.http.delete(viewRole), 200)
  expectCode(await first.http.patch('merge', '/api/v1/namespaces/default', { metadata: { labels: { tide: 'high' } } }), 200)
  await first.die('SIGTERM')

  const second = await startBorrower(t)
  assert.equal(second.url, first.url)
  assert.deepEqual(await everything(second.http), asNew)
  assert.equal((await second.http.get(viewRole)).status, 200)
  assert.equal((await second.http.get('/api/v1/namespaces/default')).body.metadata.labels?.tide, undefined)
  await second.die('SIGTERM')
})

test('a borrower that is killed while its API server is away leaves a whole one', async (t) => {
  const first = await startBorrower(t)
  await first.suspend()
  await assert.rejects(first.http.get('/version'), /ECONNREFUSED/)
  await first.die('SIGKILL')

  const second = await startBorrower(t)
  assert.equal(second.url, first.url)
  assert.equal((await second.http.get('/version')).status, 200)
  await second.die('SIGTERM')
})

test('its controllers are at work, and know the kinds of the CRDs that it was borrowed with', async (t) => {
  const first = await startBorrower(t, [crateDbDefinition])
  await first.http.post('/api/v1/namespaces', { metadata: { name: 'harbour' } })
  await until('the account of a namespace', async () => {
    return (await first.http.get('/api/v1/namespaces/harbour/serviceaccounts/default')).status === 200
  })
  expectCode(await first.http.get('/apis/cloud.crate.io/v1/cratedbs'), 200)
  await first.die('SIGTERM')
})

test('two at once have two; one that has seen quotas rests until its API server has forgotten them', async (t) => {
  const [one, other] = await Promise.all([startBorrower(t), startBorrower(t)])
  assert.notEqual(one.url, other.url)
  await one.http.post('/api/v1/namespaces', { metadata: { name: 'harbour' } })
  const quota = { metadata: { name: 'pods' }, spec: { hard: { pods: '1' } } }
  expectCode(await one.http.post('/api/v1/namespaces/harbour/resourcequotas', quota), 201)
  await one.die('SIGTERM')
  await other.die('SIGTERM')

  const next = await startBorrower(t)
  assert.equal(next.url, other.url)
  await next.die('SIGTERM')
})
