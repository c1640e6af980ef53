import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { openScene, succeeded } from './bootstrap-scene.ts'

// One story: a region joins the cloud of its token, is installed again without one, and is forgotten when somebody asks for that.

const scene = await openScene()
const { http, bench, charts, list, kubeconfig, uninstall } = scene
after(() => scene.close())

const usual = ['--yes', '--offline', charts, '--skip', 'preflight', '--components', list, '--only', 'skerry', '--no-wait']
const install = (...args: string[]) => bench.run('install.sh', [...args, ...usual], { kubeconfig })
const secrets = '/api/v1/namespaces/skerry/secrets'

async function secret(name: string): Promise<Record<string, string> | undefined> {
  const { status, body } = await http.get(`${secrets}/${name}`)
  if (status === 404) return undefined
  return Object.fromEntries(Object.entries<string>(body.data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
}
async function agentConfig(): Promise<{ region: { id: string }; cloud?: { url: string } }> {
  return parse((await http.get('/api/v1/namespaces/skerry/configmaps/skerry-agent')).body.data['agent.yaml'])
}
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const claimsOf = (token: string) => Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()

const pin = 'A'.repeat(43)
const token = bench.cloud.token({ cloud: 'https://cloud.example:8443', id: 't-1', pin, caller: 'ab'.repeat(32) })

test('what the region joins its cloud with is in a Secret, and the token is nowhere', async () => {
  const ran = await install(token)
  succeeded(ran)
  assert.match(ran.out, /Region harbour-1 of https:\/\/cloud\.example:8443 \(token's signature checked\)\nThe region joins this cloud/)
  assert.match(ran.out, /; and how it stands with its cloud: kubectl -n skerry get registration cloud\n/)
  assert.deepEqual(await secret('skerry-join'), {
    ...{ sha256: sha256(token), id: 't-1', pin, claims: claimsOf(token) },
    'cloud.pem': bench.cloud.publicPem,
  })
  assert.deepEqual((await agentConfig()).cloud, { url: 'https://cloud.example:8443' })
  const everything = JSON.stringify([(await http.get(secrets)).body, (await http.get('/api/v1/namespaces/skerry/configmaps')).body])
  const signature = token.split('.')[2] ?? ''
  assert.ok(!everything.includes(signature) && !ran.log.includes(signature))
  assert.ok(!ran.log.includes(sha256(token)), 'nor is its hash in the log')
})

test('a token of before joins by its hash alone, and nothing of the one before it stays', async () => {
  const old = bench.cloud.token({ cloud: 'https://cloud.example/' })
  succeeded(await install(old))
  assert.deepEqual(await secret('skerry-join'), { sha256: sha256(old), claims: claimsOf(old), 'cloud.pem': bench.cloud.publicPem })
  assert.deepEqual((await agentConfig()).cloud, { url: 'https://cloud.example' })
})

test('it takes the place of a token that somebody put there by hand', async () => {
  const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'skerry-join', namespace: 'skerry' }, stringData: { token } }
  await scene.admin.request({ method: 'PATCH', path: `${secrets}/skerry-join`, contentType: 'application/merge-patch+json', body })
  const next = bench.cloud.token({ id: 't-1b' })
  succeeded(await install(next))
  const { token: left, id } = (await secret('skerry-join')) ?? {}
  assert.deepEqual([left, id], [undefined, 't-1b'])
})

const apart: [name: string, given: string[], says: RegExp][] = [
  ['with --no-join', [token, '--no-join'], /The region does not join this cloud: --no-join\./],
  [
    'whose address has a path',
    [bench.cloud.token({ cloud: 'https://cloud.example/regions' })],
    /The region does not join this cloud: its address has a path/,
  ],
]
for (const [name, given, says] of apart) {
  test(`a cloud is not joined ${name}`, async () => {
    const ran = await install(...given)
    succeeded(ran)
    assert.match(ran.out, says)
    assert.doesNotMatch(ran.out, /how it stands with its cloud/)
    assert.equal((await agentConfig()).cloud, undefined)
  })
}

test('without a token nothing is installed while the region has no key', async () => {
  succeeded(await install(token))
  const { code, err } = await install()
  assert.equal(code, 2)
  assert.match(err, /there is no token\n[\s\S]*skerry-identity/)
})

test('a region that its cloud knows is upgraded without a token', async () => {
  const metadata = { name: 'skerry-identity', labels: { 'app.kubernetes.io/managed-by': 'skerry' } }
  assert.equal((await http.post(secrets, { metadata, data: { 'state.json': 'e30=' } })).status, 201)
  const ran = await install()
  succeeded(ran)
  assert.match(ran.out, /\(no token is needed: its cloud knows the region by the Secret skerry-identity\)\n/)
  assert.equal((await agentConfig()).region.id, 'harbour-1')
  assert.deepEqual((await agentConfig()).cloud, { url: 'https://cloud.example:8443' })
  assert.match((await secret('skerry-agent-tokens'))?.['tokens.yaml'] ?? '', /abababab/, 'the caller of the token stays too')
})

test('with a new token it stays the one that its cloud knows', async () => {
  const fresh = bench.cloud.token({ id: 't-2' })
  const ran = await install(fresh)
  succeeded(ran)
  assert.match(ran.out, /the Secret skerry-identity is still there: its cloud knows the region by it, and joining needs no token/)
  assert.equal((await secret('skerry-join'))?.id, 't-2', 'the agent decides whether it is needed')
})

test('a region that is taken away keeps its key, and its namespace with it', async () => {
  const told = await uninstall(['--dry-run'])
  succeeded(told)
  assert.match(
    told.out,
    /What would stay:[\s\S]* {7}the Secret skerry-identity, by which its cloud knows this region \(--forget loses it\)\n/,
  )
  const ran = await uninstall()
  succeeded(ran)
  assert.match(
    ran.out,
    /What is left:[\s\S]* {7}namespace skerry: its cloud knows this region by the Secret skerry-identity \(--forget loses it\)\n/,
  )
  assert.ok((await secret('skerry-identity')) && (await secret('skerry-join')))
  const again = await install()
  succeeded(again)
  assert.match(again.out, /no token is needed[\s\S]*Region harbour-1 is installed/)
})

test('it is not forgotten while an agent is there that this installer did not install', async () => {
  const labels = { app: 'skerry-agent' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'agent', image: 'registry.example/own:1' }] } }
  const deployments = '/apis/apps/v1/namespaces/skerry/deployments'
  succeeded(await uninstall(['--only', 'skerry']))
  const body = { metadata: { name: 'skerry-agent' }, spec: { selector: { matchLabels: labels }, template } }
  assert.equal((await http.post(deployments, body)).status, 201)
  const { code, out } = await uninstall(['--forget', '--only', 'skerry'])
  assert.equal(code, 1)
  assert.match(out, /FAILED .*: the agent is still installed, and would make another key\n.*remove Skerry first/)
  assert.ok(await secret('skerry-identity'))
  await http.delete(`${deployments}/skerry-agent`)
})

test('it is forgotten when that is asked for, which says what is lost', async () => {
  assert.match((await uninstall(['--forget', '--only', 'flux'])).err, /--forget cannot be combined with --only, except --only skerry/)
  const told = await uninstall(['--forget', '--dry-run'])
  succeeded(told)
  assert.match(told.out, / {7}FOREVER: Secret skerry-identity in skerry\n {7}its cloud never knows this region again: .*new token/)
  assert.ok(await secret('skerry-identity'))
  const ran = await uninstall(['--forget'])
  succeeded(ran)
  assert.match(ran.out, /\] identity: the key by which the cloud knows the region\n {7}forgotten/)
  assert.equal((await http.get('/api/v1/namespaces/skerry')).status, 404)
})
