import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNames } from '../../../monitor/sparkplug/names.ts'
import { idFault } from '../../../monitor/sparkplug/topics.ts'
import { anyText, fc } from '../../shared/property.ts'
import { startBroker } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { encode } from './schema.ts'

const portable = createNames('portable')
const plain = createNames('plain')

/** What Ignition takes as one level of a tag path (docs.chariot.io, MQTT Engine String Replacement). */
const legal = /^[\p{L}0-9_][\p{L}0-9_ '():-]*$/u
/** What docs/monitoring-devices.md tells a consumer to do. */
const original = (written: string) =>
  written.replace(/:|_x([0-9A-F]{4}|[0-9A-F]{8})_/g, (_, code?: string) => (code ? String.fromCodePoint(Number.parseInt(code, 16)) : '.'))
/** Names as people give them, and names made of everything that has a meaning here. */
const anyName = fc.oneof(
  anyText({ minLength: 1, maxLength: 30 }),
  fc
    .array(fc.constantFrom(...'.:_x0041_/ %&=@+#A-(', '_x', '_x002E_', '😀', 'é', 'é'), { minLength: 1, maxLength: 12 })
    .map((all) => all.join('')),
)

test('every metric name is a legal tag path, and can be read back', () => {
  fc.assert(
    fc.property(anyName, (name) => {
      const written = portable.metric(name)
      for (const level of written.split('/')) assert.match(level, legal, written)
      assert.doesNotMatch(written, / (\/|$)/)
      assert.equal(original(written), name)
    }),
    { numRuns: 1_000 },
  )
})

test('every device id is a legal tag name and topic level, and can be read back; hence no two things share one [tck-id-topic-structure-namespace-unique-device-id]', () => {
  fc.assert(
    fc.property(fc.constantFrom('host', 'database', 'sparkplug-node'), anyName, (kind, name) => {
      const id = portable.device(kind, name)
      assert.match(id, legal)
      assert.equal(idFault(id), undefined)
      if (Buffer.byteLength(id) < 200) assert.equal(original(id.slice(kind.length + 1)), name)
    }),
    { numRuns: 1_000 },
  )
})

const ids: [kind: string, name: string, portable: string, plain: string][] = [
  ['host', 'node-1', 'host:node-1', 'host:node-1'],
  ['host', 'node-1.example.com', 'host:node-1:example:com', 'host:node-1.example.com'],
  ['database', 'harbour.tidal-gauge', 'database:harbour:tidal-gauge', 'database:harbour.tidal-gauge'],
  ['database', 'namespace.shop.orders', 'database:namespace:shop:orders', 'database:namespace.shop.orders'],
  ['checks', 'databases.harbour', 'checks:databases:harbour', 'checks:databases.harbour'],
  ['checks', 'a:b', 'checks:a_x003A_b', 'checks:a:b'],
  ['checks', 'a/b+c#%\n', 'checks:a_x002F_b_x002B_c_x0023__x0025__x000A_', 'checks:a%2Fb%2Bc%23%25%0A'],
  ['checks', "Müller's (old) & new = 2@x", "checks:Müller's (old) _x0026_ new _x003D_ 2_x0040_x", "checks:Müller's (old) & new = 2@x"],
  ['checks', 'a_x0041_b', 'checks:a_x005F_x0041_b', 'checks:a_x0041_b'],
  ['checks', '😀 ', 'checks:_x0001F600__x0020_', 'checks:😀 '],
]
for (const [kind, name, ...expected] of ids)
  test(`the ${kind} ${JSON.stringify(name)} is the device ${expected[0]}`, () =>
    assert.deepEqual([portable.device(kind, name), plain.device(kind, name)], expected))

const metricNames: [name: string, portable: string][] = [
  ['database/shop/orders/State', 'database/shop/orders/State'],
  ['router.example.com:443/Up', 'router:example:com_x003A_443/Up'],
  ['kubelet/node-1.example.com/State', 'kubelet/node-1:example:com/State'],
  ['crane@quay 7/Detail', 'crane_x0040_quay 7/Detail'],
  ['a//b/ c /.d/', 'a/_x002F_b/_x0020_c_x0020_/_x002E_d_x002F_'],
  ['-1/Up', '_x002D_1/Up'],
]
for (const [name, expected] of metricNames)
  test(`the metric ${JSON.stringify(name)} is ${expected}, and itself if names are plain`, () =>
    assert.deepEqual([portable.metric(name), plain.metric(name)], [expected, name]))

for (const [naming, { device }] of Object.entries({ portable, plain }))
  test(`${naming} ids that are too long are cut, and differ still`, () => {
    const long = ['x'.repeat(500), `${'x'.repeat(500)}y`, '.@'.repeat(300), '\ud800é'.repeat(90)].map((name) => device('database', name))
    for (const id of long) {
      assert.equal(idFault(id), undefined, id)
      if (naming === 'portable') assert.match(id, legal)
    }
    assert.equal(new Set(long).size, long.length)
    assert.equal(device('database', 'x'.repeat(500)), long[0])
  })

for (const [group, names, warnings] of [
  ['shore.west', 'portable', 1],
  ['shore.west', 'plain', 0],
  ["shore's (west)", 'portable', 0],
] as const)
  test(`the group ${group} with ${names} names has ${warnings === 0 ? 'no warning' : 'a warning'}`, async (t) => {
    const { node, lines } = nodeInHand(t, ['mqtt://127.0.0.1:1'], { group, names })
    await node.start(new AbortController().signal)
    assert.equal(lines.filter(({ msg }) => String(msg).includes('Ignition')).length, warnings)
  })

test('a node writes its devices and metrics so, and takes values and commands for them [tck-id-operational-behavior-data-commands-dcmd-verb]', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url])
  const id = node.deviceId('checks', 'quay.west')
  node.setDevice(id, [metric('tls.example/Duration', 1)])
  await node.start(new AbortController().signal)
  await broker.heard(({ verb, device }) => verb === 'DBIRTH' && device === 'checks:quay:west')
  node.update(id, [{ name: 'tls.example/Duration', value: 2 }])
  const { payload } = await broker.heard(({ verb }) => verb === 'DDATA')
  assert.deepEqual(
    payload.metrics.map(({ name, doubleValue }) => [name, doubleValue]),
    [['tls:example/Duration', 2]],
  )
  const from = broker.messages.length
  const rebirth = { name: 'Device Control/Rebirth', timestamp: Date.now(), booleanValue: true }
  await broker.publish(`spBv1.0/shore/DCMD/skerry/${id}`, encode({ timestamp: Date.now(), metrics: [rebirth] }))
  await broker.heard(({ verb, device }) => verb === 'DBIRTH' && device === id, from)
})
