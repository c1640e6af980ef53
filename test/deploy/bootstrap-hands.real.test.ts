import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { kubectl, until } from '../cluster/index.ts'
import { definitionNamed } from './bootstrap.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm } from './helm.ts'

// What hands do to what helm has made, or made before it: kubectl patch and replace, definitions applied by kubectl, another release.

const scene = await openScene()
const { bench, http, kubeconfig, install, crd, releases, deployment } = scene
after(() => scene.close())

async function file(name: string, ...objects: unknown[]): Promise<string> {
  await writeFile(join(bench.folder, name), objects.map((object) => stringify(object)).join('---\n'))
  return join(bench.folder, name)
}
async function byHand(...args: string[]): Promise<void> {
  const { code, stderr } = await kubectl(kubeconfig, ...args)
  assert.equal(code, 0, stderr)
}

test('definitions that kubectl has applied are taken over, with what they hold', async () => {
  await byHand('apply', '-f', 'test/cluster/crds/cratedbs.yaml', '--validate=false')
  const resources = { heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'crate-premium' } }
  const cluster = { name: 'tide', imageRegistry: 'crate', version: '5.10.1' }
  const spec = { cluster, nodes: { data: [{ name: 'hot', replicas: 1, resources }] } }
  const database = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tide' }, spec }
  const databases = '/apis/cloud.crate.io/v1/namespaces/default/cratedbs'
  await until('databases can be created', async () => (await http.post(databases, database)).status === 201)

  const ran = await install(['--only', 'crate-operator-crds'])
  succeeded(ran)
  assert.match(ran.out, /adopted, because no release owned it:\n {9}CustomResourceDefinition cratedbs\.cloud\.crate\.io\n {7}installed/)
  assert.equal((await http.get('/apis/cloud.crate.io/v1/namespaces/default/cratedbs/tide')).status, 200)

  const removed = await helm(['uninstall', 'crate-operator-crds', '-n', 'crate-operator'], { kubeconfig })
  assert.equal(removed.code, 0, removed.stderr)
  assert.match(removed.stdout, /kept due to the resource policy[\s\S]*cratedbs\.cloud\.crate\.io/, 'helm itself leaves them')
  assert.equal((await http.get('/apis/cloud.crate.io/v1/namespaces/default/cratedbs/tide')).status, 200)
  succeeded(await install(['--only', 'crate-operator-crds']))
})

test("Skerry's own definitions and rights, applied by hand as docs/running.md has it, are taken over", async () => {
  await byHand('apply', '-f', 'deploy/crds', '--validate=false')
  const ran = await install(['--only', 'skerry', '--no-wait'])
  succeeded(ran)
  assert.match(ran.out, /adopted, because no release owned it:\n[\s\S]*CustomResourceDefinition projects\.skerry\.dev/)
  assert.ok((await releases()).includes('skerry deployed'))
})

test('what a hand has patched or replaced gets its value again, and it is said whose it was', async () => {
  await byHand('-n', 'skerry', 'patch', 'deployment', 'skerry-agent', '--type=merge', '-p', '{"spec":{"replicas":1}}')
  const patched = await install(['--only', 'skerry', '--no-wait'])
  succeeded(patched)
  assert.match(patched.out, /reset, because others had changed it:\n {9}\.spec\.replicas by kubectl-patch\n/)
  assert.equal((await deployment('skerry', 'skerry-agent')).body.spec.replicas, 2)

  const { metadata, spec, ...rest } = (await deployment('skerry', 'skerry-monitor')).body
  const { managedFields: _, resourceVersion: __, uid: ___, ...kept } = metadata
  const replaced = await file('replaced.yaml', { ...rest, metadata: kept, spec: { ...spec, replicas: 3 }, status: undefined })
  await byHand('replace', '-f', replaced, '--validate=false')
  const ran = await install(['--only', 'skerry', '--no-wait'])
  succeeded(ran)
  assert.match(ran.out, /\.spec\.replicas by kubectl-replace\n/)
  assert.equal((await deployment('skerry', 'skerry-monitor')).body.spec.replicas, 2)
  assert.ok((await releases()).includes('skerry deployed'))
})

test('what belongs to another release is not taken, and the other one is named', async () => {
  const annotations = { 'meta.helm.sh/release-name': 'observability', 'meta.helm.sh/release-namespace': 'default' }
  const labels = { 'app.kubernetes.io/managed-by': 'Helm' }
  const theirs = {
    ...definitionNamed('certificates.cert-manager.io'),
    metadata: { name: 'certificates.cert-manager.io', annotations, labels },
  }
  await byHand('apply', '-f', await file('theirs.yaml', theirs), '--validate=false')
  const before = (await crd('certificates.cert-manager.io')).body.metadata.annotations
  const ran = await install(['--only', 'cert-manager', '--no-wait'])
  assert.equal(ran.code, 4, ran.out)
  assert.match(ran.out, /CustomResourceDefinition certificates\.cert-manager\.io belongs to the release observability in default/)
  assert.match(ran.out, /What to do: skip it with --skip cert-manager, or uninstall the release that is named above/)
  assert.deepEqual((await crd('certificates.cert-manager.io')).body.metadata.annotations, before)
})

test('an upgrade that was left half applied is finished by the next run', async () => {
  const values = await file('broken.yaml', { singleBinary: { persistence: { size: 'a lot' } } })
  const broken = await install(['--only', 'loki', '--no-wait', '--values', `loki=${values}`])
  assert.equal(broken.code, 4, broken.out)
  assert.match(broken.out, /FAILED after \d+ s: helm did not install it\n[\s\S]*quantit/)
  assert.ok((await releases()).includes('loki failed'))
  const ran = await install(['--only', 'loki', '--no-wait', '--reset-values'])
  succeeded(ran)
  assert.ok((await releases()).includes('loki deployed'))
})

test('the list of components that is given is held against what a list says, with all its faults', async () => {
  const list = await readFile('deploy/bootstrap/components', 'utf8')
  await writeFile(
    join(bench.folder, 'wrong'),
    list
      .replace('role        usual', 'role        nice')
      .replace('version     18.11.0\n', '')
      .replace('  kubernetes  1.33', '  kubernetes  newest'),
  )
  const { code, err } = await bench.run('install.sh', ['--list', '--components', join(bench.folder, 'wrong')])
  assert.equal(code, 2)
  assert.match(
    err,
    /line \d+: role is needed, usual or retired, not nice\nline \d+: loki has no version\nline \d+: kubernetes is a version/,
  )
})
