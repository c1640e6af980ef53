import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import type { Body } from './client/http.ts'
import { definitionOf, expectCode, startContract, until } from './contract.ts'
import { kubectl } from './kubectl.ts'

const hasTool = process.platform === 'linux' && process.arch === 'x64'
const options = { skip: hasTool ? false : 'kubectl from the npm registry is for Linux on x86-64' }

const contract = await startContract()
const { cluster, http } = contract
const folder = await mkdtemp(join(tmpdir(), 'skerry-manifests-'))
after(() => rm(folder, { recursive: true, force: true }))

const namespace = await contract.namespace()
const configMaps = `/api/v1/namespaces/${namespace}/configmaps`

/** Runs kubectl as the administrator in the namespace of this file. If it fails, throws its output. */
async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(cluster.kubeconfig(), '--namespace', namespace, ...args)
  assert.equal(code, 0, stderr || stdout)
  return stdout
}
async function manifest(...objects: Body[]): Promise<string> {
  const path = join(folder, `${objects.map((object) => object.metadata.name).join('-')}.yaml`)
  await writeFile(path, objects.map((object) => stringify(object)).join('---\n'))
  return path
}
const configMap = (name: string, data: Body) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })
const columns = (line = '') => line.trim().split(/\s{2,}/)

test('kubectl 1.35 gets on with the server', options, async () => {
  const { clientVersion, serverVersion } = JSON.parse(await run('version', '--output=json'))
  assert.match(clientVersion.gitVersion, /^v1\.35\./)
  assert.match(serverVersion.gitVersion, /^v1\./)
})

test('kubectl api-resources lists kinds with their groups', options, async () => {
  const names = (await run('api-resources', '--output=name')).split('\n')
  for (const name of [
    'configmaps',
    'namespaces',
    'deployments.apps',
    'leases.coordination.k8s.io',
    'customresourcedefinitions.apiextensions.k8s.io',
  ]) {
    assert.ok(names.includes(name), name)
  }
})

test('kubectl applies by the server, tells of conflicts, and forces them', options, async () => {
  const file = await manifest(configMap('tide', { high: '12' }))
  assert.equal(await run('apply', '--server-side', '--field-manager=one', '-f', file), 'configmap/tide serverside-applied\n')
  const other = await manifest(configMap('tide', { high: '13' }))
  const { code, stderr } = await kubectl(
    cluster.kubeconfig(),
    '-n',
    namespace,
    'apply',
    '--server-side',
    '--field-manager=two',
    '-f',
    other,
  )
  assert.equal(code, 1)
  assert.match(stderr, /Apply failed with 1 conflict: conflict with "one"/)
  await run('apply', '--server-side', '--force-conflicts', '--field-manager=two', '-f', other)
  assert.equal(await run('get', 'configmap', 'tide', '--output=jsonpath={.data.high}'), '13')
})

test('kubectl applies by itself, and removes what the file no longer has', options, async () => {
  const apply = async (data: Body) => run('apply', '--validate=false', '-f', await manifest(configMap('ebb', data)))
  assert.equal(await apply({ low: '1', high: '12' }), 'configmap/ebb created\n')
  assert.equal(await apply({ low: '1', high: '12' }), 'configmap/ebb unchanged\n')
  assert.equal(await apply({ low: '2' }), 'configmap/ebb configured\n')
  assert.deepEqual(expectCode(await http.get(`${configMaps}/ebb`), 200).data, { low: '2' })
})

test('kubectl applies a list as it has printed it, after its objects are gone', options, async () => {
  for (const name of ['listed-one', 'listed-two']) await run('create', 'configmap', name, '--from-literal=part=both')
  await run('label', 'configmap', 'listed-one', 'listed-two', 'part=both')
  const file = join(folder, 'list.yaml')
  await writeFile(file, await run('get', 'configmap', '-l', 'part=both', '--output=yaml'))
  await run('delete', 'configmap', 'listed-one', 'listed-two')
  assert.equal(await run('apply', '-f', file), 'configmap/listed-one created\nconfigmap/listed-two created\n')
})

test('kubectl creates, labels, annotates, patches in each way and deletes', options, async () => {
  const labels = { app: 'pier' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'pier', image: 'pier:1' }] } }
  const spec = { replicas: 0, selector: { matchLabels: labels }, template }
  // Not `kubectl create deployment`: it sends protobuf, which the embedded API server decodes only for simpler kinds.
  await run(
    'create',
    '--validate=false',
    '-f',
    await manifest({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'pier' }, spec }),
  )
  await run('label', 'deployment/pier', 'side=sea')
  await run('annotate', 'deployment/pier', 'note=wet')
  await run(
    'patch',
    'deployment/pier',
    '--type=strategic',
    '-p',
    '{"spec":{"template":{"spec":{"containers":[{"name":"pier","image":"pier:2"}]}}}}',
  )
  await run('patch', 'deployment/pier', '--type=merge', '-p', '{"spec":{"paused":true}}')
  await run('patch', 'deployment/pier', '--type=json', '-p', '[{"op":"remove","path":"/metadata/annotations/note"}]')
  const pier = JSON.parse(await run('get', 'deployment', 'pier', '--output=json'))
  assert.deepEqual([pier.metadata.labels.side, pier.metadata.annotations?.note, pier.spec.paused], ['sea', undefined, true])
  assert.equal(pier.spec.template.spec.containers[0].image, 'pier:2')
  assert.match(await run('get', 'deployments', '--selector=side=sea', '--output=name'), /^deployment.apps\/pier\n$/)
  await run('delete', 'deployment', 'pier', '--wait=true', '--timeout=30s')
  assert.equal(await run('get', 'deployments', '--ignore-not-found'), '')
})

test('kubectl says what does not exist and what already does', options, async () => {
  const missing = await kubectl(cluster.kubeconfig(), '-n', namespace, 'get', 'configmap', 'absent')
  assert.deepEqual([missing.code, missing.stderr], [1, 'Error from server (NotFound): configmaps "absent" not found\n'])
  await run('create', 'configmap', 'twice')
  const again = await kubectl(cluster.kubeconfig(), '-n', namespace, 'create', 'configmap', 'twice')
  assert.match(again.stderr, /\(AlreadyExists\)|already exists/)
})

test('kubectl shows a CrateDB in its columns, and edits it', options, async () => {
  await run('apply', '--server-side', '-f', fileURLToPath(new URL('./crds/cratedbs.yaml', import.meta.url)))
  await run('wait', '--for=condition=Established', 'crd/cratedbs.cloud.crate.io', '--timeout=30s')
  await until('kubectl knows the kind', async () => (await run('api-resources', '--output=name')).includes('cratedbs.cloud.crate.io'))
  const resources = {
    limits: { cpu: 2, memory: '4Gi' },
    requests: { cpu: 1, memory: '4Gi' },
    heapRatio: 0.25,
    disk: { count: 1, size: '64GiB', storageClass: 'crate-premium' },
  }
  const cluster = { name: 'gauge', imageRegistry: 'crate', version: '5.10.1' }
  const spec = { cluster, nodes: { data: [{ name: 'hot', replicas: 3, resources }] } }
  const status = { crateDBStatus: { health: 'GREEN' } }
  await run(
    'apply',
    '--server-side',
    '-f',
    await manifest({ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tidal-gauge' }, spec, status }),
  )

  const [head, row] = (await run('get', 'cratedbs')).split('\n')
  assert.deepEqual(columns(head), ['NAME', 'CLUSTERNAME', 'VERSION', 'NODES', 'CPU_REQ', 'AGE', 'HEALTH'])
  const cells = columns(row)
  assert.match(cells[5] ?? '', /^\d+s$/)
  assert.deepEqual(cells.toSpliced(5, 1), ['tidal-gauge', 'gauge', '5.10.1', '3', '1', 'GREEN'])
  assert.match((await run('get', 'cratedbs', '--output=wide')).split('\n')[0] ?? '', /CPU_LIM/)

  await run('patch', 'cratedb', 'tidal-gauge', '--type=merge', '-p', '{"spec":{"cluster":{"version":"5.10.2"}}}')
  assert.equal(await run('get', 'cratedb/tidal-gauge', '--output=jsonpath={.spec.cluster.version}'), '5.10.2')
  assert.match(await run('describe', 'cratedb', 'tidal-gauge'), /Kind: +CrateDB/)
  await run('delete', 'cratedb', 'tidal-gauge', '--timeout=30s')
})

test('kubectl waits for conditions and fields of a custom object', options, async () => {
  const status = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const { spec } = await contract.define(definitionOf('Buoy', { status }))
  const conditions = [{ type: 'Ready', status: 'True' }]
  await run(
    'apply',
    '--server-side',
    '-f',
    await manifest({ apiVersion: `${spec.group}/v1`, kind: 'Buoy', metadata: { name: 'red' }, status: { phase: 'Lit', conditions } }),
  )
  await run('wait', '--for=condition=Ready', `buoys.${spec.group}/red`, '--timeout=30s')
  await run('wait', '--for=jsonpath={.status.phase}=Lit', `buoys.${spec.group}/red`, '--timeout=30s')
})

test('kubectl get --watch shows what happens', options, async () => {
  await run('create', 'configmap', 'watched')
  const selected = ['configmaps', '--field-selector=metadata.name=watched']
  const watching = run('get', ...selected, '--watch-only', '--output=name', '--request-timeout=4s')
  // Whenever the watch begins, some changes are still to come.
  let hasEnded = false
  void watching.finally(() => {
    hasEnded = true
  })
  for (let count = 0; !hasEnded; count++) {
    expectCode(await http.patch('merge', `${configMaps}/watched`, { data: { count: String(count) } }), 200)
    await sleep(100)
  }
  assert.match(await watching, /^configmap\/watched\n/)
})

test('kubectl auth can-i tells what an account may do', options, async () => {
  const token = await cluster.serviceAccountToken(namespace, 'pilot')
  const { code, stdout } = await kubectl(cluster.kubeconfig(token), '-n', namespace, 'auth', 'can-i', 'list', 'configmaps')
  assert.deepEqual([code, stdout], [1, 'no\n'])
  assert.equal(await run('auth', 'can-i', 'list', 'configmaps'), 'yes\n')
  const refused = await kubectl(cluster.kubeconfig(token), '-n', namespace, 'get', 'configmaps')
  assert.match(refused.stderr, /^Error from server \(Forbidden\): configmaps is forbidden: User "system:serviceaccount:/)
})

test('kubectl deletes a namespace and waits until it is gone', options, async () => {
  const name = await contract.namespace()
  await run('create', 'configmap', 'content', '--namespace', name)
  await run('delete', 'namespace', name, '--wait=true', '--timeout=60s')
  assert.equal((await http.get(`/api/v1/namespaces/${name}`)).status, 404)
})
