import assert from 'node:assert/strict'
import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { parse } from 'yaml'
import { createHttp, startRealCluster, until } from '../cluster/index.ts'
import { type AgentProcess, startAgentProcess } from '../region/agent-process.ts'
import { createClient } from '../region/client.ts'
import { definitions } from '../region/definitions.ts'
import { startMonitorProcess } from '../region/monitor-process.ts'
import { chart, helm, type Manifest, namespace, release } from './helm.ts'
import { shapes } from './shapes.ts'

// The tests below are one story, told in order: a region is installed, runs, is changed, put back, taken away and installed again.
// No kubelet is here; the programs run on this machine with what their pods would get: the rendered configuration, the Secrets that
// it names and the token of their ServiceAccount.

const cluster = await startRealCluster({ crds: definitions.crateDB.map((file) => readFileSync(file, 'utf8')) })
const http = createHttp({ url: cluster.url, ca: cluster.ca, token: cluster.adminToken })
const folder = await mkdtemp(join(tmpdir(), 'skerry-chart-'))
after(async () => {
  http.close()
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

const token = randomBytes(24).toString('base64url')
const sha256 = createHash('sha256').update(token).digest('hex')
const scopes = ['region:read', 'projects:write', 'databases:write']
const values = { region: { id: 'harbour-1' }, agent: { tokens: { list: [{ name: 'cloud', sha256, scopes }] } } }

const kubeconfig = cluster.kubeconfig()
async function run(...args: (string | object)[]): Promise<string> {
  const given = args.find((arg) => typeof arg === 'object')
  const words = args.filter((arg) => typeof arg === 'string')
  const { code, stdout, stderr } = await helm(['--namespace', namespace, ...words], { kubeconfig, ...(given && { values: given }) })
  assert.equal(code, 0, `helm ${words.join(' ')}: ${stderr}`)
  return stdout
}

const home = `/api/v1/namespaces/${namespace}`
async function read(path: string): Promise<Manifest> {
  const { status, body, text } = await http.get(path)
  assert.equal(status, 200, `${path}: ${text}`)
  return body
}
async function secret(name: string): Promise<Record<string, string>> {
  const { data } = await read(`${home}/secrets/${name}`)
  return Object.fromEntries(Object.entries<string>(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
}
const config = async (name: string, file: string): Promise<string> => (await read(`${home}/configmaps/${name}`)).data[file]
const deployment = (name: string) => read(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`)

/** Writes files of a pod below a folder of this machine. */
async function place(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text, { mode: 0o600 })
  }
}

const { hostname, port } = new URL(cluster.url)
const pod = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
const account = (program: string) => join(folder, program, 'account')
async function placeAccount(program: string): Promise<void> {
  const bearer = await cluster.serviceAccountToken(namespace, `skerry-${program}`)
  await place({ [`${program}/account/token`]: bearer, [`${program}/account/ca.crt`]: cluster.ca })
}

/** An agent as its pod would run; the environment says where things are on this machine, and nothing else. */
async function startAgent(): Promise<AgentProcess> {
  await placeAccount('agent')
  const tls = await secret('skerry-agent-tls')
  await place({
    'agent/agent.yaml': await config('skerry-agent', 'agent.yaml'),
    'agent/tokens.yaml': (await secret('skerry-agent-tokens'))['tokens.yaml'] as string,
  })
  await place(Object.fromEntries(Object.entries(tls).map(([name, text]) => [`agent/tls/${name}`, text])))
  const env = {
    ...pod,
    SKERRY_AGENT__API__HOST: '127.0.0.1',
    SKERRY_AGENT__API__PORT: '0',
    SKERRY_AGENT__API__TLS__CERT_FILE: join(folder, 'agent/tls/tls.crt'),
    SKERRY_AGENT__API__TLS__KEY_FILE: join(folder, 'agent/tls/tls.key'),
    SKERRY_AGENT__ADMIN__HOST: '127.0.0.1',
    SKERRY_AGENT__ADMIN__PORT: '0',
    SKERRY_AGENT__IDENTITY__TOKENS_FILE: join(folder, 'agent/tokens.yaml'),
    SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR: account('agent'),
  }
  return startAgentProcess({ program: 'agent/main.ts', configFile: join(folder, 'agent/agent.yaml'), env })
}

let authority = ''

test('helm installs a region into an empty cluster', async () => {
  const said = await run('install', release, chart, '--create-namespace', values)
  assert.match(said, /Region harbour-1 is being installed into the namespace skerry/)
  assert.match(said, /publishes nothing over MQTT until/)
  assert.doesNotMatch(said, /Nobody can call the agent/)
  for (const name of ['skerry-agent', 'skerry-monitor']) assert.equal((await deployment(name)).spec.replicas, 2)
  authority = (await secret('skerry-agent-tls'))['ca.crt'] as string
})

test("the certificate is for the Service's names, and its authority has signed it", async () => {
  const tls = await secret('skerry-agent-tls')
  const certificate = new X509Certificate(tls['tls.crt'] as string)
  assert.ok(certificate.verify(new X509Certificate(authority).publicKey))
  for (const name of ['skerry-agent', 'skerry-agent.skerry.svc', 'skerry-agent.skerry.svc.cluster.local', 'localhost'])
    assert.equal(certificate.checkHost(name), name)
})

test('the agent becomes ready with the rendered configuration and its own permissions, and makes a project', async (t) => {
  const agent = await startAgent()
  t.after(() => agent.stop())
  assert.equal((await fetch(`${agent.adminUrl}/readyz`)).status, 200)
  const client = createClient({ url: agent.url, ca: authority, token })
  t.after(() => client.close())
  const answer = await client.call('PUT', '/v1/projects/harbour', { body: { id: 'harbour' } })
  assert.equal(answer.status, 202, answer.text)
  await until('the project is made', async () => (await client.call('GET', `/v1/operations/${answer.body.id}`)).body.phase === 'Succeeded')
  assert.equal((await client.call('GET', '/v1/region')).body.id, 'harbour-1')
  assert.equal((await read(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/skerry-agent`)).kind, 'Lease')
})

test('the monitor becomes ready with the rendered configuration and its own permissions', async (t) => {
  await placeAccount('monitor')
  await place({
    'monitor/monitor.yaml': await config('skerry-monitor', 'monitor.yaml'),
    'monitor/checks.yaml': await config('skerry-monitor-checks', 'checks.yaml'),
  })
  const env = {
    ...pod,
    SKERRY_MONITOR__METRICS__HOST: '127.0.0.1',
    SKERRY_MONITOR__METRICS__PORT: '0',
    SKERRY_MONITOR__CHECKS__FILE: join(folder, 'monitor/checks.yaml'),
    SKERRY_MONITOR__CLUSTER__SERVICE_ACCOUNT_DIR: account('monitor'),
  }
  const monitor = await startMonitorProcess({ program: 'monitor/main.ts', configFile: join(folder, 'monitor/monitor.yaml'), env })
  t.after(() => monitor.stop())
  await until('the monitor is ready', async () => (await fetch(`${monitor.url}/readyz`)).status === 200)
  await until('it checks the API server', async () =>
    /skerry_kubernetes_info\{[^}]*version="v1/.test(await (await fetch(`${monitor.url}/metrics`)).text()),
  )
})

test('an upgrade changes the configuration, replaces the pods, and keeps the certificate', async () => {
  const before = await deployment('skerry-agent')
  await run('upgrade', release, chart, { ...values, agent: { ...values.agent, config: { log: { level: 'debug' } } } })
  assert.deepEqual(parse(await config('skerry-agent', 'agent.yaml')).log, { level: 'debug' })
  const after = await deployment('skerry-agent')
  const checksum = ({ spec }: Manifest) => spec.template.metadata.annotations['checksum/config']
  assert.notEqual(checksum(after), checksum(before))
  assert.equal((await secret('skerry-agent-tls'))['ca.crt'], authority)
})

test('an upgrade that changes nothing changes no object', async () => {
  const versions = async () => {
    const paths = [
      `${home}/configmaps/skerry-agent`,
      `${home}/secrets/skerry-agent-tls`,
      `/apis/apps/v1/namespaces/${namespace}/deployments/skerry-agent`,
    ]
    return Promise.all(paths.map(async (path) => (await read(path)).metadata.generation ?? (await read(path)).metadata.resourceVersion))
  }
  const before = await versions()
  await run('upgrade', release, chart, '--reuse-values')
  assert.deepEqual(await versions(), before)
})

test('an upgrade upgrades the definitions', async () => {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/projects.skerry.dev'
  const { status, text } = await http.patch('merge', path, { spec: { names: { shortNames: ['outdated'] } } })
  assert.equal(status, 200, text)
  await run('upgrade', release, chart, '--reuse-values', '--force-conflicts')
  assert.deepEqual((await read(path)).spec.names.shortNames, parse(readFileSync('deploy/crds/projects.yaml', 'utf8')).spec.names.shortNames)
})

test('a rollback puts the configuration back, and keeps the certificate', async () => {
  await run('rollback', release, '1', '--force-conflicts')
  assert.equal(parse(await config('skerry-agent', 'agent.yaml')).log, undefined)
  assert.equal((await secret('skerry-agent-tls'))['ca.crt'], authority)
})

test('other names make another certificate, so does its time, and so does its removal', async () => {
  await run('upgrade', release, chart, { ...values, agent: { ...values.agent, tls: { dnsNames: ['agent.site'] } } })
  const named = await secret('skerry-agent-tls')
  assert.equal(new X509Certificate(named['tls.crt'] as string).checkHost('agent.site'), 'agent.site')

  const annotations = { 'skerry.dev/renew-after': String(Math.floor(Date.now() / 1000) - 1) }
  await http.patch('merge', `${home}/secrets/skerry-agent-tls`, { metadata: { annotations } })
  await run('upgrade', release, chart, '--reuse-values', '--force-conflicts')
  const timely = await secret('skerry-agent-tls')
  assert.notEqual(timely['tls.crt'], named['tls.crt'])

  await http.delete(`${home}/secrets/skerry-agent-tls`)
  await run('upgrade', release, chart, '--reuse-values')
  assert.notEqual((await secret('skerry-agent-tls'))['tls.crt'], timely['tls.crt'])
})

test('the agent writes what the tunnel leads to, and an upgrade leaves it to the agent', async (t) => {
  const { cloudflared } = shapes.tunnel
  const tunnelled = { ...values, cloudflared: { ...cloudflared, grafana: { ...cloudflared.grafana, enabled: false } } }
  await run('upgrade', release, chart, tunnelled)
  const running = await startAgent()
  t.after(() => running.stop())
  const rules = async (): Promise<string[]> => {
    const { data } = await read(`${home}/configmaps/cloudflared`)
    return parse(data?.['tunnel.yaml'] ?? 'ingress: []').ingress.map(({ hostname = '' }) => hostname)
  }
  const first = [cloudflared.agent.hostname, cloudflared.prometheus.hostname, '']
  await until('tunnel.yaml is written', async () => isDeepStrictEqual(await rules(), first))
  const changed = { ...tunnelled, cloudflared: { ...tunnelled.cloudflared, agent: { hostname: 'other.example' } } }
  await run('upgrade', release, chart, changed)
  assert.deepEqual(await rules(), first)
  await running.stop()

  const next = await startAgent()
  t.after(() => next.stop())
  await until('it is written anew', async () => (await rules())[0] === 'other.example')
  const annotations = async () => (await read(`${home}/configmaps/cloudflared`)).metadata.annotations
  await until('the pods that it outdates are noted', async () => (await annotations())['skerry.dev/tunnel-outdated-pods'] !== 'all')
  const before = await annotations()
  await run('upgrade', release, chart, changed)
  assert.deepEqual(await annotations(), before)
  assert.equal((await rules())[0], 'other.example')
  await next.stop()
  await run('rollback', release)
  await run('upgrade', release, chart, values)
})

const registration = async () => (await http.get(`/apis/skerry.dev/v1/namespaces/${namespace}/registrations/cloud`)).body
const cloud = { url: 'https://127.0.0.1:1' }
let thumbprint = ''

test('one value joins the region to a cloud, and one that does not answer keeps nothing from running', async (t) => {
  const said = await run('upgrade', release, chart, '--reset-then-reuse-values', '--set', `cloud.url=${cloud.url}`)
  assert.match(said, /joins the cloud at https:\/\/127\.0\.0\.1:1/)
  const agent = await startAgent()
  t.after(() => agent.stop())
  await until('it is told that the cloud does not answer', async () => (await registration()).status?.reason === 'Unreachable')
  assert.equal((await fetch(`${agent.adminUrl}/readyz`)).status, 200)
  const status = (await registration()).status
  assert.equal(status.cloud, cloud.url)
  thumbprint = status.thumbprint
  assert.match(thumbprint, /^[\w-]{43}$/)
})

test('uninstalling takes away what was installed, and leaves the definitions, the projects and what the programs wrote', async () => {
  await run('uninstall', release, '--wait')
  // Kubernetes 1.20 serves disruption budgets in v1beta1 only, 1.25 and newer in v1 only.
  const policy = (await read('/apis/policy')).preferredVersion.groupVersion
  for (const path of [
    `/apis/apps/v1/namespaces/${namespace}/deployments`,
    `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
    `/apis/${policy}/namespaces/${namespace}/poddisruptionbudgets`,
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles`,
    `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`,
    `${home}/services`,
  ])
    assert.deepEqual(
      (await read(path)).items.map(({ metadata }: Manifest) => metadata.name),
      [],
      path,
    )
  for (const kind of ['clusterroles', 'clusterrolebindings']) {
    const { items } = await read(`/apis/rbac.authorization.k8s.io/v1/${kind}`)
    assert.deepEqual(
      items.filter(({ metadata }: Manifest) => metadata.name.includes('skerry')),
      [],
    )
  }
  const names = async (kind: string) => (await read(`${home}/${kind}`)).items.map(({ metadata }: Manifest) => metadata.name)
  const ours = (all: string[]) => all.filter((name) => /skerry/.test(name) && !/-token-/.test(name))
  assert.deepEqual(ours(await names('secrets')), ['skerry-fingerprint-key', 'skerry-identity'])
  assert.deepEqual(ours(await names('configmaps')), ['skerry-ledger', 'skerry-link'])
  const { items } = await read('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')
  const kept = items.map(({ metadata }: Manifest) => metadata.name).filter((name: string) => name.endsWith('.skerry.dev'))
  assert.deepEqual(kept.sort(), [
    ...['operations.skerry.dev', 'projects.skerry.dev', 'registrations.skerry.dev', 'retaineddatabases.skerry.dev'],
    'sparkplugnodes.skerry.dev',
  ])
  assert.equal((await read('/apis/skerry.dev/v1/projects/harbour')).metadata.name, 'harbour')
})

test('it is installed again over what was kept, and the agent knows its projects and is known by its key', async (t) => {
  const kept = await registration()
  assert.equal(kept.status.thumbprint, thumbprint)
  await run('install', release, chart, { ...values, cloud })
  authority = (await secret('skerry-agent-tls'))['ca.crt'] as string
  const agent = await startAgent()
  t.after(() => agent.stop())
  const client = createClient({ url: agent.url, ca: authority, token })
  t.after(() => client.close())
  assert.equal((await client.call('GET', '/v1/projects/harbour')).status, 200)
  await until('it has told of its cloud', async () => (await registration()).metadata.resourceVersion !== kept.metadata.resourceVersion)
  assert.equal((await registration()).status.thumbprint, thumbprint)
})

test('definitions that somebody else has applied are taken over when asked for, and refused with how to ask otherwise', async () => {
  await run('uninstall', release)
  const { stderr, code } = await helm(['install', 'another', chart, '--namespace', namespace], { kubeconfig, values })
  assert.notEqual(code, 0)
  assert.match(stderr, /CustomResourceDefinition "\w+\.skerry\.dev".*invalid ownership metadata/)
  await run('install', 'another', chart, '--take-ownership', values)
})
