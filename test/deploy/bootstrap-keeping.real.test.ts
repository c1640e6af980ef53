import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { until } from '../cluster/contract.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm } from './helm.ts'

// One story: what people have put into a region, data and work of their own, outlives what is taken away.

const scene = await openScene()
const { http, bench, kubeconfig, install, uninstall } = scene
after(() => scene.close())

async function makeVolume(name: string, namespace: string, claim: string, metadata: object = {}): Promise<void> {
  const isKept = 'annotations' in metadata
  const spec = {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    hostPath: { path: `/${name}` },
    persistentVolumeReclaimPolicy: isKept ? 'Retain' : 'Delete',
    claimRef: { namespace, name: claim },
  }
  assert.equal((await http.post('/api/v1/persistentvolumes', { metadata: { name, ...metadata }, spec })).status, 201)
}
async function removeVolume(name: string): Promise<void> {
  await http.delete(`/api/v1/persistentvolumes/${name}`)
  // It is protected for a moment, and of its name there can be one.
  await until(`the volume ${name} is gone`, async () => (await http.get(`/api/v1/persistentvolumes/${name}`)).status === 404)
}
const volumeOf = async (name: string) => (await http.get(`/api/v1/persistentvolumes/${name}`)).body

async function valuesOf(name: string, namespace: string) {
  const { stdout } = await helm(['get', 'values', name, '-n', namespace, '-o', 'json'], { kubeconfig })
  return JSON.parse(stdout)
}

test('a volume whose claim goes with its release stays, and is told', async () => {
  succeeded(await install(['--no-wait', '--only', 'grafana', '--only', 'loki']))
  assert.equal((await valuesOf('grafana', 'monitoring')).persistence.annotations['helm.sh/resource-policy'], 'keep')
  assert.equal((await valuesOf('loki', 'monitoring')).singleBinary.persistence.enableStatefulSetAutoDeletePVC, false)
  await makeVolume('boards', 'monitoring', 'grafana')
  const ran = await uninstall()
  succeeded(ran)
  const { metadata, spec } = await volumeOf('boards')
  assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain')
  assert.equal(metadata.annotations['skerry.dev/retained-from'], 'monitoring/grafana')
  assert.match(ran.out, /What is left:[\s\S]* {7}volume boards \(monitoring\/grafana, \w+\)\n/)
  await removeVolume('boards')
})

test('told to delete volumes, it leaves them as their class has them', async () => {
  succeeded(await install(['--no-wait', '--only', 'grafana']))
  await makeVolume('boards', 'monitoring', 'grafana')
  succeeded(await uninstall(['--delete-volumes']))
  assert.equal((await volumeOf('boards')).spec.persistentVolumeReclaimPolicy, 'Delete')
  await removeVolume('boards')
})

test('told to delete volumes, it lets those go that were kept, and only those that something still claims', async () => {
  const annotations = { 'skerry.dev/reclaim-policy': 'Delete', 'skerry.dev/retained-from': 'project-harbour/data0-crate-data-hot-tide-0' }
  const own = { labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  assert.equal((await http.post('/api/v1/namespaces', { metadata: { name: 'project-harbour', ...own } })).status, 201)
  for (const name of ['claimed', 'released']) await makeVolume(name, 'project-harbour', `data-${name}`, { annotations })
  const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, storageClassName: '', volumeName: 'claimed' }
  const claims = '/api/v1/namespaces/project-harbour/persistentvolumeclaims'
  assert.equal((await http.post(claims, { metadata: { name: 'data-claimed' }, spec: claim })).status, 201)
  await until('it is bound', async () => (await volumeOf('claimed')).status.phase === 'Bound')
  succeeded(await install(['--no-wait', '--only', 'crate-operator-crds']))
  succeeded(await uninstall(['--delete-databases', '--delete-volumes']))
  assert.equal((await volumeOf('claimed')).spec.persistentVolumeReclaimPolicy, 'Delete')
  assert.equal((await volumeOf('released')).spec.persistentVolumeReclaimPolicy, 'Retain')
  assert.equal((await http.get('/api/v1/namespaces/project-harbour')).status, 404)
  for (const name of ['claimed', 'released']) await removeVolume(name)
})

test('a namespace in which somebody else has put work stays with it, whatever is told to go', async () => {
  succeeded(await install(['--no-wait', '--only', 'ingress-nginx', '--only', 'sealed-secrets', '--only', 'kubernetes-replicator']))
  const labels = { app: 'own' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  const own = { metadata: { name: 'own' }, spec: { selector: { matchLabels: labels }, template } }
  assert.equal((await http.post('/apis/apps/v1/namespaces/ingress-nginx/deployments', own)).status, 201)
  const chart = join(bench.folder, 'theirs')
  await mkdir(join(chart, 'templates'), { recursive: true })
  await writeFile(join(chart, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'theirs', version: '1.0.0' }))
  await writeFile(
    join(chart, 'templates/own.yaml'),
    stringify({ apiVersion: 'apps/v1', kind: 'Deployment', ...own, metadata: { name: 'theirs' } }),
  )
  const foreign = await helm(['install', 'theirs', chart, '-n', 'sealed-secrets'], { kubeconfig })
  assert.equal(foreign.code, 0, foreign.stderr)

  const told = await uninstall(['--dry-run', '--delete-volumes'])
  assert.match(told.out, / {7}namespace kubernetes-replicator\n/)
  assert.doesNotMatch(told.out, / {7}namespace (ingress-nginx|sealed-secrets)\n/)
  const ran = await uninstall(['--delete-volumes'])
  succeeded(ran)
  assert.match(ran.out, / {7}ingress-nginx stays: not of this installer is Deployment own\n/)
  assert.match(ran.out, / {7}sealed-secrets stays: not of this installer is Deployment theirs, the release theirs\n/)
  assert.equal((await http.get('/apis/apps/v1/namespaces/ingress-nginx/deployments/own')).status, 200)
  assert.equal((await http.get('/apis/apps/v1/namespaces/sealed-secrets/deployments/theirs')).status, 200)
  assert.equal((await http.get('/api/v1/namespaces/kubernetes-replicator')).status, 404)
})
