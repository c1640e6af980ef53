import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { installedTool, until } from '../cluster/index.ts'
import { definitionNamed, type RunOptions } from './bootstrap.ts'
import { installEarlier } from './bootstrap-earlier.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm, type Manifest } from './helm.ts'

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

test('passwords of a deleted database keep their namespace, and what is left says how to have it back', async () => {
  await installEarlier(scene, 'skerry', 'skerry', [])
  const name = 'tide.00000001'
  const definition = parse(await readFile('deploy/crds/retaineddatabases.yaml', 'utf8'))
  assert.equal((await http.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition)).status, 201)
  const metadata = { name, labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  const facts = { origin: 'found', deletedAt: '2026-11-30T10:00:00Z', deletedBy: 'nobody knows', volumes: [], secrets: [] }
  const spec = { project: 'harbour', database: 'tide', ...facts }
  const record = { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', metadata, spec }
  const records = '/apis/skerry.dev/v1/namespaces/skerry/retaineddatabases'
  const { uid } = await until('records are served', async () => {
    const { status, body } = await http.post(records, record)
    return status === 201 && body.metadata
  })
  const owner = { apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', name, uid }
  const secret = { metadata: { ...metadata, name: `retained-${name}`, ownerReferences: [owner] }, data: {} }
  assert.equal((await http.post('/api/v1/namespaces/skerry/secrets', secret)).status, 201)
  const labels = { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide' }
  const annotations = { 'skerry.dev/reclaim-policy': 'Delete' }
  await makeVolume('tides', 'project-harbour', 'data0-crate-data-hot-tide-0', { labels, annotations })
  await http.patch('merge', '/api/v1/persistentvolumes/tides', { spec: { claimRef: { uid: 'of the former claim' } } })
  await until('it is released', async () => (await volumeOf('tides')).status.phase === 'Released')

  const reason =
    /^ {7}namespace skerry: these Secrets cannot be recreated: retained-tide\.00000001 \(passwords of a deleted database\) \(--delete-keys loses them\)$/m
  assert.match((await uninstall(['--dry-run'])).out, reason)
  const ran = await uninstall()
  succeeded(ran)
  const left = ran.out.slice(ran.out.indexOf('What is left:'))
  assert.match(left, reason)
  assert.match(
    left,
    /^ {7}the databases of released volumes can be had back: install again, and see kubectl --namespace skerry get retaineddatabases$/m,
  )
  assert.ok(await isThere(`${records}/${name}`))

  await installEarlier(scene, 'skerry', 'skerry', [])
  const told = await uninstall(['--dry-run', '--delete-keys'])
  assert.match(told.out, /^ {7}FOREVER: Secret retained-tide\.00000001 \(passwords of a deleted database\) in skerry$/m)
  succeeded(await uninstall(['--delete-keys', '--delete-definitions']))
  assert.ok(!(await isThere('/api/v1/namespaces/skerry')))
  assert.equal((await volumeOf('tides')).status.phase, 'Released')
  await removeVolume('tides')
})

/** A Deployment of some program. */
function running(name: string): Manifest {
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { selector: { matchLabels: labels }, template } }
}
const isThere = async (path: string) => (await http.get(path)).status === 200

test('a namespace in which somebody else has put work stays with it, whatever is told to go', async () => {
  succeeded(await install(['--no-wait', '--only', 'sealed-secrets']))
  for (const name of ['ingress-nginx', 'kubernetes-replicator']) await installEarlier(scene, name, name, [running(name)])
  assert.equal((await http.post('/apis/apps/v1/namespaces/ingress-nginx/deployments', running('own'))).status, 201)
  const chart = join(bench.folder, 'theirs')
  await mkdir(join(chart, 'templates'), { recursive: true })
  await writeFile(join(chart, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: 'theirs', version: '1.0.0' }))
  await writeFile(join(chart, 'templates/own.yaml'), stringify(running('theirs')))
  const foreign = await helm(['install', 'theirs', chart, '-n', 'sealed-secrets'], { kubeconfig })
  assert.equal(foreign.code, 0, foreign.stderr)

  const ingress = /^ {7}namespace ingress-nginx: not from this installer: Deployment own$/m
  const sealed = /^ {7}namespace sealed-secrets: not from this installer: Deployment theirs, the release theirs$/m
  const told = await uninstall(['--dry-run', '--delete-volumes'])
  assert.match(told.out, / {7}namespace kubernetes-replicator\n/)
  for (const reason of [ingress, sealed]) assert.match(told.out, reason)
  const ran = await uninstall(['--delete-volumes'])
  succeeded(ran)
  const left = ran.out.slice(ran.out.indexOf('What is left:'))
  for (const reason of [ingress, sealed]) assert.match(left, reason)
  assert.ok(await isThere('/apis/apps/v1/namespaces/ingress-nginx/deployments/own'))
  assert.ok(!(await isThere('/apis/apps/v1/namespaces/ingress-nginx/deployments/ingress-nginx')))
  assert.ok(await isThere('/apis/apps/v1/namespaces/sealed-secrets/deployments/theirs'))
  assert.ok(!(await isThere('/api/v1/namespaces/kubernetes-replicator')))
})

test('what an earlier version brought and this one does not goes alone too', async () => {
  await installEarlier(scene, 'kubernetes-replicator', 'kubernetes-replicator', [running('replicator')])
  succeeded(await uninstall(['--only', 'kubernetes-replicator']))
  assert.ok(!(await isThere('/apis/apps/v1/namespaces/kubernetes-replicator/deployments/replicator')))
})

const source = 'source.toolkit.fluxcd.io'
const flux = [
  ...['helmreleases.helm', 'kustomizations.kustomize', 'imageupdateautomations.image', 'imagepolicies.image', 'imagerepositories.image'],
  ...['alerts.notification', 'providers.notification', 'receivers.notification'],
].map((name) => `${name}.toolkit.fluxcd.io`)
flux.push(
  ...['buckets', 'externalartifacts', 'gitrepositories', 'helmcharts', 'helmrepositories', 'ocirepositories'].map(
    (name) => `${name}.${source}`,
  ),
)
const definitionsAt = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const notifications = (namespace: string, plural: string) => `/apis/notification.toolkit.fluxcd.io/v1/namespaces/${namespace}/${plural}`
const notification = (kind: string, name: string, more: object = {}) => ({
  apiVersion: 'notification.toolkit.fluxcd.io/v1',
  kind,
  metadata: { name, ...more },
})
const uidsOf = async (paths: string[]) => Promise.all(paths.map(async (path) => (await http.get(path)).body.metadata?.uid as string))

/** A kubectl that does not come back once it has deleted what a release has made. */
async function cutInTheMiddle(reached: () => Promise<boolean>): Promise<RunOptions> {
  const tools = join(bench.folder, 'cut-in-the-middle')
  await mkdir(tools)
  const text = `#!/bin/sh
'${await installedTool('kubectl')}' "$@" || exit
case " $* " in *' delete -f '*) exec sleep 600 ;; esac
`
  await writeFile(join(tools, 'kubectl'), text, { mode: 0o755 })
  return {
    env: { PATH: `${tools}:${bench.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
    onLine(line, child) {
      if (!/\] flux:/.test(line)) return
      void until('it is in the middle', reached).finally(() => process.kill(-(child.pid as number), 'SIGKILL'))
    },
  }
}

test('definitions that an earlier version installed without keeping them outlive their release, and so do all objects of their kinds', async () => {
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'flux', namespace: 'default' }, rules: [] }
  const page = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'page' }, data: { text: 'a\nkind: CustomResourceDefinition\n' } }
  await installEarlier(scene, 'flux', 'flux-system', [...flux.map(definitionNamed), running('helm-controller'), role, page])
  const objects = [notifications('default', 'providers'), notifications('default', 'receivers'), notifications('flux-system', 'alerts')]
  for (const [index, path] of objects.entries()) {
    const kind = ['Provider', 'Receiver', 'Alert'][index] as string
    const finalizers = kind === 'Alert' ? [] : ['finalizers.fluxcd.io']
    await until(`${kind} is served`, async () => (await http.post(path, notification(kind, 'own', { finalizers }))).status === 201)
  }
  const paths = [...flux.map((name) => `${definitionsAt}/${name}`), ...objects.map((path) => `${path}/own`)]
  const before = await uidsOf(paths)

  const gone = async () => !(await isThere('/apis/apps/v1/namespaces/flux-system/deployments/helm-controller'))
  assert.equal((await uninstall([], await cutInTheMiddle(gone))).code, 'SIGKILL')
  const ran = await uninstall()
  succeeded(ran)
  assert.ok(!(await scene.releases()).some((release) => release.startsWith('flux')))
  assert.deepEqual(await uidsOf(paths), before)
  for (const path of ['/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/flux', '/api/v1/namespaces/flux-system/configmaps/page'])
    assert.ok(!(await isThere(path)), path)
  assert.match(ran.out, / {7}namespace flux-system: not from this installer: Alert own\n/)

  await packFlux()
  succeeded(await install(['--no-wait', '--only', 'flux', '--offline', join(bench.folder, 'newer')]))
  assert.ok((await scene.releases()).includes('flux deployed'))
  succeeded(await uninstall())
  assert.deepEqual(await uidsOf(paths), before, 'taken over, and kept by the release itself')
})

/** Flux as it comes today: with the same definitions, which its release keeps. */
async function packFlux(): Promise<void> {
  const component = scene.components.find(({ name }) => name === 'flux')
  const [folder, chart] = [join(bench.folder, 'newer'), join(bench.folder, 'newer-source')]
  await mkdir(join(chart, 'templates'), { recursive: true })
  await writeFile(join(chart, 'Chart.yaml'), stringify({ apiVersion: 'v2', name: component?.chart, version: component?.version }))
  const kept = flux
    .map(definitionNamed)
    .map((each) => ({ ...each, metadata: { ...each.metadata, annotations: { 'helm.sh/resource-policy': 'keep' } } }))
  await writeFile(join(chart, 'templates/definitions.yaml'), kept.map((each) => stringify(each)).join('---\n'))
  const { code, stderr } = await helm(['package', chart, '--destination', folder])
  assert.equal(code, 0, stderr)
}

test('told to delete definitions, it lets them go with their release, and all objects of their kinds', async () => {
  await installEarlier(scene, 'flux', 'flux-system', [running('helm-controller')])
  const ran = await uninstall(['--delete-definitions', '--release-finalizers'])
  succeeded(ran)
  for (const name of flux) assert.ok(!(await isThere(`${definitionsAt}/${name}`)), name)
  assert.ok(!(await isThere('/api/v1/namespaces/flux-system')))
})

const kubelets = '/api/v1/namespaces/kube-system/services/prometheus-kubelet'
/** The Service that the operator of Prometheus makes for the kubelets of the cluster, with its endpoints. */
async function serveKubelets(): Promise<void> {
  const labels = { 'k8s-app': 'kubelet', 'app.kubernetes.io/managed-by': 'prometheus-operator' }
  const metadata = { name: 'prometheus-kubelet', labels }
  const spec = { type: 'ClusterIP', clusterIP: 'None', ports: [{ name: 'https-metrics', port: 10250 }] }
  const subsets = [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ name: 'https-metrics', port: 10250 }] }]
  assert.equal((await http.post('/api/v1/namespaces/kube-system/services', { metadata, spec })).status, 201)
  assert.equal((await http.post('/api/v1/namespaces/kube-system/endpoints', { metadata, subsets })).status, 201)
}

test("the kubelets' Service in kube-system goes with the Prometheus that made it, also when that was cut off; else it is named", async () => {
  await serveKubelets()
  const named = await uninstall()
  succeeded(named)
  assert.match(named.out, /What is left:[\s\S]*\n {7}service kube-system\/prometheus-kubelet\n/)
  assert.ok(await isThere(kubelets))

  await installEarlier(scene, 'prometheus', 'monitoring', [running('prometheus-operator')])
  assert.match(
    (await uninstall(['--dry-run'])).out,
    /What would be removed:[\s\S]*\n {7}service kube-system\/prometheus-kubelet\n[\s\S]*What would stay:/,
  )
  const cut = await uninstall([], {
    onLine: (line, child) => void (/\] kubelets:/.test(line) && process.kill(-(child.pid as number), 'SIGKILL')),
  })
  assert.equal(cut.code, 'SIGKILL')
  const ran = await uninstall()
  succeeded(ran)
  assert.doesNotMatch(ran.out.slice(ran.out.indexOf('What is left:')), /prometheus-kubelet/)
  assert.ok(!(await isThere(kubelets)))
  assert.ok(!(await isThere(kubelets.replace('services', 'endpoints'))))
})

test('a namespace that hangs is told with its conditions and what is left in it', async () => {
  await installEarlier(scene, 'ingress-nginx', 'hanging', [])
  const path = '/api/v1/namespaces/hanging/configmaps/held'
  const metadata = { name: 'held', finalizers: ['example.com/held'], labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  assert.equal((await http.post('/api/v1/namespaces/hanging/configmaps', { metadata })).status, 201)
  for (const args of [[], ['--release-finalizers']]) {
    const { code, out } = await uninstall(['--timeout', '1', ...args])
    assert.equal(code, 1, out)
    assert.match(out, /FAILED after \d+ s: the namespace hanging is stuck in deletion\n/)
    assert.match(out, / {9}Some content in the namespace has finalizers remaining: example\.com\/held in 1 resource instances\n/)
    assert.match(out, / {9}configmaps held waits for example\.com\/held\n/)
    assert.match(out, /What to do: the controller of its objects must run to let it go; start it again\n/)
  }
  await http.patch('merge', path, { metadata: { finalizers: null } })
  succeeded(await uninstall())
  assert.ok(!(await isThere('/api/v1/namespaces/hanging')))
})
