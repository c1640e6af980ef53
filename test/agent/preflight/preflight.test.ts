import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { exitCodes, preflightCommand } from '../../../agent/preflight/command.ts'
import type { Finding } from '../../../agent/preflight/finding.ts'
import { agentRights, installerRights } from '../../../agent/preflight/rights.ts'
import { startCluster, until } from '../../cluster/index.ts'
import { agentRightsFile } from '../../deploy/rendered.ts'
import { programs } from '../../programs.ts'
import { createClient } from '../../region/client.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion } from '../../region/index.ts'
import { connectTo, installObject } from '../../shared/kubernetes/connected.ts'
import { certificate, proxy, site } from './outside.ts'
import { node, storageClass } from './samples.ts'

const cluster = await startCluster({ crds: regionDefinitions() })
const region = await prepareRegion(cluster)
const admin = await connectTo(cluster)
const folder = await mkdtemp(join(tmpdir(), 'skerry-preflight-'))

let beating: NodeJS.Timeout | undefined
after(async () => {
  clearInterval(beating)
  admin.close()
  await region.close()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

before(async () => {
  const { status: _, ...quay } = node('quay-1', { spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] } })
  await admin.request({ method: 'POST', path: '/api/v1/nodes', body: quay })
  await heartbeat()
  // Given up and then heard again, it may get its taint a moment after it was seen without.
  beating = setInterval(() => void heartbeat().catch(() => {}), 10_000)
  await admin.request({ method: 'POST', path: '/apis/storage.k8s.io/v1/storageclasses', body: storageClass('disks') })
})

/** What the kubelet of the node would do: without, Kubernetes gives a new node up after 40 seconds, and keeps it free by a taint. */
async function heartbeat(): Promise<void> {
  const contentType = 'application/merge-patch+json'
  const { status } = node('quay-1')
  const lastHeartbeatTime = new Date().toISOString().replace(/\.\d+/, '')
  const conditions = status.conditions.map((condition: object) => ({ ...condition, lastHeartbeatTime }))
  await until('the node takes pods', async () => {
    const body = { status: { ...status, conditions } }
    await admin.request({ method: 'PATCH', path: '/api/v1/nodes/quay-1/status', contentType, body })
    await admin.request({ method: 'PATCH', path: '/api/v1/nodes/quay-1', contentType, body: { spec: { taints: null } } })
    const { spec, status: now } = await admin.request({ method: 'GET', path: '/api/v1/nodes/quay-1' })
    const ready = now.conditions.find(({ type }: { type: string }) => type === 'Ready')
    return ready.status === 'True' && !spec.taints?.length
  })
}

async function kubeconfig(token?: string): Promise<string> {
  const path = join(folder, `kubeconfig-${token?.slice(-8) ?? 'admin'}`)
  await writeFile(path, cluster.kubeconfig(token), { mode: 0o600 })
  return path
}

const run = (...argv: string[]) => runIn({}, ...argv)

async function runIn(env: Record<string, string>, ...argv: string[]) {
  let [out, err] = ['', '']
  const code = await preflightCommand(argv, { HOME: folder, ...env }, { out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

const byId = (found: Finding[], id: string) => found.find((finding) => finding.id === id)

test('preflight sees the cluster as it is', async () => {
  await heartbeat()
  const { code, out, err } = await run('--kubeconfig', await kubeconfig(), '--offline', '--output', 'json', '--cidr', '192.168.0.0/16')
  assert.equal(err, '')
  const { findings, level, checkedAt }: { findings: Finding[]; level: string; checkedAt: string } = JSON.parse(out)
  assert.ok(Math.abs(Date.parse(checkedAt) - Date.now()) < 60_000)
  assert.equal(code, level === 'fail' ? exitCodes.failed : exitCodes.ok)
  assert.match(byId(findings, 'kubernetes-version')?.what ?? '', /^Kubernetes v1\./)
  assert.equal(byId(findings, 'nodes')?.what, '1 of 1 node takes new pods')
  assert.match(byId(findings, 'cpu')?.what ?? '', /^7 cores left/)
  assert.match(byId(findings, 'memory')?.what ?? '', /^31 GiB of memory left/)
  assert.equal(byId(findings, 'storage-class-missing/crate-premium')?.level, 'warn')
  assert.equal(byId(findings, 'permissions')?.level, 'ok')
  assert.equal(byId(findings, 'clock')?.level, 'ok')
  assert.equal(byId(findings, 'cidr-overlap')?.level, 'ok')
  assert.ok(!findings.some(({ id }) => id.startsWith('outbound/') || id.startsWith('unread/')), out)
})

test('the table says of each finding why and what to do, and how many there are', async () => {
  const { out } = await run('--kubeconfig', await kubeconfig(), '--offline')
  assert.match(out, /^warn {2}there is no storage class crate-local\n {6}why {3}.+\n {6}do {4}.+$/m)
  assert.match(out, /\n\d+ fail, \d+ warn, \d+ ok\. .+\.\n$/)
})

test('a network of the site that pods hide is told, and on a real API server one that Services hide too', async () => {
  const ofSite = async (cidr: string) => {
    const { out } = await run('--kubeconfig', await kubeconfig(), '--offline', '--output', 'json', '--cidr', cidr)
    return byId(JSON.parse(out).findings, 'cidr-overlap/site')?.what
  }
  assert.equal(await ofSite('10.244.0.0/16'), '10.244.0.0/16 of the site overlaps 10.244.0.0/24 of pods')
  // The embedded one has no Services of its own.
  if (cluster.kind !== 'real') return
  assert.match((await ofSite('10.0.0.0/24')) ?? '', /^10.0.0.0\/24 of the site overlaps 10\.0\.0\.\d+\/\d+ of Services$/)
  // Since 1.33 the network itself can be read.
  const { resources } = await admin.request({ method: 'GET', path: '/apis/networking.k8s.io/v1' })
  if (resources.some(({ name }: { name: string }) => name === 'servicecidrs'))
    assert.equal(await ofSite('10.0.0.200/32'), '10.0.0.200/32 of the site overlaps 10.0.0.0/24 of Services')
})

test('an account that may do little is told of each thing it may not, and that it did not see all', async () => {
  const token = await cluster.serviceAccountToken('default', 'visitor')
  const { code, out } = await run('--kubeconfig', await kubeconfig(token), '--offline', '--output', 'json')
  const { findings }: { findings: Finding[] } = JSON.parse(out)
  assert.equal(code, exitCodes.failed)
  const managing = byId(findings, 'permission/get+list+create+patch+update+delete')?.what ?? ''
  assert.match(
    managing,
    /^the account may not get, list, create, patch, update and delete namespaces, .* and storageclasses\.storage\.k8s\.io$/,
  )
  assert.match(byId(findings, 'permission/list')?.what ?? '', /may not list nodes, pods and persistentvolumes$/)
  assert.equal(byId(findings, 'unread/nodes')?.level, 'warn')
  assert.equal(byId(findings, 'nodes'), undefined)
})

test('a database that hangs without its operator is found on the cluster', async () => {
  const namespace = 'project-wreck'
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const path = `/apis/cloud.crate.io/v1/namespaces/${namespace}/cratedbs`
  const metadata = { name: 'tide', namespace, finalizers: ['operator.cloud.crate.io/finalizer'] }
  const spec = { cluster: { name: 'tide', imageRegistry: 'crate', version: '5.10.1' }, nodes: { data: [] } }
  const database = { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata, spec }
  await admin.request({ method: 'POST', path, body: database }).catch(async () => {
    const resources = { heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'disks' } }
    const nodes = { data: [{ name: 'hot', replicas: 1, resources }] }
    await admin.request({ method: 'POST', path, body: { ...database, spec: { ...spec, nodes } } })
  })
  await admin.request({ method: 'DELETE', path: `${path}/tide` })
  const { out } = await run('--kubeconfig', await kubeconfig(), '--offline', '--output', 'json')
  const found = byId(JSON.parse(out).findings, 'objects-hanging')
  assert.equal(found?.what, 'CrateDB project-wreck/tide has been deleted and is stuck')
  const contentType = 'application/merge-patch+json'
  await admin.request({ method: 'PATCH', path: `${path}/tide`, contentType, body: { metadata: { finalizers: null } } })
})

test('the classes that are missing are printed as an API server takes them', async () => {
  const { code, out } = await run('--kubeconfig', await kubeconfig(), '--print-storage-classes', 'disks')
  assert.equal(code, exitCodes.ok)
  const made = parseAllDocuments(out).map((document) => document.toJS())
  assert.deepEqual(
    made.map(({ metadata }) => metadata.name),
    ['crate-premium', 'crate-local'],
  )
  for (const body of made) {
    assert.deepEqual(
      [body.provisioner, body.allowVolumeExpansion, body.volumeBindingMode],
      ['disks.example.org', true, 'WaitForFirstConsumer'],
    )
    await admin.request({ method: 'POST', path: '/apis/storage.k8s.io/v1/storageclasses', query: { dryRun: 'All' }, body })
  }
  const wrong = await run('--kubeconfig', await kubeconfig(), '--print-storage-classes', 'none')
  assert.deepEqual([wrong.code, wrong.out], [exitCodes.notRun, ''])
  assert.match(wrong.err, /there is no storage class none, only disks/)
})

const unusable: [name: string, argv: string[], message: RegExp][] = [
  ['an output that is none', ['--output', 'xml'], /--output must be table or json, not xml/],
  ['a network that is none', ['--cidr', '10.0.0.1/8'], /--cidr must be a network/],
  ['a host that is none', ['--host', 'a b'], /--host must be HOST or HOST:PORT/],
  ['a proxy that is none', ['--https-proxy', 'proxy:3128'], /--https-proxy must be an address/],
  ['a cloud that is none', ['--cloud', 'http://cloud.example.org'], /--cloud must be an address such as https:/],
  ['an option that is none', ['--fast'], /--fast/],
  ['a component that is none', ['--component', 'harbour'], /unknown component harbour; there are cert-manager, .*, skerry/],
  ['one that is not brought any more', ['--component', 'ingress-nginx'], /unknown component ingress-nginx/],
  ['a chart at hand of no component', ['--chart-at-hand', 'harbour'], /unknown component harbour/],
  ['a list of components that is not there', ['--components', '/nowhere/components'], /ENOENT.*\/nowhere\/components/],
  ['no kubeconfig', ['--offline'], /there is no kubeconfig/],
]
for (const [name, argv, message] of unusable) {
  test(`preflight ends with 2 on ${name}`, async () => {
    const { code, err } = await run(...argv)
    assert.equal(code, exitCodes.notRun)
    assert.match(err, message)
  })
}

test('preflight ends with 2 on a list of components that is wrong, with all its faults and their lines', async () => {
  const path = join(folder, 'wrong-components')
  await writeFile(path, 'tide\n  chart tide\n  colour green\n  version 1.2.3\n')
  const { code, err } = await run('--components', path)
  assert.equal(code, exitCodes.notRun)
  assert.match(err, /wrong-components, is wrong:\n {2}line 3: there is no key colour\n {2}line 1: tide has no namespace\n/)
})

/** A list of two components: one that databases need, and one that they do not. */
async function listOf(repository: string): Promise<string> {
  const path = join(folder, 'components')
  const about = (name: string) => `  chart ${name}\n  repository ${repository}/${name}\n  version 1.2.3\n  namespace ${name}\n`
  await writeFile(path, `tide\n  role needed\n${about('tide')}ebb\n${about('ebb')}  kubernetes 1.99\n`)
  return path
}

test('preflight asks for the charts of a list, through the proxy, and trusts the authority of the site', async (t) => {
  const at = await site(t, ({ url }, response) => {
    if (url !== '/tide/index.yaml') return response.writeHead(404).end()
    response.end(stringify({ apiVersion: 'v1', entries: { tide: [{ version: '2.0.0' }] } }, { indentSeq: false }))
  })
  const { port, asked } = await proxy(t)
  const ca = join(folder, 'outside.pem')
  await writeFile(ca, certificate.ca)
  const usual = ['--kubeconfig', await kubeconfig(), '--output', 'json', '--components', await listOf(at)]
  const way = ['--https-proxy', `http://127.0.0.1:${port}`, '--ca-file', ca]
  const charts = async (...argv: string[]) => {
    const { out, err } = await run(...usual, ...argv)
    assert.equal(err, '')
    const { findings }: { findings: Finding[] } = JSON.parse(out)
    return findings.filter(({ id }) => /^(chart|outbound|component-version)/.test(id)).map(({ level, what }) => `${level} ${what}`)
  }
  const version = /^Kubernetes v[^ ]+ is too old for ebb \(1\.99\)$/
  const [tooOld, reached, ...found] = await charts(...way)
  assert.match(tooOld?.replace('warn ', '') ?? '', version)
  assert.equal(reached, 'ok hosts outside are reached: all 1')
  assert.deepEqual(found, [
    `fail the chart of tide cannot be downloaded from ${at}/tide: no version 1.2.3 of tide is in it; the newest is 2.0.0`,
    `warn the chart of ebb cannot be downloaded from ${at}/ebb: the repository is gone or has moved (404)`,
  ])
  assert.deepEqual(new Set(asked.map(({ path }) => `https://${path}`)), new Set([at]))

  // What is left out is not asked for, nor what is at hand, nor anything when offline.
  assert.deepEqual(await charts(...way, '--component', 'tide', '--chart-at-hand', 'tide'), [])
  assert.deepEqual(await charts('--component', 'tide', '--offline'), [])
  // Without the authority nothing can be had, which is one cause.
  assert.match((await charts('--component', 'tide')).join('\n'), /^fail localhost:\d+ is not reached: its certificate is not trusted/)
})

test('the cloud that the region is to join is tried, and needs no trusted certificate where its CA is pinned', async (t) => {
  const at = await site(t, (_request, response) => response.end())
  const list = ['--components', await listOf('https://localhost:1'), '--component', 'tide', '--chart-at-hand', 'tide']
  const about = async (...argv: string[]) => {
    const { out } = await run('--kubeconfig', await kubeconfig(), '--output', 'json', ...list, ...argv)
    const { findings }: { findings: Finding[] } = JSON.parse(out)
    return findings.filter(({ id }) => id.startsWith('outbound')).map(({ level, what, why = '' }) => `${level} ${what} ${why}`)
  }
  const [untrusted, ...more] = await about('--cloud', at)
  assert.deepEqual(more, [])
  assert.match(
    untrusted ?? '',
    /^warn localhost:\d+ is not reached: its certificate is not trusted .* Needed for the cloud that the region joins\.$/,
  )
  assert.deepEqual(await about('--cloud', at, '--cloud-pinned'), ['ok hosts outside are reached: all 1 '])
  assert.deepEqual(await about('--cloud', at, '--offline'), [])
})

test('in the pod of an agent nobody fetches charts, so that nobody is asked for them', async (t) => {
  let asked = 0
  const at = await site(t, (_request, response) => {
    asked++
    response.writeHead(404).end()
  })
  await writeFile(join(folder, 'ca.crt'), cluster.ca)
  await writeFile(join(folder, 'token'), await cluster.serviceAccountToken('skerry', 'skerry-agent'), { mode: 0o600 })
  const { hostname, port } = new URL(cluster.url)
  const account = { SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR: folder, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
  const { out, err } = await runIn(account, '--output', 'json', '--components', await listOf(at))
  assert.equal(err, '')
  const { findings }: { findings: Finding[] } = JSON.parse(out)
  assert.equal(byId(findings, 'permissions')?.level, 'ok')
  assert.deepEqual(
    findings.filter(({ id }) => /^(chart|outbound|component-version)/.test(id)),
    [],
  )
  assert.equal(asked, 0)
})

test('an operator whose heap-dump volumes have no class is found by the installer and by the agent', async (t) => {
  const path = '/apis/apps/v1/namespaces/crate-operator/deployments'
  await installObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'crate-operator' } })
  const labels = { 'app.kubernetes.io/name': 'crate-operator' }
  const env = [{ name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS', value: 'default' }]
  const template = { metadata: { labels }, spec: { containers: [{ name: 'operator', image: 'registry.example/operator:1', env }] } }
  const spec = { replicas: 0, selector: { matchLabels: labels }, template } // no pod of it is left for what counts pods later
  await admin.request({ method: 'POST', path, body: { metadata: { name: 'crate-operator', labels }, spec } })
  t.after(() => admin.request({ method: 'DELETE', path: `${path}/crate-operator` }))
  const what = 'the Crate Operator makes heap-dump volumes of the class default, which does not exist'
  const { out } = await run('--kubeconfig', await kubeconfig(), '--offline', '--output', 'json')
  assert.equal(byId(JSON.parse(out).findings, 'heap-dump-class')?.what, what)

  const agent = await region.startAgent()
  const client = createClient({ url: agent.url, ca: region.ca, token: region.readerToken })
  t.after(async () => {
    client.close()
    await agent.stop()
  })
  const { body } = await client.call('GET', '/v1/region/preflight')
  const found = byId(body.findings, 'heap-dump-class')
  assert.deepEqual([found?.level, found?.what], ['fail', what])
  assert.match(found?.action ?? '', /kubectl -n crate-operator set env deployment\/crate-operator .*=disks$/)
})

test('preflight ends with 2 on a context that is not there, and takes one that is', async () => {
  const two = parse(cluster.kubeconfig())
  const [{ name: good }] = two.contexts
  two.contexts.push({ name: 'gone', context: { cluster: 'nowhere', user: 'nobody' } })
  two['current-context'] = 'gone'
  const path = join(folder, 'two-contexts')
  await writeFile(path, stringify(two), { mode: 0o600 })
  const missing = await run('--kubeconfig', path, '--context', 'far', '--offline')
  assert.equal(missing.code, exitCodes.notRun)
  assert.match(missing.err, new RegExp(`there is no context far, only ${good}, gone`))
  assert.notEqual((await run('--kubeconfig', path, '--context', good, '--offline')).code, exitCodes.notRun)
})

test('preflight ends with 2 when no API server answers', async () => {
  const path = join(folder, 'nobody')
  await writeFile(path, cluster.kubeconfig().replace(cluster.url, 'https://127.0.0.1:1'), { mode: 0o600 })
  const { code, err } = await run('--kubeconfig', path, '--offline')
  assert.equal(code, exitCodes.notRun)
  assert.match(err, /GET \/version: no answer/)
})

test('the program has the command, before it needs any configuration', async () => {
  const path = await kubeconfig()
  const program = (...args: string[]) =>
    new Promise<{ code: unknown; out: string }>((resolve) => {
      execFile(process.execPath, [programs.agent, ...args], (error, out) => resolve({ code: error?.code ?? 0, out }))
    })
  const { code, out } = await program('preflight', '--kubeconfig', path, '--offline')
  assert.ok(code === exitCodes.ok || code === exitCodes.failed, out)
  assert.match(out, /Kubernetes v1\./)
  assert.match((await program('--help')).out, /skerry-agent preflight/)
})

/** Creates a pod in the namespace `default`. */
async function pod(name: string, spec: object, status?: object): Promise<void> {
  const path = '/api/v1/namespaces/default/pods'
  await admin.request({ method: 'POST', path, body: { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec } })
  const contentType = 'application/merge-patch+json'
  if (status) await admin.request({ method: 'PATCH', path: `${path}/${name}/status`, contentType, body: { status } })
}

test('a pod counts as the scheduler counts it, and takes nothing before it has a node or after it has ended', async () => {
  const container = (cpu: string) => ({ name: `c${cpu}`, image: 'none', resources: { requests: { cpu } } })
  await until('pods can be created', () =>
    pod('running', { nodeName: 'quay-1', containers: [container('1')], initContainers: [container('3')] }).then(
      () => true,
      () => false,
    ),
  )
  await pod('waiting', { containers: [container('7')], nodeSelector: { quay: 'none' } })
  await pod('ended', { nodeName: 'quay-1', containers: [container('2')] }, { phase: 'Succeeded' })
  const agent = await region.startAgent()
  await heartbeat()
  const client = createClient({ url: agent.url, ca: region.ca, token: region.readerToken })
  try {
    const { body } = await client.call('GET', '/v1/region/preflight')
    const { level, what } = byId(body.findings, 'cpu') as Finding
    assert.match(what, /^4 cores left .*\. 1 more pod waits for a node, with requests of 7 cores$/)
    assert.notEqual(level, 'fail')
  } finally {
    client.close()
  }
})

test('the agent answers the same of its own cluster, with the rights that it has', async () => {
  const agent = await region.startAgent()
  await heartbeat()
  const client = createClient({ url: agent.url, ca: region.ca, token: region.readerToken })
  try {
    const { status, body } = await client.call('GET', '/v1/region/preflight')
    assert.equal(status, 200)
    const found: Finding[] = body.findings
    assert.equal(byId(found, 'permissions')?.level, 'ok', JSON.stringify(found, null, 1))
    assert.equal(byId(found, 'nodes')?.what, '1 of 1 node takes new pods')
    assert.deepEqual(
      found.filter(({ id }) => /^(unread|outbound|definition|storage-class-default)/.test(id)),
      [],
    )
    const again = await client.call('GET', '/v1/region/preflight')
    assert.equal(again.body.checkedAt, body.checkedAt)
  } finally {
    client.close()
  }
})

test('the agent asks for the rights of its manifest, no more and no fewer', () => {
  assert.equal(readFileSync(agentRightsFile.path, 'utf8'), agentRightsFile.text(), 'rewrite it with: npm run render')
  const asked = (project?: string) =>
    agentRights('skerry', project).map(
      ({ verb, resource, group, name = '', namespace }) => `${verb} ${resource}.${group} ${name} in ${namespace ?? 'all'}`,
    )
  const always = [
    'get persistentvolumeclaims.  in all',
    'watch secrets.  in skerry',
    'create events.  in all',
    'bind clusterroles.rbac.authorization.k8s.io skerry-agent-project in all',
  ]
  const inProjects = ['create secrets.  in project-harbour', 'patch limitranges. skerry in project-harbour']
  for (const one of always) assert.ok(asked().includes(one), one)
  for (const one of [...always, ...inProjects]) assert.ok(asked('project-harbour').includes(one), one)
  assert.deepEqual(asked().filter((one) => one.includes('secrets')).length, 5, 'without a project, no rights in projects')
  assert.ok(!asked('project-harbour').some((one) => /configmaps|crate-operator/.test(one)), 'names that the configuration can change')
})

test('an installer is asked for the rights to make policies where there are policies', () => {
  const asksFor = (minor?: number) => {
    const resources = installerRights(minor).map(({ resource, group }) => `${resource}.${group}`)
    return new Set(resources.filter((resource) => resource.startsWith('validatingadmissionpolic')))
  }
  const both = [
    'validatingadmissionpolicies.admissionregistration.k8s.io',
    'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  ]
  for (const minor of [20, 29]) assert.deepEqual([...asksFor(minor)], [], `1.${minor}`)
  for (const minor of [30, 36, undefined]) assert.deepEqual([...asksFor(minor)], both, `1.${minor}`)
})
