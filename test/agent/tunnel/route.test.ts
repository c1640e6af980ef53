import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { desiredTunnel, settingsConfigMap, tunnelConfigMap, tunnelYaml } from '../../../agent/tunnel/desired.ts'
import { type KubernetesObject, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type QuietRegion, startQuietRegion } from '../api/region.ts'
import { installedByHelm, tunnelFrom, tunnelGiven } from '../tunnel-sample.ts'
import { muster } from './crew.ts'

const tunnel = tunnelFrom()
const settings = settingsConfigMap(tunnel, { grafana: false })
const { deployment } = installedByHelm()
let region: QuietRegion
let without: QuietRegion

before(async () => {
  region = await startQuietRegion({ tunnel })
  without = await startQuietRegion()
})
after(async () => {
  await region?.close()
  await without?.close()
})

const kept = (): Promise<KubernetesObject | undefined> =>
  region.admin.request<KubernetesObject>({ method: 'GET', path: pathOfObject(settings) }).catch(() => undefined)
const shown = async () => (await region.call('GET', '/v1/tunnel')).body
const patchTo = (body: unknown, headers: Record<string, string> = {}, query = '') =>
  region.call('PATCH', `/v1/tunnel${query}`, { body, headers })

afterEach(async () => {
  if ((await kept()) === undefined) return
  await region.admin.request({ method: 'DELETE', path: pathOfObject(settings) })
  await until('the settings are as configured', async () => (await shown()).expose.grafana === false)
})

test('without a tunnel in the configuration it says so, and how to have one', async () => {
  const { status, body, headers } = await without.call('GET', '/v1/tunnel')
  assert.equal(status, 200)
  assert.deepEqual([body.configured, body.expose, body.status.cloudflared, body.status.exposed], [false, { grafana: false }, null, []])
  assert.match(body.status.message, /cloudflared\.enabled=true/)
  assert.equal(body.status.etag, headers.get('etag'))
  assert.equal((await without.call('GET', '/v1/region')).body.tunnel, null)

  const refused = await without.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
  assert.deepEqual([refused.status, refused.body.type], [409, 'https://skerry.dev/problems/wrong-state'])
  assert.match(refused.body.detail, /set `tunnel` in its configuration/)
})

test('shows what is reachable from the internet, and what stands in the way', async () => {
  const { expose, configured, status } = await shown()
  assert.deepEqual([configured, expose], [true, { grafana: false }])
  assert.deepEqual(status.exposed, [
    { what: 'agent', hostname: 'harbour-1.example.org', url: 'https://skerry-agent.skerry.svc:8443' },
    { what: 'prometheus', hostname: 'prometheus-harbour-1.example.org', url: 'http://prometheus-operated.monitoring.svc:9090' },
  ])
  assert.equal(status.warnings.length, 1)
  assert.match(status.warnings[0], /^Prometheus .* has no login, so only/)
  assert.deepEqual([status.cloudflared.state, status.configuration, status.lastError], ['missing', 'pending', null])
  assert.deepEqual(
    status.blockers.map(({ code }: { code: string }) => code),
    ['CloudflaredMissing'],
  )
})

test('a change is in etcd when it is answered, with warnings, and stays as it is when it is sent again', async () => {
  const before = await shown()
  const { status, body, headers } = await patchTo({ expose: { grafana: true } })
  assert.equal(status, 200)
  const stored = await kept()
  assert.equal(stored?.data.expose, '{"grafana":true}')
  assert.deepEqual(body.expose, { grafana: true })
  assert.match(body.status.warnings[1], /^Grafana is reachable from the internet at https:\/\/grafana-harbour-1\.example\.org/)
  assert.equal(body.status.exposed[2].url, 'http://grafana.monitoring.svc:80')
  assert.notEqual(body.status.etag, before.status.etag)
  assert.equal(headers.get('etag'), body.status.etag)
  assert.deepEqual(await shown(), body)
  assert.equal(region.records.at(-1)?.route, '/v1/tunnel')

  await patchTo({ expose: { grafana: true } })
  assert.equal((await kept())?.metadata.resourceVersion, stored?.metadata.resourceVersion)

  const ended = await patchTo({ expose: { grafana: null } })
  assert.deepEqual([ended.status, ended.body.expose], [200, { grafana: false }])
  assert.equal((await kept())?.data.expose, '{"grafana":false}')
})

test('If-Match holds while the wish is the one that was seen, whatever the status does', async () => {
  const etag = (await shown()).status.etag
  // Without pods, which would be counted with those of a later one.
  await region.stand({ ...deployment, spec: { ...deployment.spec, replicas: 0 } })
  await until('the status is another', async () => (await shown()).status.etag !== etag)
  assert.equal((await patchTo({ expose: { grafana: true } }, { 'if-match': etag })).status, 200)
  const late = await patchTo({ expose: { grafana: true } }, { 'if-match': etag })
  assert.deepEqual([late.status, late.body.type], [412, 'https://skerry.dev/problems/precondition-failed'])
  assert.equal((await patchTo({ expose: { grafana: false } }, { 'if-match': late.body.etag })).status, 200)
  await region.admin.request({ method: 'DELETE', path: pathOfObject(deployment) })
  await until('cloudflared is seen to be gone', async () => (await shown()).status.cloudflared.state === 'missing')
})

test('a dry run tells the difference and what it means, and writes nothing', async () => {
  await region.stand(tunnelConfigMap(tunnel, tunnelYaml(tunnel, { grafana: false }), { revision: '1-a', outdated: '' }))
  await region.stand(deployment)
  await until('cloudflared is seen', async () => (await shown()).status.cloudflared.state === 'not-ready')
  const crew = muster(region.admin, deployment)
  await until('its pods are there', async () => (await crew.pods()).length === 2)
  await crew.stop()
  const [pod] = (await crew.pods()) as [KubernetesObject]
  await until('its pods are seen', async () => (await patchTo({ expose: { grafana: true } }, {}, '?dryRun=true')).body.steps[1]?.objects[2])
  await until('its configuration is seen', async () => (await shown()).status.configuration !== 'pending')
  const { status, body } = await patchTo({ expose: { grafana: true } }, {}, '?dryRun=true')
  assert.equal(status, 200)
  assert.equal(await kept(), undefined)
  assert.deepEqual((await shown()).expose, { grafana: false })

  const [exposing, configuring] = body.steps
  assert.match(
    exposing.consequences[0],
    /^Grafana becomes reachable from the internet at https:\/\/grafana-harbour-1\.example\.org; only its own login/,
  )
  assert.deepEqual([exposing.objects[0].name, exposing.objects[0].change], ['skerry-tunnel', 'create'])
  const expected = (desiredTunnel(tunnel, { grafana: true }) as { ingress: { hostname?: string }[] }).ingress[2]?.hostname
  const [written, replaced] = configuring.objects
  assert.deepEqual(
    written.diff.find(({ path }: { path: string }) => path === '/data/tunnel.yaml/ingress/2/hostname'),
    { path: '/data/tunnel.yaml/ingress/2/hostname', to: expected },
  )
  assert.deepEqual(replaced, { kind: 'Pod', namespace: 'skerry', name: pod.metadata.name, change: 'delete', diff: [] })

  await patchTo({ expose: { grafana: true } })
  assert.deepEqual((await patchTo({ expose: { grafana: true } }, {}, '?dryRun=true')).body.steps, [])
})

const refused = [
  { name: 'what nobody knows', body: { expose: { kibana: true } }, status: 422 },
  { name: 'a field beside it', body: { hostname: 'else.example.org' }, status: 422 },
  { name: 'a value that is no truth', body: { expose: { grafana: 'yes' } }, status: 422 },
  { name: 'a body that is no patch', body: [true], status: 422 },
]
for (const { name, body, status } of refused) {
  test(`refuses ${name}, and changes nothing`, async () => {
    const answer = await patchTo(body)
    assert.deepEqual([answer.status, answer.body.type], [status, 'https://skerry.dev/problems/invalid-fields'])
    assert.equal(await kept(), undefined)
  })
}

test('refuses to expose a Grafana that is not configured', async () => {
  const bare = await startQuietRegion({ tunnel: tunnelFrom({ ...tunnelGiven, grafana: undefined }) })
  try {
    const { status, body } = await bare.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
    assert.deepEqual([status, body.type], [409, 'https://skerry.dev/problems/wrong-state'])
    assert.match(body.detail, /tunnel\.grafana\.url/)
  } finally {
    await bare.close()
  }
})

test('needs the scope tunnel:write for a change, and region:read to look', async () => {
  const reader = region.as(['region:read', 'projects:write'])
  assert.equal((await reader('GET', '/v1/tunnel')).status, 200)
  const { status, body } = await reader('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
  assert.deepEqual([status, body.scope], [403, 'tunnel:write'])
  assert.equal(await kept(), undefined)
})

test('changes at the same time are made one after the other, none refused', async () => {
  await patchTo({ expose: { grafana: false } })
  const answers = await Promise.all([true, false, true].map((grafana) => patchTo({ expose: { grafana } })))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  )
  assert.deepEqual(JSON.parse((await kept())?.data.expose), (await shown()).expose)
})

test('the region tells of it in short', async () => {
  await patchTo({ expose: { grafana: true } })
  const { tunnel: told } = (await region.call('GET', '/v1/region')).body
  assert.equal(told.hostname, 'harbour-1.example.org')
  assert.deepEqual(told.alsoExposed, ['prometheus-harbour-1.example.org', 'grafana-harbour-1.example.org'])
  assert.equal(told.configuration, 'pending')
})
