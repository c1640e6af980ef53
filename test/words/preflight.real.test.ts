import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import type { Finding } from '../../agent/preflight/finding.ts'
import { findings as findingsOf } from '../agent/preflight/samples.ts'
import { sampleConfiguration } from '../agent/sample-configuration.ts'
import { freePort, until } from '../cluster/index.ts'
import { definitionNamed } from '../deploy/bootstrap.ts'
import { connectTo, install } from '../shared/kubernetes/connected.ts'
import { commandsInProse } from './prose.ts'
import { openScene } from './scene.ts'

// Each finding of preflight is brought about; the commands that it shows are run as it shows them, and then it is gone.

const scene = await openScene('preflight')
const { runner, front, world, read, list, make, serve, change } = scene
before(async () => {
  const { folder } = runner
  for (const name of ['agent', 'monitor', 'shared', 'node_modules', 'package.json', 'package-lock.json'])
    await symlink(resolve(name), join(folder, name))
  const { PATH = '' } = process.env
  await runner.run('npm run build', { env: { PATH } })
  await symlink(join(folder, 'dist/agent.mjs'), join(folder, 'agent.mjs'))
})
after(() => scene.close())

const tokensCommand =
  'echo "[{ name: cloud, sha256: $(sha256sum < token | cut -c -64), scopes: [region:read, projects:write, databases:write] }]" > tokens.yaml'
const classes = '/apis/storage.k8s.io/v1/storageclasses'
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const visitor = async () => {
  const file = join(runner.folder, 'visitor')
  await writeFile(file, front.kubeconfigOf(await scene.cluster.serviceAccountToken('default', 'visitor')), { mode: 0o600 })
  return { KUBECONFIG: file }
}

/** What preflight finds, by the account of that kubeconfig. */
async function preflight(env: Record<string, string> = {}): Promise<Finding[]> {
  const { out, err } = await runner.runAny('node agent.mjs preflight --offline --output json', { env })
  return out === '' ? assert.fail(err) : JSON.parse(out).findings
}
const found = (id: string) => until(id, async () => (await preflight()).find((finding) => finding.id === id))
const gone = (id: string) => until(`${id} is no more`, async () => (await preflight()).every((finding) => finding.id !== id))

/** Runs all that the finding says, in its order. @returns what the last one printed */
async function cure({ action }: Finding): Promise<string> {
  const commands = commandsInProse(action).filter((command) => !command.startsWith('./install.sh'))
  assert.ok(commands.length > 0, action)
  let out = ''
  for (const command of commands) out = (await runner.runShown(command)).out
  return out
}

test('preflight looks, and tells of nothing that stands in the way but the way out', async () => {
  // With a proxy that is not there, the same is found with internet and without.
  const proxy = '127.0.0.1:1'
  const { out } = await runner.run('node agent.mjs preflight', { code: 1, env: { HTTPS_PROXY: `http://${proxy}` } })
  const failures = out.split('\n').filter((line) => line.startsWith('fail'))
  assert.match(failures.pop() ?? '', /^fail {2}none of the \d+ hosts outside is reached through the proxy 127\.0\.0\.1:1: /)
  const { gitVersion } = (await read('/version')) as unknown as { gitVersion: string }
  // Older than the operator's chart wants.
  if (gitVersion.startsWith('v1.20.'))
    assert.match(failures.pop() ?? '', /^fail {2}Kubernetes v1\.20\.\d+ is too old for what databases need: crate-op/)
  assert.deepEqual(failures, [])
})

test('a storage class that is missing is made like another one', async () => {
  await world.cluster.request({ method: 'DELETE', path: `${classes}/crate-premium` })
  const finding = await found('storage-class-missing/crate-premium')
  await cure(finding)
  await gone(finding.id)
  assert.ok(await read(`${classes}/crate-premium`))
})

test('a class is let grow, and one of several is made the default', async () => {
  const fixed = await found('storage-class-fixed/crate-local')
  await cure(fixed)
  await gone(fixed.id)
  const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' }
  await change(`${classes}/crate-standard`, { metadata: { annotations } })
  const several = await found('storage-class-default')
  await cure(several)
  assert.equal((await found(several.id)).level, 'ok')
})

test('a class of local volumes on GKE is deleted, and its volumes stay', async () => {
  const local = { metadata: { name: 'gke' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' }
  const [first] = findingsOf({
    kubernetes: 'v1.35.2-gke.1',
    storageClasses: [{ ...local, metadata: { name: 'crate-local' } } as never],
  }).filter(({ id }) => id === 'storage-class-gke-local/crate-local')
  assert.ok(first)
  await make(classes, local)
  const [command = ''] = commandsInProse(first.action)
  await runner.runShown(command, { values: { 'crate-local': 'gke' } })
  assert.equal(await read(`${classes}/gke`), undefined)
})

test('an operator that makes heap-dump volumes of a class that is not there takes one that is', async () => {
  const deployment = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator'
  const env = [{ name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS', value: 'nowhere' }]
  const [container] = (await read(deployment))?.spec.template.spec.containers ?? []
  await change(deployment, { spec: { template: { spec: { containers: [{ ...container, env }] } } } })
  const finding = await found('heap-dump-class')
  assert.equal(finding.level, 'fail')
  await cure(finding)
  assert.equal((await found('heap-dump-class')).level, 'ok')
  const cured = await read(deployment)
  assert.ok(await read(`${classes}/${cured?.spec.template.spec.containers[0].env[0].value}`))
})

test('a node that is gone is looked at, and its object deleted as the last resort: volumes stay', async () => {
  await scene.standIns.kubelet.setNode('node-4', false)
  const finding = await found('nodes-not-ready')
  const before = await runner.bytes()
  const commands = commandsInProse(finding.action)
  assert.match((await runner.runShown(commands[0] ?? '')).out, /Kubelet stopped posting/)
  await runner.runShown(commands[1] ?? '')
  await gone(finding.id)
  assert.deepEqual(await runner.bytes(), before)
})

test('what requests how much is seen at the nodes', async () => {
  const [finding] = findingsOf({ nodes: [], pods: [] }).filter(({ id }) => id === 'nodes')
  assert.match(await cure(finding as Finding), /Allocated resources/)
})

test('whether a right is missing can be tried, in the namespace too', async () => {
  const env = await visitor()
  const lacking = (await preflight(env)).find(({ id }) => id.startsWith('permission/'))
  const right = { verb: 'get', group: 'skerry.dev', resource: 'operations', namespace: 'skerry' }
  const [ofAgent] = findingsOf({ audience: 'agent', rights: [{ right, allowed: false }] }).filter(({ id }) => id.startsWith('permission/'))
  for (const finding of [lacking, ofAgent]) {
    const [command = ''] = commandsInProse(finding?.action ?? '')
    assert.equal((await runner.runShown(command, { env, code: 1 })).out, 'no\n', command)
    assert.equal((await runner.runShown(command)).out, 'yes\n', command)
  }
})

test('a program whose definition came back is restarted', async () => {
  await make('/api/v1/namespaces', { metadata: { name: 'cert-manager' } })
  const labels = { app: 'cert-manager' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  const spec = { selector: { matchLabels: labels }, template }
  await make('/apis/apps/v1/namespaces/cert-manager/deployments', { metadata: { name: 'cert-manager' }, spec })
  const finding = await found('definition-missing/certificates.cert-manager.io')
  await make(definitions, definitionNamed('certificates.cert-manager.io'))
  await cure(finding)
  const restarted = await read('/apis/apps/v1/namespaces/cert-manager/deployments/cert-manager')
  assert.ok(restarted?.spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt'])
  await gone(finding.id)
})

test('a definition that cannot go is let go as the last resort, after a look at the volumes', async () => {
  const certificates = '/apis/cert-manager.io/v1/namespaces/default/certificates'
  const held = { apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: { name: 'held', finalizers: ['example.org/hold'] } }
  await until('certificates are served', () => make(certificates, held).catch(() => undefined))
  await world.cluster.request({ method: 'DELETE', path: `${definitions}/certificates.cert-manager.io` })
  const finding = await found('definition-terminating/certificates.cert-manager.io')
  const [bare] = findingsOf({ definitions: [(await read(`${definitions}/certificates.cert-manager.io`)) as never], instances: [] }).filter(
    ({ id }) => id === finding.id,
  )
  assert.match(await cure(bare as Finding), /held/)
  assert.match(finding.action, /last resort, which loses/)
  await cure(finding)
  await until('the definition is gone', async () => (await read(`${definitions}/certificates.cert-manager.io`)) === undefined)
})

test('a database that nobody lets go is let go as the last resort, and its volumes stay where they are kept', async () => {
  await make('/api/v1/namespaces', { metadata: { name: 'project-quay' } })
  const resources = { limits: { cpu: 1, memory: '1Gi' }, heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'crate-premium' } }
  const spec = {
    cluster: { name: 'ebb', imageRegistry: 'crate', version: '5.10.1' },
    nodes: { data: [{ name: 'hot', replicas: 1, resources }] },
  }
  const databases = '/apis/cloud.crate.io/v1/namespaces/project-quay/cratedbs'
  await make(databases, { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'ebb' }, spec })
  const volumes = await until('its volumes are bound', async () => {
    const all = await list('/api/v1/persistentvolumes')
    return all.length > 0 && all.every(({ status }) => status?.phase === 'Bound') && all
  })
  await until('the operator holds it', async () => ((await read(`${databases}/ebb`))?.metadata.finalizers ?? []).length > 0)
  for (const { metadata } of volumes)
    await change(`/api/v1/persistentvolumes/${metadata.name}`, { spec: { persistentVolumeReclaimPolicy: 'Retain' } })
  await scene.standIns.operator.pause()
  await world.cluster.request({ method: 'DELETE', path: `${databases}/ebb` })
  const finding = await found('objects-hanging')
  const [look = '', last = ''] = commandsInProse(finding.action)
  assert.match((await runner.runShown(look)).out, /Retain/)
  await runner.runShown(last)
  await gone(finding.id)
  await until('the database is gone', async () => (await list(databases)).length === 0)
  await scene.settled('project-quay', 0)
  const left = (await list('/api/v1/persistentvolumes')).map(({ metadata }) => metadata.uid)
  for (const { metadata } of volumes) assert.ok(left.includes(metadata.uid), metadata.name)
})

test('a namespace that does not go says what is left in it', async () => {
  await make('/api/v1/namespaces', { metadata: { name: 'project-lost' } })
  await make('/api/v1/namespaces/project-lost/configmaps', { metadata: { name: 'held', finalizers: ['example.org/hold'] } })
  await world.cluster.request({ method: 'DELETE', path: '/api/v1/namespaces/project-lost' })
  const finding = await found('namespace-terminating/project-lost')
  await until('it says so', async () => /example\.org\/hold/.test(await cure(finding)))
  await change('/api/v1/namespaces/project-lost/configmaps/held', { metadata: { finalizers: null } })
  await gone(finding.id)
})

test('a webhook that nobody answers is deleted', async () => {
  const group = 'admissionregistration.k8s.io'
  for (const kind of ['ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration']) {
    const path = await serve(kind, `${kind.toLowerCase()}s`, group)
    const clientConfig = { service: { namespace: 'nowhere', name: 'nobody' } }
    const rules = [{ apiGroups: ['example.org'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['boats'] }]
    const webhook = { name: 'a.example.org', clientConfig, rules, sideEffects: 'None', admissionReviewVersions: ['v1'] }
    const body = (name: string) => ({ apiVersion: `${group}/v1`, kind, metadata: { name }, webhooks: [webhook] })
    await make(path, body('dead'))
    const finding = await found('webhook-without-service/dead')
    await cure(finding)
    await gone(finding.id)
    if (!kind.startsWith('Validating')) continue
    await make(path, body('other'))
    await runner.run('kubectl delete validatingwebhookconfiguration NAME', { values: { NAME: 'other' } })
    assert.equal(await read(`${path}/other`), undefined)
  }
})

test('an API that nobody serves is deleted', async () => {
  const group = 'apiregistration.k8s.io'
  const path = await serve('APIService', 'apiservices', group)
  const spec = { group: 'lost.example', version: 'v1', groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true }
  const conditions = [{ type: 'Available', status: 'False', reason: 'ServiceNotFound', message: 'service/nobody is not present' }]
  await make(path, {
    ...{ apiVersion: `${group}/v1`, kind: 'APIService', metadata: { name: 'v1.lost.example' } },
    spec: { ...spec, service: { namespace: 'default', name: 'nobody' } },
    ...(world.plane === 'embedded' && { status: { conditions } }),
  })
  const finding = await found('api-service-unavailable/v1.lost.example')
  await cure(finding)
  await gone(finding.id)
})

test('the agent runs with what docs/running.md applies', async () => {
  await runner.run('kubectl create namespace skerry')
  await runner.run('kubectl apply --server-side -f deploy/crds/ -f deploy/rbac/')
  const admin = connectTo(scene.cluster)
  await install(admin, ['deploy/crds/projects.yaml', 'deploy/crds/operations.yaml', 'deploy/rbac/agent.yaml'])
  admin.close()
  const { folder } = runner
  const [port, adminPort] = [await freePort(), await freePort()]
  await runner.run(
    'openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.crt',
  )
  await runner.run(["openssl rand -base64 32 | tr -d '\\n' > token", tokensCommand])
  await writeFile(join(folder, 'agent.yaml'), sampleConfiguration())
  const account = join(folder, 'account')
  await mkdir(account)
  await writeFile(join(account, 'ca.crt'), scene.cluster.ca)
  await writeFile(join(account, 'token'), await scene.cluster.serviceAccountToken('skerry', 'skerry-agent'), { mode: 0o600 })
  const { hostname, port: apiPort } = new URL(scene.cluster.url)
  const ports = { SKERRY_AGENT__API__PORT: `${port}`, SKERRY_AGENT__ADMIN__PORT: `${adminPort}` }
  const inPod = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: apiPort, SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR: account }
  const untilReady = `for try in $(seq 300); do curl -sf http://127.0.0.1:${adminPort}/readyz && break; sleep 0.1; done`
  const call = `curl -sf --cacert tls.crt -H "Authorization: Bearer $(cat token)" https://localhost:${port}/v1/region`
  // By the account in a pod, and by the kubeconfig of whoever starts it.
  for (const env of [{ ...ports, ...inPod }, ports]) {
    const { out } = await runner.run('node dist/agent.mjs --config agent.yaml', {
      values: { 'agent.yaml': `agent.yaml & pid=$!\n${untilReady}\n${call}\nkill $pid; wait $pid` },
      env,
    })
    assert.match(out, /"ready":true/)
    assert.match(out, /"id":"harbour-1"/)
    assert.match(out, /region is ready/)
  }
})

test('every command of this story was run', () => assert.deepEqual(runner.notRun(), []))
