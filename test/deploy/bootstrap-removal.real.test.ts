import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { createServingCertificate, until } from '../cluster/index.ts'
import { installObject } from '../shared/kubernetes/connected.ts'
import { type Component, definitionNamed } from './bootstrap.ts'
import { cutAt, openScene, succeeded } from './bootstrap-scene.ts'
import type { Manifest } from './helm.ts'

// One story: a region is installed, taken away in part and as a whole, cut off at each step, and installed again.

const scene = await openScene()
const {
  admin,
  http,
  bench,
  charts,
  components,
  list,
  token,
  kubeconfig,
  install,
  uninstall,
  releases,
  visitor,
  allDeployed,
  deployment,
  crd,
} = scene
after(() => scene.close())

test('an account that sees little takes nothing away, for it could not see what hangs on it', async () => {
  const { code, out } = await uninstall(['--keep-databases'], { kubeconfig: await visitor() })
  assert.equal(code, 1)
  assert.match(out, /FAILED after \d+ s: definitions cannot be listed\n.*forbidden[\s\S]*What to do: use an account that can read/)
})

test('a region is installed, each component ready before the next', async () => {
  const ran = await bench.run('install.sh', [token, '--yes', '--offline', charts, '--timeout', '60', '--components', list], { kubeconfig })
  succeeded(ran)
  assert.match(ran.out, /\[1\/11\] preflight[\s\S]*\[2\/11\] cert-manager.*\n {7}installed \(\d+ s\)\n\[3\/11\] crate-operator-crds/)
  assert.match(ran.out, /\[11\/11\] skerry.*\n {7}installed \(\d+ s\)\nRegion harbour-1 is installed/)
  assert.deepEqual(await releases(), allDeployed)
  for (const [namespace, name] of [
    ['cert-manager', 'cert-manager'],
    ['crate-operator', 'crate-operator'],
    ['skerry', 'skerry-agent'],
  ] as const) {
    const { status } = (await deployment(namespace, name)).body
    assert.ok(status.readyReplicas > 0, name)
  }
  const { data } = (await http.get('/api/v1/namespaces/skerry/configmaps/skerry-agent')).body
  assert.match(JSON.stringify(data), /harbour-1/)
})

test('databases are not taken from under their owners', async () => {
  const metadata = { name: 'project-harbour', labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  const labels = { ...metadata.labels, 'skerry.dev/project': 'harbour' }
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { ...metadata, labels } })
  const claim = {
    metadata: { name: 'data0-tide', labels: { 'app.kubernetes.io/name': 'tide' } },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '8Gi' } } },
  }
  assert.equal((await http.post('/api/v1/namespaces/project-harbour/persistentvolumeclaims', claim)).status, 201)
  await admin.request({
    method: 'POST',
    path: '/apis/skerry.dev/v1/projects',
    body: { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour', finalizers: ['skerry.dev/project'] }, spec: {} },
  })
  const resources = { heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'crate-premium' } }
  const spec = {
    cluster: { name: 'tide', imageRegistry: 'crate', version: '5.10.1' },
    nodes: { data: [{ name: 'hot', replicas: 1, resources }] },
  }
  await admin.request({
    method: 'POST',
    path: '/apis/cloud.crate.io/v1/namespaces/project-harbour/cratedbs',
    body: {
      apiVersion: 'cloud.crate.io/v1',
      kind: 'CrateDB',
      metadata: { name: 'tide', finalizers: ['operator.cloud.crate.io/finalizer'] },
      spec,
    },
  })
  // The volume of a database, and one that a database left in a project without any.
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { ...metadata, name: 'project-quay' } })
  for (const [name, namespace] of [
    ['tide', 'project-harbour'],
    ['ebb', 'project-quay'],
  ]) {
    const volume = {
      capacity: { storage: '8Gi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: `/${name}` },
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { namespace, name: `data0-${name}` },
    }
    const body = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name }, spec: volume }
    await admin.request({ method: 'POST', path: '/api/v1/persistentvolumes', body })
  }

  const { code, out } = await uninstall()
  assert.equal(code, 3)
  assert.match(
    out,
    /What would be removed:\n {7}release skerry in skerry\n[\s\S]*Refused: databases exist\.\n {7}project-harbour\/tide\n.*--keep-databases/,
  )
  const part = await uninstall(['--only', 'crate-operator-crds'])
  assert.equal(part.code, 3, 'with their definition they would go all the same')
  assert.equal((await uninstall(['--delete-databases', '--only', 'skerry'])).code, 2)
  assert.deepEqual(await releases(), allDeployed)
})

test('told to keep databases, it leaves them with their operator and takes the rest', async () => {
  const told = await uninstall(['--delete-databases', '--delete-definitions', '--delete-volumes', '--dry-run'])
  succeeded(told)
  assert.match(
    told.out,
    /What would be removed:\n {7}release skerry in skerry\n[\s\S]* {7}database project-harbour\/tide\n {7}project harbour\n[\s\S]* {7}namespace skerry\n/,
  )
  assert.match(told.out, / {7}CRD cratedbs\.cloud\.crate\.io\n[\s\S]*WITH ALL DATA\nWhat would stay:\nNothing was changed\.\n$/)
  assert.equal((await uninstall(['--keep-databases', '--delete-databases'])).code, 2)
  const ran = await uninstall(['--keep-databases'])
  succeeded(ran)
  assert.deepEqual(await releases(), ['crate-operator deployed', 'crate-operator-crds deployed'])
  assert.match(ran.out, /What is left:\n {7}database project-harbour\/tide\n {7}project harbour\n/)
})

test('told to delete databases, it waits for who holds them, says who that is, and keeps their volumes', async () => {
  const { code, out } = await uninstall(['--delete-databases', '--timeout', '2'])
  assert.equal(code, 1)
  assert.match(out, /FAILED after \d+ s: cratedbs\.cloud\.crate\.io tide waits for \["operator\.cloud\.crate\.io\/finalizer"\]/)
  assert.match(out, /the Crate Operator must run to let it go[\s\S]*--release-finalizers/)

  const ran = await uninstall(['--delete-databases', '--release-finalizers', '--timeout', '40'])
  succeeded(ran)
  assert.deepEqual(await releases(), [])
  assert.equal((await http.get('/api/v1/namespaces/project-harbour')).status, 404)
  assert.equal((await http.get('/apis/skerry.dev/v1/projects/harbour')).status, 404, 'the agent that held it has gone before')
  const found = await http.get('/api/v1/persistentvolumes?labelSelector=skerry.dev/project%3Dharbour,skerry.dev/database%3Dtide')
  assert.equal(found.body.items[0]?.metadata.annotations['skerry.dev/retained-from'], 'project-harbour/data0-tide', 'as one looks for it')
  for (const name of ['tide', 'ebb']) {
    const { spec } = (await http.get(`/api/v1/persistentvolumes/${name}`)).body
    assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain', name)
    assert.match(ran.out, new RegExp(` {7}volume ${name} \\(project-\\w+/data0-${name}, \\w+\\)`))
    await http.delete(`/api/v1/persistentvolumes/${name}`)
  }
  for (const { metadata } of found.body.items) await http.delete(`/api/v1/persistentvolumes/${metadata.name}`)
})

test('what Flux deployed keeps Flux; cut off at each step, taking away goes on; volumes that are to stay keep their namespace', async (t) => {
  succeeded(await install(['--no-wait']))
  const claim = { metadata: { name: 'metrics' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }
  await http.post('/api/v1/namespaces/monitoring/persistentvolumeclaims', claim)
  const helmReleases = '/apis/helm.toolkit.fluxcd.io/v2/namespaces/default/helmreleases'
  const held = {
    apiVersion: 'helm.toolkit.fluxcd.io/v2',
    kind: 'HelmRelease',
    metadata: { name: 'crane', finalizers: ['finalizers.fluxcd.io'] },
  }
  await admin.request({ method: 'POST', path: helmReleases, body: held })

  const refused = await uninstall()
  assert.equal(refused.code, 3)
  assert.match(
    refused.out,
    /Refused: without Flux, these would hang.*\n {7}helmreleases\.helm\.toolkit\.fluxcd\.io default\/crane\n.*--delete-deployments/,
  )

  const args = ['--delete-deployments', '--release-finalizers']
  const steps = ['deployments', ...components.map(({ name }) => name).reverse(), 'namespaces']
  // Skerry goes before what it deployed.
  steps.unshift(...steps.splice(steps.indexOf('skerry'), 1))
  for (const [index, name] of steps.entries()) {
    const going = async () => !(await releases()).includes(`${name} deployed`)
    const cut = await cutAt(bench, name, index % 2 === 0 && name !== 'namespaces' ? going : undefined)
    // However long it waits, nobody lets go of what Flux holds. In the last run nothing waits in vain, and namespaces need their time.
    const { code } = await uninstall([...args, '--timeout', '2'], cut)
    assert.equal(code, 'SIGKILL', name)
    t.diagnostic(`${name}: ${code}; ${(await releases()).filter((release) => !release.endsWith(' deployed')).join(', ')}`)
  }
  const ran = await uninstall(args)
  succeeded(ran)
  assert.deepEqual(await releases(), [])
  assert.match(ran.out, /What is left:[\s\S]*\n {7}namespace monitoring: volumes are in it \(--delete-volumes loses their data\)\n/)
  succeeded(await uninstall(['--delete-volumes']))
  await until('the volumes that the runs before have kept are gone', async () => {
    const { body } = await http.get('/api/v1/persistentvolumes')
    return !body.items.some(({ spec }: Manifest) => spec.claimRef?.namespace === 'monitoring')
  })
  for (const { namespace } of components) assert.equal((await http.get(`/api/v1/namespaces/${namespace}`)).status, 404, namespace)
  succeeded(await install(['--no-wait']))
  assert.deepEqual(await releases(), allDeployed)
})

/** A program of somebody else's, by the labels of a component, with its definition. */
async function installForeign({ name, present, definition }: Component): Promise<void> {
  const labels = Object.fromEntries((present[0]?.split(':')[1] ?? '').split(',').map((pair) => pair.split('=')))
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  const body = { metadata: { name: `own-${name}`, labels }, spec: { selector: { matchLabels: labels }, template } }
  await http.post('/apis/apps/v1/namespaces/default/deployments', body)
  await http.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definitionNamed(definition as string))
}

test('what somebody else has installed is left alone, by both, with all that works on', async () => {
  const foreign = components.filter(({ name }) => ['cert-manager', 'crate-operator', 'flux'].includes(name))
  const names = ['crate-operator-crds', ...foreign.map(({ name }) => name)]
  succeeded(await uninstall(names.flatMap((name) => ['--only', name])))
  for (const { definition } of foreign) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition}`
    await until(`${definition} is gone`, async () => (await http.delete(path)).status === 404)
  }
  for (const each of foreign) await installForeign(each)
  const theirs: [group: string, kind: string, plural: string][] = [
    ['cloud.crate.io', 'Cratedb', 'cratedbs'],
    ['helm.toolkit.fluxcd.io', 'Helmrelease', 'helmreleases'],
  ]
  for (const [group, kind, plural] of theirs) {
    const path = `/apis/${group}/v1/namespaces/default/${plural}`
    const object = { apiVersion: `${group}/v1`, kind, metadata: { name: 'theirs' } }
    await until(`${plural} are served`, async () => (await http.post(path, object)).status === 201)
  }
  const ran = await install()
  succeeded(ran)
  for (const { name } of foreign)
    assert.match(ran.out, new RegExp(`\\] ${name}: .*\n {7}already installed as default/own-${name}, not by this installer: left alone`))

  succeeded(await uninstall(['--delete-databases', '--delete-deployments', '--delete-definitions', '--delete-volumes']))
  assert.deepEqual(await releases(), [])
  for (const [group, , plural] of theirs) {
    const path = `/apis/${group}/v1/namespaces/default/${plural}/theirs`
    assert.equal((await http.get(path)).status, 200, plural)
    await http.delete(path)
  }
  for (const { name, definition } of foreign) {
    assert.equal((await deployment('default', `own-${name}`)).status, 200, name)
    assert.equal((await crd(definition as string)).status, 200, definition)
    await http.delete(`/apis/apps/v1/namespaces/default/deployments/own-${name}`)
  }
  assert.equal((await crd('sealedsecrets.bitnami.com')).status, 404)
})

test('taken away, nothing is left but what is said, and with definitions nothing at all', async () => {
  assert.deepEqual(await releases(), [])
  for (const { namespace } of components) assert.equal((await http.get(`/api/v1/namespaces/${namespace}`)).status, 404, namespace)
  const ran = await uninstall(['--delete-databases', '--delete-definitions', '--delete-volumes'])
  succeeded(ran)
  assert.match(ran.out, /What is left:\n {7}nothing\n$/)
})

test('installed again after that, it is whole, with the tunnel, whose credentials are fetched with the token', async () => {
  const certificate = await createServingCertificate()
  const asked: (string | undefined)[] = []
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    asked.push(request.headers.authorization)
    response.end('{"AccountTag":"a","TunnelSecret":"s","TunnelID":"6ff42ae2-765d-4adf-8112-31c55c1551ef"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const ca = join(bench.folder, 'ca.pem')
  await writeFile(ca, certificate.ca)
  try {
    const tunnelled = bench.cloud.token({
      tunnel: '6ff42ae2-765d-4adf-8112-31c55c1551ef',
      hostname: 'harbour-1.regions.example',
      credentials: `https://localhost:${(server.address() as AddressInfo).port}/regions/harbour-1/tunnel`,
    })
    const values = join(bench.folder, 'values.yaml')
    await writeFile(values, stringify({ agent: { replicas: 1 } }))
    succeeded(await install())
    // Offline nobody is asked.
    const way = ['--https-proxy', 'http://proxy.example:3128', '--no-proxy', 'localhost,.site.example', '--ca-file', ca]
    const own = ['--yes', '--skip', 'preflight', '--only', 'skerry', '--timeout', '60', '--values', values, ...way]
    const ran = await bench.run('install.sh', [tunnelled, ...own], { kubeconfig })
    succeeded(ran)
    assert.deepEqual(asked, [`Bearer ${tunnelled}`])
    assert.ok(!ran.log.includes('TunnelSecret'))
    const secret = (await http.get('/api/v1/namespaces/skerry/secrets/cloudflared-credentials')).body
    assert.match(Buffer.from(secret.data['credentials.json'], 'base64').toString(), /6ff42ae2/)
    assert.equal((await deployment('skerry', 'cloudflared')).body.status.readyReplicas, 2)
    const { replicas, template } = (await deployment('skerry', 'skerry-agent')).body.spec
    assert.equal(replicas, 1)
    const given = Object.fromEntries(
      template.spec.containers[0].env.map(({ name, value }: { name: string; value?: string }) => [name, value]),
    )
    assert.equal(given.HTTPS_PROXY, 'http://proxy.example:3128')
    assert.match(given.NO_PROXY ?? '', /localhost.*\.site\.example/)
    assert.equal((await http.get('/api/v1/namespaces/skerry/configmaps/skerry-ca')).body.data['ca.crt'], certificate.ca)
  } finally {
    server.close()
  }
})
