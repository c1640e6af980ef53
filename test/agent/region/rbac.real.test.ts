import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { applyObject } from '../../../shared/kubernetes/apply.ts'
import { type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { startCluster, startStandIns, until } from '../../cluster/index.ts'
import type { AgentProcess } from '../../region/agent-process.ts'
import { type Client, createClient } from '../../region/client.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { prepareRegion } from '../../region/index.ts'
import { installedByHelm, tunnelGiven } from '../tunnel-sample.ts'
import { deedsOf, recordCluster } from './recording-proxy.ts'
import { crateDB } from './scene.ts'

type Rule = { apiGroups: string[]; resources: string[]; resourceNames?: string[]; verbs: string[] }

const documents = parseAllDocuments(await readFile('deploy/rbac/agent.yaml', 'utf8')).map((document) => document.toJS() as KubernetesObject)
const rulesOf = (kind: string): Rule[] => documents.find((document) => document.kind === kind)?.rules ?? []
const everywhere = rulesOf('ClusterRole')
const atHome = rulesOf('Role')

/** `patch networkpolicies.networking.k8s.io` for each verb on each resource, `patch deployments.apps cloudflared` where names are given. */
const rights = (rules: Rule[]) =>
  rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => {
          const right = `${verb} ${resource}${group === '' ? '' : `.${group}`}`
          return resourceNames?.map((name) => `${right} ${name}`) ?? [right]
        }),
      ),
    ),
  )

test('the manifest names every right by itself, and each once', () => {
  for (const rules of [everywhere, atHome]) {
    assert.equal(JSON.stringify(rules).includes('*'), false)
    assert.deepEqual(rights(rules).toSorted(), [...new Set(rights(rules))].toSorted())
  }
  assert.deepEqual(
    rights(atHome).filter((right) => rights(everywhere).includes(right)),
    [],
    'what may be done everywhere need not be allowed at home',
  )
})

test('nothing in it lets the agent run code, become somebody else, or follow the secrets of the cluster', () => {
  const all = rights([...everywhere, ...atHome])
  for (const forbidden of [
    /pods\/(exec|attach|portforward|ephemeralcontainers)/,
    /^(create|patch|update) pods/,
    /^(escalate|bind|impersonate) /,
    /rbac\./,
    /serviceaccounts\/token/,
    /^(create|patch|update|delete) nodes/,
    // Pods of cloudflared alone are replaced, which takes the right to write its Deployment.
    /^(create|patch|update|delete) (deployments(?!\.apps cloudflared$)|statefulsets|daemonsets|jobs|cronjobs)/,
    /^(create|update|delete) deployments/,
    /^\w+ configmaps$/,
  ]) {
    assert.deepEqual(
      all.filter((right) => forbidden.test(right)),
      [],
    )
  }
  assert.equal(rights(everywhere).includes('watch secrets'), false)
})

const cases: [method: string, url: string, status: number, deeds: string[]][] = [
  ['GET', '/api/v1/namespaces', 200, ['list namespaces']],
  ['GET', '/api/v1/namespaces/a', 200, ['get namespaces']],
  ['GET', '/api/v1/namespaces/a/pods?watch=true', 200, ['watch pods']],
  ['DELETE', '/api/v1/namespaces/a/pods/b', 200, ['delete pods']],
  [
    'PATCH',
    '/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/b?force=true',
    201,
    ['patch networkpolicies.networking.k8s.io', 'create networkpolicies.networking.k8s.io'],
  ],
  ['PUT', '/apis/skerry.dev/v1/projects/a/status', 200, ['update projects/status.skerry.dev']],
  ['GET', '/version', 200, []],
]
test('the recording knows about which object a request was', () => {
  const named = (method: string, url: string, status = 200) => deedsOf(method, url, status).map(({ verb, name }) => `${verb} ${name}`)
  assert.deepEqual(named('PATCH', '/api/v1/namespaces/a/configmaps/b', 201), ['patch b', 'create b'])
  assert.deepEqual(named('GET', '/api/v1/namespaces/a/configmaps?fieldSelector=metadata.name%3Db&limit=100'), ['list b'])
  assert.deepEqual(named('GET', '/api/v1/namespaces/a/configmaps?watch=true'), ['watch undefined'])
})

for (const [method, url, status, deeds] of cases) {
  test(`the recording calls ${method} ${url} what RBAC calls it`, () => {
    assert.deepEqual(
      deedsOf(method, url, status).map(({ verb, resource }) => `${verb} ${resource}`),
      deeds,
    )
  })
}

const testCluster = await startCluster({ crds: regionDefinitions() })
// What the stand-ins are refused, such as an event in a namespace that goes, is none of the agent's deeds.
const standIns = await startStandIns(testCluster, { nodes: 4 })
const cluster = await recordCluster(testCluster)
const region = await prepareRegion(cluster)
const config = {
  databases: { sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` },
  operations: { recheck: '500ms', keep: 1 },
  tunnel: tunnelGiven,
}
let agent: AgentProcess
let client: Client

before(async () => {
  agent = await region.startAgent({ config })
  client = createClient({ url: agent.url, ca: region.ca, token: region.token })
})
after(async () => {
  client?.close()
  await region.close()
  await standIns.stop()
  await cluster.stop()
})

/** Sends a request and waits until its operation has succeeded. */
async function done(method: string, path: string, body?: unknown): Promise<void> {
  const answer = await client.call(method, path, { body })
  assert.equal(answer.status, 202, answer.text)
  const operation = await until(
    `${method} ${path} has ended`,
    async () => {
      const { body } = await client.call('GET', `/v1/operations/${answer.body.id}`)
      return body.endedAt !== undefined && body
    },
    60_000,
  )
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
}

/**
 * The API server knows by a watch of its own that a quota was counted, a moment after everybody else can read it, and refuses what it limits
 * until then.
 */
async function whenCounted(namespace: string): Promise<void> {
  const { status: _, ...body } = crateDB(namespace, 'one')
  const tryOut = { method: 'POST', path: pathOf(kinds.CrateDB, namespace), query: { dryRun: 'All' }, body } as const
  await until('the quota is counted', () =>
    standIns.world.cluster.request(tryOut).then(
      () => true,
      (error) => {
        if (!/status unknown for quota/.test(String(error))) throw error
        return false
      },
    ),
  )
}

/** The tunnel from its first configuration, which the agent makes, to pods that are replaced because something else is exposed. */
async function exposeGrafana(): Promise<void> {
  const { configMap, deployment } = installedByHelm()
  await applyObject(region.admin, deployment, { fieldManager: 'helm' })
  const revision = async (object: KubernetesObject) => {
    const { metadata, spec } = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOfObject(object) })
    return { ...metadata.annotations, ...spec?.template.metadata.annotations }['skerry.dev/tunnel-revision']
  }
  const answer = await client.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
  assert.equal(answer.status, 200, answer.text)
  await until('it is written', async () => String(await revision(configMap)).startsWith('2-'))
  await until('the pods are of that writing', async () => (await revision(deployment)) === (await revision(configMap)))
}

/** Rights that the agent needs only when something goes another way than here, each with the test that has it so. */
const elsewhere = [
  'list volumeattachments.storage.k8s.io', // obstacles-of-volumes.test.ts: a volume that hangs on a dead node
  'list events', // obstacles-of-volumes.test.ts: a provisioner that fails
  'get operations.skerry.dev', // journal.test.ts: two replicas accept at the same time
  'create serviceaccounts', // a project that is quicker than the controller that makes "default"
]

test('the agent does its whole job with these rights, and uses each of them', async () => {
  const metadata = { name: 'mirror', namespace: region.namespace }
  const data = { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') }
  await region.admin.request({
    method: 'POST',
    path: `/api/v1/namespaces/${region.namespace}/secrets`,
    body: { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson', metadata, data },
  })
  const project = { id: 'harbour', quota: { databases: 5 }, imagePullSecrets: ['mirror'] }
  await done('PUT', '/v1/projects/harbour', project)
  await whenCounted('project-harbour')

  const path = '/v1/projects/harbour/databases/tide'
  const aws = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example', region: 'eu-north-1', bucket: 'snapshots', cron: '17 * * * *' }
  await done('PUT', path, {
    id: 'tide',
    version: '5.10.1',
    nodes: { count: 2, cpu: 1, memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } },
    users: [{ name: 'harbourmaster', generate: true }],
    allowedCIDRs: ['10.20.0.0/16'],
    backups: { aws },
  })
  await done('PATCH', path, { allowedCIDRs: ['10.30.0.0/16'] })
  await done('PATCH', path, { backups: { aws: { cron: '27 * * * *' } } })
  await done('POST', `${path}/actions/rotate-password`, { user: 'harbourmaster' })
  await done('POST', `${path}/actions/restart`, {})

  // A node that cannot be placed makes it look for what stands in the way, and its end is asked for.
  const answer = await client.call('PATCH', path, { body: { nodes: { count: 6 } } })
  assert.equal(answer.status, 202, answer.text)
  await until('it is told what stands in the way', async () => {
    const { body } = await client.call('GET', `/v1/operations/${answer.body.id}`)
    return body.blockers?.some(({ code }: { code: string }) => code === 'PodUnschedulable')
  })
  assert.equal((await client.call('DELETE', `/v1/operations/${answer.body.id}`)).status, 202)
  const policies = '/apis/networking.k8s.io/v1/namespaces/project-harbour/networkpolicies'
  // As an agent of another configuration would have left it.
  const labels = { 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'harbour' }
  const outdated = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'skerry-outdated', labels },
    spec: { podSelector: {} },
  }
  await region.admin.request({ method: 'POST', path: policies, body: outdated })
  await until('the outdated policy is gone', async () => {
    const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: policies })
    return items.length > 0 && items.every(({ metadata }) => metadata.name !== 'skerry-outdated')
  })
  await exposeGrafana()
  await done('PUT', '/v1/projects/harbour', { ...project, imagePullSecrets: [] })
  await done('DELETE', '/v1/projects/harbour?cascade=true')

  // Another leader collects what has ended, as soon as it is one.
  await agent.stop()
  await region.startAgent({ config })

  const used = () =>
    new Set(
      cluster.deeds
        .filter(({ status }) => status !== 403)
        .flatMap(({ verb, resource, name }) => [`${verb} ${resource}`, ...(name === undefined ? [] : [`${verb} ${resource} ${name}`])]),
    )
  const unused = () => rights([...everywhere, ...atHome]).filter((right) => !used().has(right) && !elsewhere.includes(right))
  await until('every right was used', async () => unused().length === 0).catch(() =>
    assert.deepEqual(unused(), [], 'rights that nothing used'),
  )
  assert.deepEqual(
    cluster.deeds.filter(({ status }) => status === 403 || status === 401),
    [],
    'what was refused',
  )
})
