import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer as createPlainServer, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { createServingCertificate, installedTool, kubectl, until } from '../cluster/index.ts'
import { cutAt, openScene, succeeded } from './bootstrap-scene.ts'
import { helm, type Manifest } from './helm.ts'

// One story: nothing is installed for this reason and that, then a region is, cut off at each step, and again, in part, and with faults.

const scene = await openScene()
const {
  admin,
  http,
  bench,
  kubelet,
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

test('a dry run says what would be done and changes nothing', async () => {
  const ran = await install(['--dry-run'])
  succeeded(ran)
  assert.match(ran.out, /\[1\/10\] cert-manager: cert-manager v[\d.]+\n {7}would create the namespace cert-manager\n {7}would install/)
  assert.match(ran.out, /Nothing was changed\.\n$/)
  assert.doesNotMatch(ran.out, / installed \(/)
  assert.deepEqual(await releases(), [])
})

test('an account that may do nothing is told so at the first step, and nothing is half done', async () => {
  const { code, out } = await install(['--skip', 'cert-manager'], { kubeconfig: await visitor() })
  assert.equal(code, 1)
  assert.match(
    out,
    /\[1\/9\] crate-operator-crds[\s\S]*FAILED after \d+ s: the releases in crate-operator cannot be read\n.*forbidden[\s\S]*What to do:/,
  )
  assert.deepEqual(await releases(), [])
})

test('preflight stands in front: nothing is installed where it fails, and what to do is said', async () => {
  const args = [token, '--yes', '--offline', charts, '--components', list, '--create-storage-classes', 'crate-standard']
  const { code, out } = await bench.run('install.sh', args, { kubeconfig: await visitor() })
  assert.equal(code, 3, out)
  assert.match(out, /fail {2}the account may not get, list, create, patch, update and delete namespaces, .*\n {13}why .*\n {13}do /)
  assert.match(out, /^\[1\/12\] preflight[\s\S]*Nothing was installed\.\n$/m)
  assert.ok(!out.includes('storage-classes:'), 'not even a class was made')
})

test('without a Node to run preflight, the most important things are looked at all the same', async () => {
  const env = { PATH: `${join(bench.folder, 'few')}:/usr/bin:/bin` }
  await mkdir(join(bench.folder, 'few'))
  for (const tool of ['kubectl', 'helm'] as const) await symlink(await installedTool(tool), join(bench.folder, 'few', tool))
  await writeFile(join(bench.folder, 'few', 'node'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  const args = [token, '--yes', '--offline', charts, '--components', list, '--only', 'grafana', '--no-wait']
  const refused = await bench.run('install.sh', args, { kubeconfig: await visitor(), env })
  assert.equal(refused.code, 3)
  assert.match(refused.out, /fail {2}the account may not create namespaces/)
  const taken = await bench.run('install.sh', [...args, '--dry-run'], { kubeconfig, env })
  succeeded(taken)
  assert.match(taken.out, /ok {4}4 nodes are ready\n.*only the most important checks were run/)
})

test('preflight lets pass what is fit', async () => {
  const args = [token, '--yes', '--offline', charts, '--components', list, '--only', 'grafana', '--dry-run']
  const ran = await bench.run('install.sh', args, { kubeconfig })
  assert.match(ran.out, /ok {4}the account has all \d+ rights that it needs/)
  succeeded(ran)
  assert.match(ran.out, /\n {7}nothing stands in the way \(\d+ s\)\n\[2\/2\] grafana/)
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
  const args = ['--only', 'sealed-secrets', '--dry-run', '--create-storage-classes']
  const terminal = await bench.run('install.sh', [token, '--offline', charts, '--components', list, '--log', 'typed.log'], {
    kubeconfig,
    typed: 'y\nnone\n',
  })
  assert.equal(terminal.code, 3, terminal.out)
  assert.match(
    terminal.out,
    /Install into this cluster\?[\s\S]*do not exist here: crate-premium and crate-local\. These exist:[\s\S]*\n {2}disks \(disks\.example\.org\)\s/,
  )
  assert.match(terminal.out, /There is no storage class none\. Nothing was done\./)
  const declined = await bench.run('install.sh', [token, '--offline', charts, '--components', list], { kubeconfig, typed: 'n\n' })
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

test('cut off at each step, an installation goes on the next time, and ends complete', async (t) => {
  for (const [index, { name }] of components.entries()) {
    const begun = async () => (await releases()).some((release) => release.startsWith(`${name} `))
    const { code } = await install(['--no-wait'], await cutAt(bench, name, index % 2 === 0 ? begun : undefined))
    assert.equal(code, 'SIGKILL', name)
    t.diagnostic(`${name}: ${code}; ${(await releases()).filter((release) => !release.endsWith(' deployed')).join(', ')}`)
  }
  succeeded(await install())
  assert.deepEqual(await releases(), allDeployed)
  const { labels } = (await http.get('/api/v1/namespaces/skerry')).body.metadata
  assert.equal(labels['pod-security.kubernetes.io/enforce'], 'restricted')
})

test('a release that was left in the middle of its change is freed and finished', async () => {
  const [secret] = (await http.get('/api/v1/namespaces/flux-system/secrets?labelSelector=owner%3Dhelm,name%3Dflux')).body.items
  const name = 'sh.helm.release.v1.flux.v9'
  const labels = { ...secret.metadata.labels, version: '9', status: 'pending-upgrade' }
  await admin.request({ method: 'POST', path: '/api/v1/namespaces/flux-system/secrets', body: { ...secret, metadata: { name, labels } } })
  const ran = await install()
  succeeded(ran)
  assert.match(ran.out, /flux2 .*\n {7}an earlier run was interrupted here \(pending-upgrade\)/)
  assert.deepEqual(await releases(), allDeployed)
})

test('the log belongs to its owner alone and holds no token', async () => {
  const { log } = await install(['--only', 'cert-manager'])
  assert.equal((await stat(join(bench.folder, 'install.log'))).mode & 0o777, 0o600)
  assert.match(log, /\+ kube/)
  for (const part of token.split('.').slice(1, 3)) assert.ok(!log.includes(part))
})

/** All of it but what its controller writes as pods come and go. */
function asWritten({ metadata: { resourceVersion: _, managedFields, ...metadata }, spec }: Manifest) {
  return { metadata, spec, writers: managedFields.filter(({ manager }: Manifest) => manager !== 'kube-controller-manager') }
}

test('installed again, everything is found and nothing is made anew', async () => {
  const before = asWritten((await deployment('cert-manager', 'cert-manager')).body)
  const ran = await install()
  succeeded(ran)
  assert.equal(ran.out.match(/already up to date/g)?.length, components.length - 1)
  assert.deepEqual(asWritten((await deployment('cert-manager', 'cert-manager')).body), before)
})

test('a definition that somebody deleted is brought back, also one that helm itself would not bring', async () => {
  for (const name of ['sealedsecrets.bitnami.com', 'certificates.cert-manager.io']) {
    await http.delete(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)
    await until(`${name} is gone`, async () => (await crd(name)).status === 404)
  }
  succeeded(await install())
  for (const name of ['sealedsecrets.bitnami.com', 'certificates.cert-manager.io']) assert.equal((await crd(name)).status, 200, name)
})

test('a definition that hangs in its deletion is told by preflight and by its step, and brought back once it is let go', async () => {
  const name = 'sealedsecrets.bitnami.com'
  const objects = '/apis/bitnami.com/v1alpha1/namespaces/default/sealedsecrets'
  const held = { apiVersion: 'bitnami.com/v1alpha1', kind: 'SealedSecret', metadata: { name: 'held', finalizers: ['example.org/held'] } }
  await until('it is served', async () => (await http.post(objects, held)).status === 201)
  await http.delete(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`)
  const told = await bench.run('install.sh', [token, '--yes', '--offline', charts, '--components', list], { kubeconfig })
  assert.equal(told.code, 3)
  assert.match(told.out, /fail {2}the CRD sealedsecrets\.bitnami\.com is stuck in deletion: 1 object is left/)
  const args = [token, '--yes', '--offline', charts, '--components', list, '--only', 'grafana', '--only', 'sealed-secrets']
  const dry = await bench.run('install.sh', [...args, '--dry-run'], { kubeconfig })
  assert.equal(dry.code, 3, dry.out)
  assert.match(dry.out, /the run would end here[\s\S]*\[2\/3\] grafana[\s\S]*the preflight above stops the installation\.\n$/)
  const ignored = await bench.run('install.sh', [...args, '--ignore-preflight', '--no-wait', '--timeout', '2'], { kubeconfig })
  assert.equal(ignored.code, 4, ignored.out)
  assert.match(ignored.out, /failures are ignored, as requested/)
  const [, command = ''] =
    /as the last resort, which loses this object and all volumes of it that are not kept: kubectl (.*)/.exec(told.out) ?? []
  assert.notEqual(command, '', told.out)
  const stuck = await install(['--only', 'sealed-secrets', '--timeout', '2'])
  assert.equal(stuck.code, 4)
  assert.match(stuck.out, /FAILED after \d+ s: the CRD sealedsecrets\.bitnami\.com is stuck in deletion\n[\s\S]*default +held/)
  assert.match(stuck.out, /What to do: .* as a last resort, which loses .*: kubectl -n NAMESPACE patch sealedsecrets\.bitnami\.com/)

  const letGo = await kubectl(kubeconfig, ...command.replaceAll("'", '').split(' '))
  assert.equal(letGo.code, 0, letGo.stderr)
  succeeded(await install(['--only', 'sealed-secrets']))
  assert.equal((await crd(name)).body.metadata.deletionTimestamp, undefined)
})

test('a namespace that hangs in its deletion is waited for, and the release in it does not count', async () => {
  const path = '/api/v1/namespaces/sealed-secrets'
  await http.post(`${path}/configmaps`, { metadata: { name: 'held', finalizers: ['example.org/held'] } })
  await http.delete(path)
  const stuck = await install(['--only', 'sealed-secrets', '--timeout', '8'])
  assert.equal(stuck.code, 4, 'a region works without it')
  assert.match(
    stuck.out,
    /waiting until the old namespace sealed-secrets is gone\n.*FAILED .* is stuck in deletion\n[\s\S]*configmaps held waits for example\.org\/held/,
  )
  const contentType = 'application/merge-patch+json'
  await admin.request({ method: 'PATCH', path: `${path}/configmaps/held`, contentType, body: { metadata: { finalizers: null } } })
  const ran = await install(['--only', 'sealed-secrets'])
  succeeded(ran)
  assert.match(ran.out, /installed \(\d+ s\)/)
  assert.equal((await deployment('sealed-secrets', 'sealed-secrets')).body.status.readyReplicas, 1)
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
    const args = [token, '--yes', '--skip', 'preflight', '--only', 'sealed-secrets', '--no-wait', '--components', list]
    succeeded(await uninstall(['--only', 'sealed-secrets']))
    const env = { SKERRY_HTTP_PROXY: server.proxy.replace('//', '//harbour:barnacle@'), SKERRY_HTTPS_PROXY: server.proxy }
    const ran = await bench.run('install.sh', args, { kubeconfig, env })
    succeeded(ran)
    assert.match(ran.out, /\[1\/1\] sealed-secrets.*\n {7}installed.*\nDone\.\n$/)
    assert.deepEqual(asked, ['http://charts.example/index.yaml', asked[1]])
    assert.match(asked[1] ?? '', /^http:\/\/.*\/sealed-secrets-.*\.tgz$/)
    assert.ok(!ran.log.includes('barnacle'))
    assert.ok((await releases()).includes('sealed-secrets deployed'))
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
  const args = ['--only', 'sealed-secrets', '--no-wait', '--values', `sealed-secrets=${values}`]
  const lost = await install(args, { kubeconfig: stringify(two) })
  assert.equal(lost.code, 2)
  assert.match(lost.err, /the cluster does not answer\n.*\n.*--context NAME/)
  const ran = await install([...args, '--context', good], { kubeconfig: stringify(two) })
  succeeded(ran)
  assert.match(ran.out, new RegExp(`context ${good}\n`))
  const { stdout } = await helm(['get', 'values', 'sealed-secrets', '-n', 'sealed-secrets', '-o', 'json'], { kubeconfig })
  assert.equal(JSON.parse(stdout).colour, 'red')
  const skipped = await install([...components.slice(1).flatMap(({ name }) => ['--skip', name]), '--dry-run'])
  assert.match(skipped.out, /^\[1\/1\] cert-manager/m)
})

test('a component that does not become ready is named, with where to look; without one that databases need, it ends there', async () => {
  kubelet.setFaults('crate-operator/*', { neverReady: true })
  succeeded(await uninstall(['--only', 'crate-operator']))
  const cut = await install(['--timeout', '5', '--only', 'crate-operator', '--only', 'skerry'])
  assert.equal(cut.code, 1, cut.out)
  assert.doesNotMatch(cut.out, /^\[2/m, 'the next one waits for it')
  assert.match(cut.out, /FAILED after \d+ s: deployment\/crate-operator does not become ready/)
  assert.match(cut.out, /What to do: see why its pods do not start: kubectl -n crate-operator describe pods/)
  kubelet.clearFaults()
  const ran = await install(['--only', 'crate-operator', '--only', 'skerry'])
  succeeded(ran)
  assert.match(ran.out, /\[1\/2\] crate-operator.*\n {7}already up to date[\s\S]*\[2\/2\] skerry/)
})
