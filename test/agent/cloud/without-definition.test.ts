import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isProblem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { type Client, createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'
import { install } from '../../shared/kubernetes/connected.ts'

const definition = 'registrations.skerry.dev'
const definitionAt = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition}`
let cluster: TestCluster
let region: Region
let cloud: ServedCloud
let folder: string
const log: string[] = []

before(async () => {
  cluster = await startCluster()
  cloud = await serveCloud()
  folder = await mkdtemp(join(tmpdir(), 'skerry-cloud-'))
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, cloud.ca)
  region = await prepareRegion(cluster, { config: { cloud: { url: cloud.origin, caFile } } })
})
after(async () => {
  await region.close()
  await cloud.close()
  await cluster.stop()
  await rm(folder, { recursive: true })
})

async function removeDefinition(): Promise<void> {
  await region.admin.request({ method: 'DELETE', path: definitionAt })
  await until('the kind is not served', () =>
    region.admin.request({ method: 'GET', path: pathOf(kinds.Registration, region.namespace) }).then(
      () => false,
      (error) => isProblem(error, 'not-served'),
    ),
  )
}

const whenCodeIsShown = () =>
  until('a code is shown', async () => {
    try {
      return (await readObject(region.admin, pathOf(kinds.Registration, region.namespace, 'cloud')))?.status?.pairing
    } catch (error) {
      if (isProblem(error, 'not-served')) return undefined // just installed
      throw error
    }
  })

const parts = async (adminUrl: string) => {
  const answer = await fetch(`${adminUrl}/readyz`)
  const { parts } = (await answer.json()) as { parts: { name: string; ready: boolean; warning?: true; reason?: string }[] }
  return { status: answer.status, part: parts.find(({ name }) => name === 'cache of registration') }
}
const metrics = async (adminUrl: string) => (await fetch(`${adminUrl}/metrics`)).text()
const show = (client: Client) => client.call('GET', '/v1/region/registration')
const startAgent = async () => {
  const agent = await region.startAgent({ onLog: (line) => log.push(line), signal: AbortSignal.timeout(60_000) })
  return { agent, client: createClient({ url: agent.url, ca: region.ca, token: region.token }) }
}

test('without the CRD of Registrations the agent serves its API, says what is missing, and joins once it is installed', async (t) => {
  await removeDefinition()
  const { agent, client } = await startAgent()
  t.after(() => client.close())

  await t.test('the API takes requests and carries them out', async () => {
    const put = await client.call('PUT', '/v1/projects/harbour', { body: { id: 'harbour' }, headers: { prefer: 'wait=30' } })
    assert.equal(put.status, 200, put.text)
    assert.equal((await client.call('GET', '/v1/region')).status, 200)
  })

  await t.test('the link says it: API, readiness, metrics and log', async () => {
    const { status, body } = await until('the fault is known', async () => {
      const answer = await show(client)
      return answer.body.type.endsWith('/not-served') && answer
    })
    assert.equal(status, 503)
    assert.match(body.detail, /CRD registrations\.skerry\.dev is missing/)
    assert.match(body.action, /install the CRD/)
    const { status: readyz, part } = await parts(agent.adminUrl)
    assert.deepEqual([readyz, part?.ready, part?.warning], [200, false, true])
    assert.match(part?.reason ?? '', /CRD registrations\.skerry\.dev is missing/)
    assert.match(await metrics(agent.adminUrl), /^skerry_agent_cache_troubled\{cache="registration"\} 1$/m)
    const [line, ...more] = log.filter((line) => line.includes('watch broken'))
    assert.match(line ?? '', /CRD registrations\.skerry\.dev is missing.*"action":"[^"]*install the CRD/)
    assert.deepEqual(more, [])
  })

  await t.test('it goes on by itself once the CRD is there', async () => {
    await install(region.admin, ['deploy/crds/registrations.yaml'])
    const { code } = await whenCodeIsShown()
    const { body } = await until('the code is in the API', async () => {
      const answer = await show(client)
      return answer.status === 200 && answer.body.pairing?.code === code && answer
    })
    assert.equal(body.state, 'Unpaired')
    assert.deepEqual((await parts(agent.adminUrl)).part, { name: 'cache of registration', ready: true })
    assert.match(await metrics(agent.adminUrl), /^skerry_agent_cache_troubled\{cache="registration"\} 0$/m)
  })

  await t.test('a CRD that is deleted later is told, and its return is noticed', async () => {
    await removeDefinition()
    await until('the fault is known', async () => (await show(client)).body.type?.endsWith('/not-served'))
    assert.equal((await client.call('GET', '/v1/region')).status, 200)
    assert.equal((await parts(agent.adminUrl)).status, 200)
    await install(region.admin, ['deploy/crds/registrations.yaml'])
    await whenCodeIsShown()
    await until('it is shown', async () => (await show(client)).status === 200)
  })
  await agent.stop()
})

test('with the permissions of a version before the link the agent serves its API, and says which right it lacks', async (t) => {
  const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${region.namespace}/roles/skerry-agent`
  const role = await region.admin.request<KubernetesObject>({ method: 'GET', path })
  const ofTheLink = ({ resources, resourceNames = [] }: { resources: string[]; resourceNames?: string[] }) =>
    resources.some((each) => each.startsWith('registrations')) || resourceNames.includes('skerry-join')
  const withRules = (rules: object[]) =>
    region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { rules } })
  const before = role.rules.filter((rule: { resources: string[] }) => !ofTheLink(rule))
  assert.ok(before.length < role.rules.length)
  await withRules(before)
  const { agent, client } = await startAgent()
  t.after(() => client.close())
  assert.equal((await client.call('GET', '/v1/region')).status, 200)
  const { status, body } = await until('the fault is known', async () => {
    const answer = await show(client)
    return answer.body.type?.endsWith('/cluster-forbidden') && answer
  })
  assert.deepEqual([status, (await parts(agent.adminUrl)).status], [503, 200])
  assert.match(body.detail, /registrations/)
  await withRules(role.rules)
  await until('it is shown', async () => (await show(client)).status === 200)
  await agent.stop()
})
