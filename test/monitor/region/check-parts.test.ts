import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { defaultFields } from '../../../monitor/prober/check-fields.ts'
import { partOf, partsNeeded } from '../../../monitor/region/devices/check-parts.ts'
import { RegionModel } from '../../../monitor/region/model.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { nodeInHand } from '../sparkplug/node-in-hand.ts'
import { startScriptedServer } from '../sparkplug/scripted-server.ts'
import { edgeNodeInHand, proberInHand, silent } from './in-hand.ts'

const facts = { version: '0.1.0', region: 'harbour-1' }
const limitBytes = 131_072
const seen = { state: 'up', detail: 'status 200, 12 kB in 40 ms', lastDuration: 0.04 } as const

/** A region of so many checks in one group, told to an edge node that writes down what it hears. */
async function regionOf(t: TestContext, checks: number) {
  const clock = createFakeClock()
  const prober = proberInHand()
  const edgeNode = edgeNodeInHand(clock)
  for (let index = 0; index < checks; index++) prober.add({ name: `shop ${index}` }, seen)
  const model = new RegionModel({ prober, edgeNode, facts, clock, log: silent })
  t.after(() => model.stop())
  await model.start()
  /** The checks of each device. */
  const placed = () =>
    new Map(
      edgeNode.devices().map((id) => [
        id,
        edgeNode
          .names(id)
          .filter((name) => name.endsWith('/State'))
          .map((name) => name.slice(0, -'/State'.length)),
      ]),
    )
  const settled = async () => {
    edgeNode.calls.length = 0
    await clock.advance(200)
  }
  return { prober, edgeNode, placed, settled }
}

const deviceOf = (placed: Map<string, string[]>, check: string) => [...placed].find(([, checks]) => checks.includes(check))?.[0]

test('a group that is larger than a packet becomes several devices as soon as the limit is known', async (t) => {
  const { edgeNode, placed, prober, settled } = await regionOf(t, 450)
  assert.deepEqual([...placed().keys()], ['checks:site'])
  edgeNode.packetLimit.meet(limitBytes)
  const split = placed()
  assert.deepEqual(
    [...split.keys()],
    ['checks:site', ...Array.from({ length: split.size - 1 }, (_, part) => `checks:site (part ${part + 2})`)],
  )
  assert.equal(new Set([...split.values()].flat()).size, 450)
  assert.deepEqual([edgeNode.value('checks:site', 'Summary/Total'), edgeNode.value('checks:site', 'Summary/Devices')], [450, split.size])
  assert.ok(!edgeNode.names('checks:site (part 2)').some((name) => name.startsWith('Summary/')))

  // A run updates its own metrics, and the summary of the group.
  const away = split.get('checks:site (part 2)')?.[0] as string
  prober.see(away, { state: 'down' })
  await settled()
  assert.deepEqual(edgeNode.calls.toSorted(), ['update checks:site (part 2) 6', 'update checks:site 5'])
  assert.deepEqual([edgeNode.value('checks:site (part 2)', `${away}/Up`), edgeNode.value('checks:site', 'Summary/Down')], [false, 1])
})

test('a check keeps its device whatever other checks come and go, and another monitor finds the same', async (t) => {
  const { edgeNode, placed, prober, settled } = await regionOf(t, 450)
  edgeNode.packetLimit.meet(limitBytes)
  const before = placed()
  for (let index = 0; index < 40; index++) prober.remove(`shop ${index * 7}`)
  prober.add({ name: 'one more' }, seen)
  await settled()
  const after = placed()
  for (const checks of after.values())
    for (const check of checks) if (check !== 'one more') assert.equal(deviceOf(after, check), deviceOf(before, check))
  const other = await regionOf(t, 450)
  other.edgeNode.packetLimit.meet(limitBytes)
  assert.deepEqual(other.placed(), before)

  // When the parts double, half of the checks stay. A larger limit, of another server, changes nothing.
  edgeNode.packetLimit.meet(limitBytes / 2)
  const doubled = placed()
  const checks = [...doubled.values()].flat()
  const stayed = checks.filter((check) => deviceOf(doubled, check) === deviceOf(after, check)).length
  assert.ok(stayed > checks.length * 0.4, `${stayed} of ${checks.length}`)
  edgeNode.packetLimit.meet(limitBytes)
  assert.deepEqual(placed(), doubled)
  // Without checks it is gone.
  for (const check of checks) prober.remove(check)
  await settled()
  assert.deepEqual([...placed().keys()], [])
})

test('parts are filled within the limit, and a check that is larger than it does not multiply them for ever', () => {
  const weights = Array.from({ length: 10_000 }, (_, index) => ({ hash: (index * 2_654_435_761) % 2 ** 32, bytes: 700 }))
  const parts = partsNeeded(weights, limitBytes, 1)
  const sums = new Map<number, number>()
  for (const weight of weights) sums.set(partOf(weight, parts), (sums.get(partOf(weight, parts)) ?? 0) + weight.bytes)
  assert.ok(Math.max(...sums.values()) < limitBytes && parts <= 128, `${parts}`)
  assert.ok(partsNeeded([{ hash: 0, bytes: 1_000_000 }], 1_500, 1) <= 16_384)
  assert.equal(partsNeeded([{ hash: 0, bytes: 100 }], limitBytes, 4), 4)
})

for (const [what, properties, maxPacketSize, protocolVersion] of [
  ['announced', { maximumPacketSize: limitBytes }, undefined, 5],
  ['configured', {}, limitBytes, 4],
] as const)
  test(`no check is left out on a server whose limit is ${what}: the first births are of the parts`, async (t) => {
    const server = await startScriptedServer(t, { properties, maxPacketBytes: limitBytes })
    const { node, lines } = nodeInHand(t, [server.url], { protocolVersion, servers: [{ url: server.url, maxPacketSize }] })
    const prober = proberInHand()
    for (let index = 0; index < 450; index++) prober.add({ name: `shop ${index}`, target: `https://shop-${index}.example.com/` }, seen)
    const model = new RegionModel({ prober, edgeNode: node, facts, clock: systemClock, log: silent })
    t.after(() => model.stop())
    await model.start()
    await node.start(new AbortController().signal)
    await server.until(() => node.observe().isOnline && node.observe().buffer.length === 0, 'births that are read')
    const births = server.messages.filter(({ verb }) => verb === 'DBIRTH')
    const states = births.flatMap(({ payload }) => payload.metrics.map(({ name }) => name).filter((name) => name?.endsWith('/State')))
    assert.deepEqual([new Set(states).size, states.length, server.connects, server.tooLarge], [450, 450, 1, 0])
    assert.equal(
      lines.find(({ msg }) => String(msg).startsWith('a birth is larger')),
      undefined,
    )
    assert.ok(births.length >= 2 && births.length <= 16, `${births.length}`)
  })

test('a group must not have the name of a part', () => {
  const faultOf = (group: string) => defaultFields.safeParse({ group }).error?.issues[0]?.message
  assert.match(faultOf('site (part 2)') ?? '', /must not end with "\(part N\)"/)
  assert.equal(faultOf('site (2)'), undefined)
})
