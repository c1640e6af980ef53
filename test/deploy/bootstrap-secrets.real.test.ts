import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { until } from '../cluster/index.ts'
import { definitionNamed } from './bootstrap.ts'
import { installEarlier } from './bootstrap-earlier.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import type { Manifest } from './helm.ts'

// One story: Secrets that nobody can make again, and what people have written for a component, outlive what is taken away.

const scene = await openScene()
const { http, uninstall, install } = scene
after(() => scene.close())

const namespaces = { 'cert-manager': 'cert-manager', 'flux-system': 'flux', 'sealed-secrets': 'sealed-secrets', monitoring: 'prometheus' }
const secretsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/secrets`
const isThere = async (path: string) => (await http.get(path)).status === 200
const uidOf = async (path: string) => (await http.get(path)).body.metadata.uid as string
async function make(path: string, object: object): Promise<Manifest> {
  const { status, text, body } = await http.post(path, object)
  assert.equal(status, 201, text)
  return body
}
const secret = (name: string, metadata: object = {}) => ({ metadata: { name, ...metadata }, data: { key: 'a2V5' } })
const sealing = { labels: { 'sealedsecrets.bitnami.com/sealed-secrets-key': 'active' } }

/** Releases of an earlier version, and a Secret that is in one of them. */
async function installAll(): Promise<void> {
  for (const [namespace, name] of Object.entries(namespaces)) {
    const own = { apiVersion: 'v1', kind: 'Secret', ...secret(`${name}-of-chart`) }
    await installEarlier(scene, name, namespace, [own])
  }
}
const listed = (out: string, head: string) => out.slice(out.indexOf(head)).split('\n').slice(1)

test('Secrets that somebody makes again hold no namespace', async () => {
  await installAll()
  await make(secretsOf('cert-manager'), secret('cert-manager-webhook-ca'))
  await make(secretsOf('monitoring'), secret('prometheus-admission'))
  await make(secretsOf('monitoring'), secret('of-the-agent', { labels: { 'app.kubernetes.io/managed-by': 'skerry' } }))
  const { metadata } = await make('/api/v1/namespaces/monitoring/configmaps', {
    metadata: { name: 'owner', labels: { 'app.kubernetes.io/part-of': 'skerry' } },
  })
  const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: metadata.uid }]
  await make(secretsOf('monitoring'), secret('prometheus-generated', { ownerReferences }))
  const applied = await http.patch('apply', `${secretsOf('flux-system')}/applied?fieldManager=skerry-install`, {
    apiVersion: 'v1',
    kind: 'Secret',
    ...secret('applied'),
  })
  assert.ok(applied.status < 300, applied.text)
  await make(secretsOf('flux-system'), secret('leaving', { finalizers: ['example.com/held'] }))
  await http.delete(`${secretsOf('flux-system')}/leaving`)
  await make(secretsOf('flux-system'), {
    ...secret('token', { annotations: { 'kubernetes.io/service-account.name': 'default' } }),
    type: 'kubernetes.io/service-account-token',
    data: undefined,
  })

  const { out, code } = await uninstall(['--dry-run'])
  assert.equal(code, 0, out)
  for (const namespace of Object.keys(namespaces)) assert.match(out, new RegExp(`^ {7}namespace ${namespace}$`, 'm'))
  assert.deepEqual(listed(out, 'What would stay:'), ['       volumes', '       CRDs, with all their objects', 'Nothing was changed.', ''])
  await http.patch('merge', `${secretsOf('flux-system')}/leaving`, { metadata: { finalizers: null } })
})

const kept = {
  account: `${secretsOf('cert-manager')}/letsencrypt-account`,
  authority: `${secretsOf('cert-manager')}/site-ca`,
  git: `${secretsOf('flux-system')}/git`,
  sealing: `${secretsOf('sealed-secrets')}/sealed-secrets-key4x2`,
  dashboard: '/api/v1/namespaces/monitoring/configmaps/tides',
  certificate: '/apis/cert-manager.io/v1/namespaces/monitoring/certificates/grafana',
}
const reasons = [
  '       namespace cert-manager: these Secrets cannot be recreated: letsencrypt-account, site-ca (--delete-keys loses them)',
  '       namespace flux-system: these Secrets cannot be recreated: git (--delete-keys loses them)',
  '       namespace monitoring: not from this installer: Certificate grafana, ConfigMap tides',
  '       namespace sealed-secrets: these Secrets cannot be recreated: sealed-secrets-key4x2 (a sealing key) (--delete-keys loses them)',
]

test('keys, credentials and what people wrote keep their namespaces, and are named before and after', async () => {
  await make(secretsOf('cert-manager'), secret('letsencrypt-account'))
  await make(secretsOf('cert-manager'), secret('site-ca'))
  await make(secretsOf('flux-system'), secret('git'))
  await make(secretsOf('sealed-secrets'), secret('sealed-secrets-key4x2', sealing))
  await make('/api/v1/namespaces/monitoring/configmaps', { metadata: { name: 'tides' } })
  await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definitionNamed('certificates.cert-manager.io'))
  const certificate = { apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: { name: 'grafana' } }
  await until(
    'certificates are served',
    async () => (await http.post('/apis/cert-manager.io/v1/namespaces/monitoring/certificates', certificate)).status === 201,
  )
  const before = await Promise.all(Object.values(kept).map(uidOf))

  const told = await uninstall(['--dry-run'])
  assert.deepEqual(listed(told.out, 'What would stay:').slice(2, -2), reasons)
  assert.deepEqual(told.out.match(/^ {7}namespace \S+$/gm), null)
  const lines = told.out.split('\n').filter((line) => line !== '')
  assert.deepEqual([...new Set(lines)], lines, 'each thing is said once')

  const ran = await uninstall()
  succeeded(ran)
  assert.deepEqual(await scene.releases(), [])
  assert.deepEqual(
    listed(ran.out, 'What is left:').filter((line) => line.startsWith('       namespace')),
    reasons,
  )
  assert.deepEqual(await Promise.all(Object.values(kept).map(uidOf)), before)
  assert.ok(!(await isThere(`${secretsOf('monitoring')}/prometheus-of-chart`)))
})

test('the next installation finds the sealing key where it was', async () => {
  const before = await uidOf(kept.sealing)
  succeeded(await install(['--no-wait', '--only', 'sealed-secrets']))
  assert.equal(await uidOf(kept.sealing), before)
})

test('told to lose keys, it says what that means, and takes them with their namespaces', async () => {
  for (const [namespace, name] of Object.entries(namespaces))
    if (name !== 'sealed-secrets') await installEarlier(scene, name, namespace, [])
  const told = await uninstall(['--dry-run', '--delete-keys', '--delete-definitions'])
  assert.match(told.out, /^ {7}FOREVER: Secret sealed-secrets-key4x2 \(a sealing key\) in sealed-secrets$/m)
  assert.match(told.out, /^ {7}FOREVER: Secret git in flux-system$/m)
  assert.match(told.out, /^ {7}everything sealed for this region can never be opened again$/m)
  assert.equal(await isThere(kept.sealing), true)

  const ran = await uninstall(['--delete-keys', '--delete-definitions'])
  succeeded(ran)
  assert.deepEqual(listed(ran.out, 'What is left:'), ['       namespace monitoring: not from this installer: ConfigMap tides', ''])
  for (const [what, path] of Object.entries(kept)) assert.equal(await isThere(path), what === 'dashboard', what)
})

test('keys of one component alone are not asked for: they go with namespaces', async () => {
  const { code, err } = await uninstall(['--delete-keys', '--only', 'sealed-secrets'])
  assert.equal(code, 2)
  assert.match(err, /--only cannot be combined with --delete-keys/)
})
