import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { until } from '../cluster/index.ts'
import { listBefore, packCharts } from './bootstrap.ts'
import { cutAt, openScene, succeeded } from './bootstrap-scene.ts'
import { readContract } from './charts.ts'
import { helm } from './helm.ts'

// The life of a region, in one story: installed with the versions that were pinned before, used, every component brought up to date, taken
// away and installed again, cut off at each step of all that. Nothing is lost that was promised to stay.

const scene = await openScene()
const { bench, http, admin, components, list, token, kubeconfig, install, uninstall, releases, allDeployed } = scene
const chartsBefore = await packCharts(bench.folder, 'before')
const { charts: facts } = await readContract()
const before = join(bench.folder, 'components-before')
await writeFile(before, await listBefore(await readFile(list, 'utf8')))
after(() => scene.close())

const installBefore = () =>
  bench.run('install.sh', [token, '--yes', '--offline', chartsBefore, '--components', before, '--skip', 'preflight', '--timeout', '60'], {
    kubeconfig,
  })

/** The version of each chart that is deployed. */
async function deployed(): Promise<Record<string, string>> {
  const { stdout } = await helm(['list', '-A', '-o', 'json'], { kubeconfig })
  const rows: { name: string; chart: string }[] = JSON.parse(stdout)
  return Object.fromEntries(rows.map(({ name, chart }) => [name, chart.replace(/^.*?-(v?\d.*)$/, '$1')]))
}
const pinned = (which: 'pinned' | 'before') =>
  Object.fromEntries(components.map(({ name, version }) => [name, (which === 'before' && facts[name]?.before.version) || version]))

/** What people have put there, and programs have made for them, that nobody can make again. */
const kept: { path: string; body: Record<string, unknown> }[] = [
  {
    path: '/api/v1/namespaces/sealed-secrets/secrets',
    body: { metadata: { name: 'sealed-secrets-keyx7q2b', labels: { 'sealedsecrets.bitnami.com/sealed-secrets-key': 'active' } } },
  },
  {
    path: '/apis/bitnami.com/v1alpha1/namespaces/default/sealedsecrets',
    body: { apiVersion: 'bitnami.com/v1alpha1', kind: 'SealedSecret', metadata: { name: 'crane' } },
  },
  { path: '/api/v1/namespaces/cert-manager/secrets', body: { metadata: { name: 'letsencrypt-account' } } },
  {
    path: '/apis/cert-manager.io/v1/clusterissuers',
    body: { apiVersion: 'cert-manager.io/v1', kind: 'ClusterIssuer', metadata: { name: 'letsencrypt' } },
  },
  {
    path: '/apis/notification.toolkit.fluxcd.io/v1beta3/namespaces/flux-system/providers',
    body: {
      apiVersion: 'notification.toolkit.fluxcd.io/v1beta3',
      kind: 'Provider',
      metadata: { name: 'chat', finalizers: ['finalizers.fluxcd.io'] },
    },
  },
  { path: '/api/v1/namespaces/flux-system/secrets', body: { metadata: { name: 'git-credentials' } } },
  {
    path: '/apis/monitoring.coreos.com/v1/namespaces/default/prometheusrules',
    body: { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata: { name: 'own' } },
  },
]
const nameOf = ({ body }: (typeof kept)[number]) => (body.metadata as { name: string }).name

/** Who each thing is, by its uid: an object of the same name that was made anew is not the same. */
async function identities(): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const each of kept) {
    const { status, body } = await http.get(`${each.path}/${nameOf(each)}`)
    found[`${each.path}/${nameOf(each)}`] = status === 200 && body.metadata.deletionTimestamp === undefined ? body.metadata.uid : 'gone'
  }
  const definitions = await http.get('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')
  for (const { metadata } of definitions.body.items) found[metadata.name] = metadata.deletionTimestamp ?? metadata.uid
  const claims = await http.get('/api/v1/persistentvolumeclaims')
  for (const { metadata } of claims.body.items) found[`claim ${metadata.name}`] = metadata.deletionTimestamp ?? metadata.uid
  return found
}
let identity: Record<string, string>
async function nothingIsLost() {
  const now = await identities()
  for (const [what, uid] of Object.entries(identity)) assert.equal(now[what], uid, what)
}

test('installed with the versions that were pinned before, and used', async () => {
  succeeded(await installBefore())
  assert.deepEqual(await deployed(), pinned('before'))
  for (const { path, body } of kept) await admin.request({ method: 'POST', path, body })
  identity = await identities()
  assert.ok(Object.keys(identity).some((what) => what.startsWith('claim ')))
})

test('brought up to date, cut off at each step: every component, its definitions, and nothing is lost', async (t) => {
  for (const [index, { name, namespace }] of components.entries()) {
    const revisions = async () => {
      const { body } = await http.get(`/api/v1/namespaces/${namespace}/secrets?labelSelector=owner%3Dhelm,name%3D${name}`)
      return (body.items as unknown[]).length
    }
    const count = await revisions()
    const { code } = await install([], await cutAt(bench, name, index % 2 === 0 ? async () => (await revisions()) > count : undefined))
    // One that is pinned as before is left as it is, and helm is not called for it.
    assert.ok(code === 'SIGKILL' || code === 0, name)
    t.diagnostic(`${name}: ${code}`)
  }
  succeeded(await install())
  assert.deepEqual(await releases(), allDeployed)
  assert.deepEqual(await deployed(), pinned('pinned'))
  await nothingIsLost()
  for (const { name } of components) {
    for (const definition of facts[name]?.pinned.definitions ?? []) {
      const { status, body } = await http.get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition.name}`)
      assert.equal(status, 200, definition.name)
      assert.deepEqual(body.spec.versions.map((version: { name: string }) => version.name).sort(), [...definition.versions].sort())
    }
  }
})

test('taken away, cut off at each step: what was promised to stay is there, and said', async () => {
  for (const [index, { name, namespace }] of [...components].reverse().entries()) {
    const deployed = `/api/v1/namespaces/${namespace}/secrets?labelSelector=owner%3Dhelm,name%3D${name},status%3Ddeployed`
    const begun = async () => (await http.get(deployed)).body.items.length === 0
    await uninstall([], await cutAt(bench, name, index % 2 === 0 ? begun : undefined))
  }
  const ran = await uninstall()
  succeeded(ran)
  assert.deepEqual(await releases(), [])
  await nothingIsLost()
  for (const namespace of ['sealed-secrets', 'cert-manager', 'flux-system', 'monitoring'])
    assert.match(ran.out, new RegExp(`What is left:[\\s\\S]*namespace ${namespace}: `))
})

test('installed again, it finds all of it', async () => {
  succeeded(await install())
  assert.deepEqual(await releases(), allDeployed)
  await nothingIsLost()
  await until(
    'the sealing key is where its controller looks',
    async () => (await http.get(`${kept[0]?.path}/sealed-secrets-keyx7q2b`)).status === 200,
  )
})
