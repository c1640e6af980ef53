import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { clusterNetworksNow } from '../../../agent/region/cluster-networks.ts'
import { type QuietRegion, startQuietRegion, storageClasses, usualDatabase } from './region.ts'

let region: QuietRegion

const aws = { bucket: 'snapshots', region: 'eu-north-1', cron: '1 * * * *', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'secret' }
const database = '/v1/projects/harbour/databases/tidal-gauge'
const fresh = '/v1/projects/harbour/databases/fresh'

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'quay' }, spec: { podCIDRs: ['10.42.3.0/24', 'fd42:3::/64'] } }
  const made = await region.admin.request({ method: 'POST', path: '/api/v1/nodes', body: node })
  region.caches.nodes.put(made)
  await region.standProject({ id: 'harbour' })
  await region.standDatabase('harbour', { id: 'tidal-gauge', backups: { aws }, allowedCIDRs: ['10.20.0.0/16'] })
})
after(() => region?.close())

const inside = [
  { host: '127.0.0.1', is: 'a loopback address' },
  { host: '2130706433', is: 'a loopback address' },
  { host: '0x7f.1', is: 'a loopback address' },
  { host: '017700000001', is: 'a loopback address' },
  { host: '0', is: 'a loopback address' },
  { host: 'localhost', is: 'a loopback address' },
  { host: 'x.localhost.', is: 'a loopback address' },
  { host: '169.254.169.254', is: 'a link-local address' },
  { host: '2852039166', is: 'a link-local address' },
  { host: '100.100.100.200', is: 'a link-local address' },
  { host: '168.63.129.16', is: 'a link-local address' },
  { host: '192.0.0.192', is: 'a link-local address' },
  { host: 'metadata.google.internal', is: "a cloud's metadata service" },
  { host: '224.0.0.1', is: 'a multicast or reserved address' },
  { host: '255.255.255.255', is: 'a multicast or reserved address' },
  { host: '10.96.0.1', is: 'an address of pods or Services' },
  { host: '10.42.3.9', is: 'an address of pods or Services' },
  { host: '169-254-169-254.default.pod', is: 'the name of a pod' },
  { host: '127-0-0-1.default.pod', is: 'the name of a pod' },
  { host: '10-0-0-5.project-x.POD.site.example', is: 'the name of a pod' },
  { host: 'minio.crate-operator', is: 'the name of a Service' },
  { host: 'crate-discovery-x.project-other', is: 'the name of a Service' },
  { host: 'skerry-agent.skerry', is: 'the name of a Service' },
  { host: 'kubernetes', is: 'the name of a Service' },
  { host: 'kubernetes.default', is: 'the name of a Service' },
  { host: 'kubernetes.default.svc', is: 'the name of a Service' },
  { host: 'Crate-Discovery-X.project-other.SVC.cluster.local', is: 'the name of a Service' },
  { host: 'minio.storage.svc.site.example', is: 'the name of a Service' },
]
for (const { host, is } of inside) {
  test(`backups and restores do not go to ${host}, which is ${is}`, async () => {
    const endpointUrl = `http://${host}:9000/x`
    const put = await region.call('PUT', `${fresh}?dryRun=true`, { body: { ...usualDatabase, backups: { aws: { ...aws, endpointUrl } } } })
    assert.equal(put.status, 422, put.text)
    assert.deepEqual(
      put.body.faults.map(({ path }: { path: string }) => path),
      ['/backups/aws/endpointUrl'],
    )
    assert.ok(put.body.faults[0].message.includes(` is ${is}`), put.text)
    const { bucket, accessKeyId, secretAccessKey } = aws
    const source = { basePath: 'x', aws: { bucket, endpointUrl, accessKeyId, secretAccessKey } }
    const restored = await region.call('POST', `${database}/actions/restore?dryRun=true`, { body: { snapshot: 'x', source } })
    assert.equal(restored.status, 422, restored.text)
    assert.ok(restored.text.includes(` is ${is}`), restored.text)
  })
}

for (const host of [
  's3.harbour.example',
  'harbour.example',
  's3.xn--p1ai',
  '10.42.4.9',
  '192.168.7.9',
  '203.0.113.5',
  'minio.allowed.svc',
  '10.96.7.9',
]) {
  test(`backups may go to ${host}`, async () => {
    const body = { ...usualDatabase, backups: { aws: { ...aws, endpointUrl: `https://${host}` } } }
    const { status, text } = await region.call('PUT', `${fresh}?dryRun=true`, { body })
    assert.equal(status, 200, text)
  })
}

for (const host of ['[::1]', '[::ffff:127.0.0.1]', '[fe80::1]', '[64:ff9b::a9fe:a9fe]', '[2001:db8::1]']) {
  test(`backups do not go to ${host}: an IPv6 address needs a name`, async () => {
    const body = { ...usualDatabase, backups: { aws: { ...aws, endpointUrl: `http://${host}:9000` } } }
    const { status, text } = await region.call('PUT', `${fresh}?dryRun=true`, { body })
    assert.equal(status, 422, text)
    assert.match(text, /an IPv6 address needs a name/)
  })
}

test('the networks of the cluster are those of the site, of the pods of each node, and the address of the API server', () => {
  const nodes = [
    { spec: { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24', 'fd42::/64'] } },
    { spec: { podCIDR: '10.42.1.0/24' } },
    { spec: {} },
  ].map((node, index) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${index}` }, ...node }))
  const pods = ['10.42.0.0/24', 'fd42::/64', '10.42.1.0/24']
  const at = (server: string) => clusterNetworksNow(['10.43.0.0/16'], { nodes, server: new URL(server) })
  assert.deepEqual(at('https://10.43.0.1:443'), ['10.43.0.0/16', ...pods, '10.43.0.1/32'])
  assert.deepEqual(at('https://[fd43::1]'), ['10.43.0.0/16', ...pods, 'fd43::1/128'])
  assert.deepEqual(at('https://kubernetes.example:6443'), ['10.43.0.0/16', ...pods])
})

test('a URL whose host is none is refused', async () => {
  const body = { ...usualDatabase, backups: { aws: { ...aws, endpointUrl: 'http://1.2.3.4.5.6.7' } } }
  const { status, text } = await region.call('PUT', `${fresh}?dryRun=true`, { body })
  assert.equal(status, 422, text)
})

const strange = [
  { network: '169.254.0.0/16', is: /link-local/ },
  { network: '169.254.169.254/32', is: /link-local/ },
  { network: 'fe80::/64', is: /link-local/ },
  { network: '224.0.0.0/4', is: /multicast/ },
  { network: 'ff02::/16', is: /multicast/ },
  { network: '224.0.0.0/3', is: /is in the multicast and reserved networks/ },
  { network: '0.0.0.0/32', is: /this network/ },
  { network: '::/128', is: /reserved/ },
  { network: '::/96', is: /reserved/ },
  { network: 'fec0::/10', is: /reserved/ },
  { network: '255.255.255.255/32', is: /reserved/ },
  { network: '127.0.0.0/8', is: /loopback/ },
]
for (const { network, is } of strange) {
  test(`clients cannot come from ${network}`, async () => {
    const { status, body } = await region.call('PUT', database, { body: { ...usualDatabase, allowedCIDRs: [network] } })
    assert.equal(status, 422)
    assert.equal(body.faults[0].path, '/allowedCIDRs/0')
    assert.match(body.faults[0].message, is)
  })
}

const wide = [
  { networks: ['0.0.0.0/0'], says: 'all IPv4 addresses' },
  { networks: ['::/0'], says: 'all IPv6 addresses' },
  { networks: ['0.0.0.0/1', '128.0.0.0/1'], says: 'all IPv4 addresses' },
  { networks: ['128.0.0.0/2', '192.0.0.0/2', '0.0.0.0/1', '10.0.0.0/8'], says: 'all IPv4 addresses' },
  { networks: ['0.0.0.0/1'], says: '50 % of all IPv4 addresses' },
  { networks: ['2000::/3'], says: 'all IPv6 addresses' },
  { networks: ['2000::/4', '2000::/5', 'fd00::/8'], says: '50 % of all IPv6 addresses' },
  { networks: ['10.0.0.0/8', '192.168.0.0/16'], says: undefined },
  { networks: ['fc00::/7', '2001:db8::/32'], says: undefined },
]
for (const { networks, says } of wide) {
  test(`the plan ${says === undefined ? 'has no warning' : `says that the list admits ${says}`} for ${networks.join(', ')}`, async () => {
    const body = { allowedCIDRs: networks }
    const changed = await region.call('PATCH', `${database}?dryRun=true`, { body })
    const made = await region.call('PUT', `${fresh}?dryRun=true`, { body: { ...usualDatabase, ...body } })
    for (const answer of [changed, made]) {
      assert.equal(answer.status, 200, answer.text)
      const said = answer.body.steps.flatMap(({ consequences }: { consequences: string[] }) => consequences).join('\n')
      if (says === undefined) assert.doesNotMatch(said, /The list admits/)
      else assert.ok(said.includes(`The list admits ${says}`), said)
    }
  })
}
