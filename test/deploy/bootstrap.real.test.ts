import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer as createPlainServer, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { stack } from '../../agent/preflight/stack.ts'
import { createServingCertificate } from '../cluster/certificates.ts'
import { connectTo, installObject } from '../cluster/connected.ts'
import { createHttp } from '../cluster/http.ts'
import { installedTool } from '../cluster/kubectl.ts'
import { startRealCluster } from '../cluster/real/index.ts'
import { runKubelet } from '../cluster/stand-ins/kubelet.ts'
import { createNodes, createStorageClasses, nodeShapes } from '../cluster/stand-ins/nodes.ts'
import { openWorld } from '../cluster/stand-ins/world.ts'
import { type Component, createBench, definitionNamed, packCharts, type Ran, readComponents } from './bootstrap.ts'
import { helm } from './helm.ts'

// One story on the real control plane, with the real kubectl and helm: a region is installed, again, cut off at each step, taken away
// and installed again. The charts are stand-ins under the real names and versions, for none can be fetched here; Skerry's is the real
// one. A stand-in for kubelets calls their pods ready.

const cluster = await startRealCluster()
const admin = await connectTo(cluster)
const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
const world = await openWorld(cluster)
const bench = await createBench()
const components = await readComponents()
const token = bench.cloud.token({ caller: 'ab'.repeat(32) })
let charts = ''
let kubelet: Awaited<ReturnType<typeof runKubelet>>

before(async () => {
  await Promise.all([createNodes(world, nodeShapes(4)), createStorageClasses(world, 'Delete')])
  kubelet = await runKubelet(world)
  charts = await packCharts(bench.folder)
})
after(async () => {
  await kubelet.stop()
  await world.close()
  http.close()
  admin.close()
  await bench.close()
  await cluster.stop()
})

const kubeconfig = cluster.kubeconfig()
type Given = Parameters<typeof bench.run>[2]
/** Preflight has tests of its own, and says here that the stand-in's nodes are small. */
const install = (args: string[] = [], given: Given = {}) =>
  bench.run('install.sh', [token, '--yes', '--offline', charts, '--timeout', '60', '--skip', 'preflight', ...args], {
    kubeconfig,
    ...given,
  })
const uninstall = (args: string[] = [], given: Given = {}) =>
  bench.run('uninstall.sh', ['--yes', '--timeout', '60', ...args], { kubeconfig, ...given })

function succeeded({ code, out, err, log }: Ran): void {
  assert.equal(code, 0, `${out}\n${err}\n${log.slice(-4000)}`)
}

/** `name status` of the newest revision of each release. */
async function releases(): Promise<string[]> {
  const { body } = await http.get('/api/v1/secrets?labelSelector=owner%3Dhelm')
  const newest = new Map<string, { version: number; status: string }>()
  for (const { metadata } of body.items) {
    const { name, version, status } = metadata.labels
    if ((newest.get(name)?.version ?? 0) < Number(version)) newest.set(name, { version: Number(version), status })
  }
  return [...newest].map(([name, { status }]) => `${name} ${status}`).sort()
}
const allDeployed = components.map(({ name }) => `${name} deployed`).sort()
const deployment = (namespace: string, name: string) => http.get(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`)
const crd = (name: string) => http.get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)

test('the list of components is the one that preflight knows', () => {
  const known = stack.map(({ name, namespace, definition }) => ({ name, namespace, definition }))
  const listed = components.flatMap(({ name, namespace, definition }) =>
    // A part of the operator to everybody else.
    name === 'crate-operator-crds' ? [] : [{ name, namespace, definition: definition === '-' ? undefined : definition }],
  )
  assert.deepEqual(listed, known)
})

test('a dry run says what would be done and changes nothing', async () => {
  const ran = await install(['--dry-run'])
  succeeded(ran)
  assert.match(ran.out, /\[1\/11\] cert-manager: cert-manager v[\d.]+\n {7}would make the namespace cert-manager\n {7}would install/)
  assert.match(ran.out, /Nothing was changed\.\n$/)
  assert.doesNotMatch(ran.out, / installed \(/)
  assert.deepEqual(await releases(), [])
})

test('an account that may do nothing is told so at the first step, and nothing is half done', async () => {
  const visitor = cluster.kubeconfig(await cluster.serviceAccountToken('default', 'visitor'))
  const { code, out } = await install([], { kubeconfig: visitor })
  assert.equal(code, 1)
  assert.match(
    out,
    /\[1\/11\] cert-manager[\s\S]*FAILED after \d+ s: the releases in cert-manager cannot be read\n.*forbidden[\s\S]*What to do:/,
  )
  assert.deepEqual(await releases(), [])
})

test('an account that sees little takes nothing away, for it could not see what hangs on it', async () => {
  const visitor = cluster.kubeconfig(await cluster.serviceAccountToken('default', 'visitor'))
  const { code, out } = await uninstall(['--keep-databases'], { kubeconfig: visitor })
  assert.equal(code, 1)
  assert.match(out, /FAILED after \d+ s: releases cannot be listed\n.*forbidden[\s\S]*What to do: use an account that may see/)
})

test('preflight stands in front: nothing is installed where it fails, and what to do is said', async () => {
  const visitor = cluster.kubeconfig(await cluster.serviceAccountToken('default', 'visitor'))
  const args = [token, '--yes', '--offline', charts, '--create-storage-classes', 'crate-standard']
  const { code, out } = await bench.run('install.sh', args, { kubeconfig: visitor })
  assert.equal(code, 3, out)
  assert.match(out, /fail {2}the account may not get, list, create, patch, update and delete namespaces, .*\n {13}why .*\n {13}do /)
  assert.match(out, /^\[1\/13\] preflight[\s\S]*Nothing was installed\.\n$/m)
  assert.ok(!out.includes('storage-classes:'), 'not even a class was made')
})

test('without a Node to run preflight, the most important things are looked at all the same', async () => {
  const env = { PATH: `${join(bench.folder, 'few')}:/usr/bin:/bin` }
  await mkdir(join(bench.folder, 'few'))
  for (const tool of ['kubectl', 'helm'] as const) await symlink(await installedTool(tool), join(bench.folder, 'few', tool))
  await writeFile(join(bench.folder, 'few', 'node'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  const args = [token, '--yes', '--offline', charts, '--only', 'grafana', '--no-wait']
  const visitor = cluster.kubeconfig(await cluster.serviceAccountToken('default', 'visitor'))
  const refused = await bench.run('install.sh', args, { kubeconfig: visitor, env })
  assert.equal(refused.code, 3)
  assert.match(refused.out, /fail {2}the account may not create namespaces/)
  const taken = await bench.run('install.sh', [...args, '--dry-run'], { kubeconfig, env })
  succeeded(taken)
  assert.match(taken.out, /ok {4}4 nodes are ready\n.*only the most important things were looked at/)
})

test('preflight lets pass what is fit, and what was asked to be ignored', async () => {
  const args = [token, '--yes', '--offline', charts, '--only', 'grafana', '--dry-run']
  const ran = await bench.run('install.sh', args, { kubeconfig })
  assert.match(ran.out, /ok {4}the account may do all \d+ things/)
  // The nodes here are too small; a dry run says so, and goes on.
  const ignored = await bench.run('install.sh', [...args, '--ignore-preflight'], { kubeconfig })
  succeeded(ignored)
})

test('the storage classes that are missing are made like another one', async () => {
  const path = '/apis/storage.k8s.io/v1/storageclasses'
  const own = {
    metadata: { name: 'disks' },
    provisioner: 'disks.example.org',
    parameters: { type: 'fast "one"' },
    mountOptions: ['discard'],
  }
  await http.post(path, own)
  for (const name of ['crate-premium', 'crate-local']) await http.delete(`${path}/${name}`)
  const args = ['--only', 'ingress-nginx', '--dry-run', '--create-storage-classes']
  const terminal = await bench.run('install.sh', [token, '--offline', charts, '--log', 'typed.log'], { kubeconfig, typed: 'y\nnone\n' })
  assert.equal(terminal.code, 3, terminal.out)
  assert.match(
    terminal.out,
    /Install into this cluster\?[\s\S]*missing here: crate-premium and crate-local\. There are:[\s\S]*\n {2}disks \(disks\.example\.org\)\s/,
  )
  assert.match(terminal.out, /There is no storage class none\. Nothing was done\./)
  const declined = await bench.run('install.sh', [token, '--offline', charts], { kubeconfig, typed: 'n\n' })
  assert.equal(declined.code, 3)
  assert.match(declined.out, /Nothing was done\./)
  assert.match((await install([...args, 'none'])).out, /FAILED after \d+ s: there is no storage class none/)
  succeeded(await install([...args, 'disks']))
  assert.equal((await http.get(`${path}/crate-premium`)).status, 404)
  const nothingElse = components.flatMap(({ name }) => ['--skip', name])
  const accepted = await bench.run('install.sh', [token, '--skip', 'preflight', ...nothingElse], { kubeconfig, typed: 'y\ndisks\n' })
  succeeded(accepted)
  assert.match(accepted.out, /\[1\/1\] storage-classes: .*\s+made crate-premium crate-local \(\d+ s\)/)
  for (const name of ['crate-premium', 'crate-local']) {
    const { provisioner, parameters, mountOptions, allowVolumeExpansion, volumeBindingMode } = (await http.get(`${path}/${name}`)).body
    assert.deepEqual([provisioner, parameters, mountOptions], [own.provisioner, own.parameters, own.mountOptions])
    assert.deepEqual([allowVolumeExpansion, volumeBindingMode], [true, 'WaitForFirstConsumer'])
  }
})

/** A server of the charts: answers what it is asked for directly, and as a proxy what it is asked for in full. */
async function serveCharts(asked: string[]) {
  const { code, stderr } = await helm(['repo', 'index', charts])
  assert.equal(code, 0, stderr)
  const certificate = await createServingCertificate()
  const answer: RequestListener = async (request, response) => {
    asked.push(request.url ?? '')
    const { pathname } = new URL(request.url ?? '/', 'http://charts.example')
    response.end(await readFile(join(charts, pathname)).catch(() => ''))
  }
  const plain = createPlainServer(answer)
  plain.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`)
    socket.end('HTTP/1.1 502 No\r\n\r\n')
  })
  const tls = createServer({ cert: certificate.cert, key: certificate.key }, answer)
  const listening = [plain, tls].map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
  await Promise.all(listening)
  const [plainPort, tlsPort] = [plain, tls].map((server) => (server.address() as AddressInfo).port)
  const close = () => [plain, tls].map((server) => server.close())
  return { proxy: `http://127.0.0.1:${plainPort}`, repository: `https://localhost:${tlsPort}`, ca: certificate.ca, close }
}

/** The list of components with all their charts in one repository. */
async function componentsFrom(repository: string): Promise<string> {
  const list = join(bench.folder, 'components')
  await writeFile(list, (await readFile('deploy/bootstrap/components', 'utf8')).replaceAll(/https:\/\/\S+/g, repository))
  return list
}

test('charts are fetched from their repositories, which an authority of the site may vouch for, and kept for a site without internet', async () => {
  const server = await serveCharts([])
  try {
    const kept = join(bench.folder, 'kept')
    const args = ['--download', kept, '--components', await componentsFrom(server.repository)]
    const untrusted = await bench.run('install.sh', args)
    assert.equal(untrusted.code, 1)
    assert.match(untrusted.err, /certificate/)
    const ca = join(bench.folder, 'ca.pem')
    await writeFile(ca, server.ca)
    succeeded(await bench.run('install.sh', [...args, '--ca-file', ca]))
    const expected = components.map(({ chart, version }) => `${chart}-${version}.tgz`).sort()
    assert.deepEqual((await readdir(kept)).sort(), expected)
  } finally {
    server.close()
  }
})

test('a proxy is asked for charts, with its password in no argument, and never for the API server', async () => {
  const asked: string[] = []
  const server = await serveCharts(asked)
  try {
    const list = await componentsFrom('http://charts.example')
    const args = [token, '--yes', '--skip', 'preflight', '--only', 'kubernetes-replicator', '--no-wait', '--components', list]
    const env = { SKERRY_HTTP_PROXY: server.proxy.replace('//', '//harbour:barnacle@'), SKERRY_HTTPS_PROXY: server.proxy }
    const ran = await bench.run('install.sh', args, { kubeconfig, env })
    succeeded(ran)
    assert.match(ran.out, /\[1\/1\] kubernetes-replicator.*\n {7}installed.*\nDone\.\n$/)
    assert.deepEqual(asked, ['http://charts.example/index.yaml', asked[1]])
    assert.match(asked[1] ?? '', /^http:\/\/.*\/kubernetes-replicator-.*\.tgz$/)
    assert.ok(!ran.log.includes('barnacle'))
    assert.ok((await releases()).includes('kubernetes-replicator deployed'))
  } finally {
    server.close()
  }
})

test('it works on the context that is named, and takes values for each chart', async () => {
  const two = parse(kubeconfig)
  const [{ name: good }] = two.contexts
  two.contexts.push({ name: 'elsewhere', context: { cluster: 'nowhere', user: 'nobody' } })
  two.clusters.push({ name: 'nowhere', cluster: { server: 'https://127.0.0.1:1' } })
  two['current-context'] = 'elsewhere'
  const values = join(bench.folder, 'replicator.yaml')
  await writeFile(values, stringify({ colour: 'red' }))
  const args = ['--only', 'kubernetes-replicator', '--no-wait', '--values', `kubernetes-replicator=${values}`]
  const lost = await install(args, { kubeconfig: stringify(two) })
  assert.equal(lost.code, 2)
  assert.match(lost.err, /the cluster does not answer\n.*\n.*--context NAME/)
  const ran = await install([...args, '--context', good], { kubeconfig: stringify(two) })
  succeeded(ran)
  assert.match(ran.out, new RegExp(`context ${good}\n`))
  const { stdout } = await helm(['get', 'values', 'kubernetes-replicator', '-n', 'kubernetes-replicator', '-o', 'json'], { kubeconfig })
  assert.deepEqual(JSON.parse(stdout), { colour: 'red' })
  const skipped = await install([...components.slice(1).flatMap(({ name }) => ['--skip', name]), '--dry-run'])
  assert.match(skipped.out, /^\[1\/1\] cert-manager/m)
})

test('a component that does not get ready is named, with where to look, and the next run goes on from there', async () => {
  kubelet.setFaults('kubernetes-replicator/*', { neverReady: true })
  const cut = await install(['--timeout', '5'])
  assert.equal(cut.code, 1, cut.out)
  assert.match(cut.out, /FAILED after \d+ s: deployment\/kubernetes-replicator does not get ready/)
  assert.match(cut.out, /What to do: see why its pods do not start: kubectl -n kubernetes-replicator describe pods/)
  kubelet.clearFaults()
})

test('a region is installed, each component ready before the next', async () => {
  const ran = await install()
  succeeded(ran)
  assert.match(ran.out, /\[1\/11\] cert-manager.*\n {7}is there already \(\d+ s\)/)
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

test('the log belongs to its owner alone and holds no token', async () => {
  const { log } = await install(['--only', 'cert-manager'])
  assert.equal((await stat(join(bench.folder, 'install.log'))).mode & 0o777, 0o600)
  assert.match(log, /\+ kube/)
  for (const part of token.split('.').slice(1, 3)) assert.ok(!log.includes(part))
})

test('installed again, everything is found and nothing is made anew', async () => {
  const before = (await deployment('cert-manager', 'cert-manager')).body.metadata.resourceVersion
  const ran = await install()
  succeeded(ran)
  assert.equal(ran.out.match(/is there already/g)?.length, components.length - 1)
  assert.equal((await deployment('cert-manager', 'cert-manager')).body.metadata.resourceVersion, before)
})

test('a definition that somebody deleted is brought back, also one that helm itself would not bring', async () => {
  for (const name of ['sealedsecrets.bitnami.com', 'certificates.cert-manager.io']) {
    await http.delete(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)
    for (let tries = 0; (await crd(name)).status !== 404; tries++) assert.ok(tries < 500, `${name} goes`)
  }
  succeeded(await install())
  for (const name of ['sealedsecrets.bitnami.com', 'certificates.cert-manager.io']) assert.equal((await crd(name)).status, 200, name)
})

test('databases are not taken from under their owners', async () => {
  const metadata = { name: 'project-harbour', labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata })
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
    /What would go:\n {7}release skerry in skerry\n[\s\S]*Refused: databases stand\.\n {7}project-harbour\/tide\n.*--keep-databases/,
  )
  const part = await uninstall(['--only', 'crate-operator-crds'])
  assert.equal(part.code, 3, 'with their definition they would go all the same')
  assert.equal((await uninstall(['--delete-databases', '--only', 'skerry'])).code, 2)
  assert.deepEqual(await releases(), allDeployed)
})

test('told to keep databases, it leaves them with their operator and takes the rest', async () => {
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

  const ran = await uninstall(['--delete-databases', '--release-finalizers', '--timeout', '10'])
  succeeded(ran)
  assert.deepEqual(await releases(), [])
  assert.equal((await http.get('/api/v1/namespaces/project-harbour')).status, 404)
  assert.equal((await http.get('/apis/skerry.dev/v1/projects/harbour')).status, 404, 'the agent that held it has gone before')
  for (const name of ['tide', 'ebb']) {
    const { spec } = (await http.get(`/api/v1/persistentvolumes/${name}`)).body
    assert.equal(spec.persistentVolumeReclaimPolicy, 'Retain', name)
    assert.match(ran.out, new RegExp(` {7}volume ${name} \\(project-\\w+/data0-${name}, \\w+\\)`))
    await http.delete(`/api/v1/persistentvolumes/${name}`)
  }
})

/**
 * Kills the script with all that it started at a step: as soon as it begins, or once `reached` holds, so that helm is in the middle of it.
 * @param step what stands behind the number
 */
function cutAt(step: string, reached?: () => Promise<boolean>): Given {
  return {
    onLine(line, child) {
      if (!new RegExp(`^\\[\\d+/\\d+\\] ${step}:`).test(line)) return
      const kill = () => child.exitCode === null && process.kill(-(child.pid as number), 'SIGKILL')
      if (!reached) return kill()
      const looking = setInterval(async () => {
        if (!(await reached())) return
        clearInterval(looking)
        kill()
      }, 20)
      child.once('exit', () => clearInterval(looking))
    },
  }
}

test('cut off at each step, an installation goes on the next time, and ends complete', async (t) => {
  for (const [index, { name }] of components.entries()) {
    const begun = async () => (await releases()).some((release) => release.startsWith(`${name} `))
    const { code } = await install(['--no-wait'], cutAt(name, index % 2 === 0 ? begun : undefined))
    t.diagnostic(`${name}: ${code}; ${(await releases()).filter((release) => !release.endsWith(' deployed')).join(', ')}`)
  }
  succeeded(await install())
  assert.deepEqual(await releases(), allDeployed)
})

test('a release that was left in the middle of its change is freed and finished', async () => {
  const [secret] = (await http.get('/api/v1/namespaces/flux-system/secrets?labelSelector=owner%3Dhelm,name%3Dflux')).body.items
  const name = 'sh.helm.release.v1.flux.v9'
  const labels = { ...secret.metadata.labels, version: '9', status: 'pending-upgrade' }
  await admin.request({ method: 'POST', path: '/api/v1/namespaces/flux-system/secrets', body: { ...secret, metadata: { name, labels } } })
  const ran = await install()
  succeeded(ran)
  assert.match(ran.out, /flux2 .*\n {7}an earlier run was cut off here \(pending-upgrade\)/)
  assert.deepEqual(await releases(), allDeployed)
})

test('what Flux deployed keeps Flux; cut off at each step, taking away goes on; volumes that are to stay keep their namespace', async (t) => {
  const claim = { metadata: { name: 'metrics' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }
  await http.post('/api/v1/namespaces/monitoring/persistentvolumeclaims', claim)
  const helmReleases = '/apis/helm.toolkit.fluxcd.io/v1/namespaces/default/helmreleases'
  const held = {
    apiVersion: 'helm.toolkit.fluxcd.io/v1',
    kind: 'Helmrelease',
    metadata: { name: 'crane', finalizers: ['finalizers.fluxcd.io'] },
  }
  await admin.request({ method: 'POST', path: helmReleases, body: held })

  const refused = await uninstall()
  assert.equal(refused.code, 3)
  assert.match(
    refused.out,
    /Refused: without Flux, these would hang.*\n {7}helmreleases\.helm\.toolkit\.fluxcd\.io default\/crane\n.*--delete-deployments/,
  )

  const args = ['--delete-deployments', '--release-finalizers', '--timeout', '2']
  const steps = ['deployments', ...components.map(({ name }) => name).reverse(), 'namespaces']
  // Skerry goes before what it deployed.
  steps.unshift(...steps.splice(steps.indexOf('skerry'), 1))
  for (const [index, name] of steps.entries()) {
    const going = async () => !(await releases()).includes(`${name} deployed`)
    const { code } = await uninstall(args, cutAt(name, index % 2 === 0 && name !== 'namespaces' ? going : undefined))
    t.diagnostic(`${name}: ${code}; ${(await releases()).filter((release) => !release.endsWith(' deployed')).join(', ')}`)
  }
  const ran = await uninstall(args)
  succeeded(ran)
  assert.deepEqual(await releases(), [])
  assert.match(ran.out, /monitoring stays: volumes are in it \(--delete-volumes\)/)
  assert.match(ran.out, /What is left:[\s\S]* {7}namespace monitoring\n/)
  succeeded(await uninstall(['--delete-volumes']))
  for (const { namespace } of components) assert.equal((await http.get(`/api/v1/namespaces/${namespace}`)).status, 404, namespace)
  succeeded(await install(['--no-wait']))
  assert.deepEqual(await releases(), allDeployed)
})

/** A program of somebody else's, by the labels of a component, with its definition. */
async function installForeign({ name, present, definition }: Component): Promise<void> {
  const labels = Object.fromEntries((present.split(':')[1] ?? '').split(',').map((pair) => pair.split('=')))
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  const body = { metadata: { name: `own-${name}`, labels }, spec: { selector: { matchLabels: labels }, template } }
  await http.post('/apis/apps/v1/namespaces/default/deployments', body)
  await http.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definitionNamed(definition))
}

test('what somebody else has installed is left alone, by both, with all that works on', async () => {
  const foreign = components.filter(({ name }) => ['cert-manager', 'crate-operator', 'flux'].includes(name))
  const names = ['crate-operator-crds', ...foreign.map(({ name }) => name)]
  succeeded(await uninstall(names.flatMap((name) => ['--only', name])))
  for (const { definition } of foreign) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition}`
    for (let tries = 0; (await http.delete(path)).status !== 404; tries++) assert.ok(tries < 500, `${definition} goes`)
  }
  for (const each of foreign) await installForeign(each)
  const theirs: [group: string, kind: string, plural: string][] = [
    ['cloud.crate.io', 'Cratedb', 'cratedbs'],
    ['helm.toolkit.fluxcd.io', 'Helmrelease', 'helmreleases'],
  ]
  for (const [group, kind, plural] of theirs) {
    const path = `/apis/${group}/v1/namespaces/default/${plural}`
    const object = { apiVersion: `${group}/v1`, kind, metadata: { name: 'theirs' } }
    for (let tries = 0; (await http.post(path, object)).status !== 201; tries++) assert.ok(tries < 500, `${plural} are served`)
  }
  const ran = await install()
  succeeded(ran)
  for (const { name } of foreign)
    assert.match(ran.out, new RegExp(`\\] ${name}: .*\n {7}is there already as default/own-${name}, not of this installer: left alone`))

  succeeded(await uninstall(['--delete-databases', '--delete-deployments', '--delete-definitions', '--timeout', '10']))
  assert.deepEqual(await releases(), [])
  for (const [group, , plural] of theirs)
    assert.equal((await http.get(`/apis/${group}/v1/namespaces/default/${plural}/theirs`)).status, 200, plural)
  for (const { name, definition } of foreign) {
    assert.equal((await deployment('default', `own-${name}`)).status, 200, name)
    assert.equal((await crd(definition)).status, 200, definition)
    await http.delete(`/apis/apps/v1/namespaces/default/deployments/own-${name}`)
  }
  assert.equal((await crd('sealedsecrets.bitnami.com')).status, 404)
})

test('taken away, nothing is left but what is said, and with definitions nothing at all', async () => {
  assert.deepEqual(await releases(), [])
  for (const { namespace } of components) assert.equal((await http.get(`/api/v1/namespaces/${namespace}`)).status, 404, namespace)
  const ran = await uninstall(['--delete-databases', '--delete-definitions'])
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
