import assert from 'node:assert/strict'
import { test } from 'node:test'
import { edgeNodeConfig, sparkplugConfig } from '../../../monitor/sparkplug/config.ts'
import { startBroker } from './broker.ts'
import { metric, nodeInHand } from './node-in-hand.ts'
import { propertiesOf } from './schema.ts'

const parsed = (given: object = {}) =>
  edgeNodeConfig(sparkplugConfig.parse({ group: 'shore', node: 'skerry', servers: [{ url: 'mqtt://h' }], ...given }))

test('metered sends less often, shorter names and no documentation; what is given takes precedence, field by field', () => {
  const [standard, metered] = [parsed(), parsed({ profile: 'metered' })]
  assert.deepEqual([standard.keepAliveSeconds, standard.maxSilenceMs, standard.hasAliases], [30, 600_000, false])
  assert.deepEqual([metered.keepAliveSeconds, metered.maxSilenceMs, metered.hasAliases], [240, 86_400_000, true])
  for (const [name, { atMostEveryMs = 0 }] of Object.entries(standard.deadbands))
    assert.ok((metered.deadbands[name as keyof typeof metered.deadbands].atMostEveryMs ?? 0) > atMostEveryMs, name)
  const given = parsed({
    ...{ profile: 'metered', keepAlive: '1m', maxSilence: '1h', coalesce: '0s', aliases: false, documentation: true },
    deadbands: { duration: { relative: 0.2 }, lastSeen: { atMostEvery: '0s' } },
  })
  assert.deepEqual([given.keepAliveSeconds, given.maxSilenceMs, given.coalesceMs], [60, 3_600_000, 0])
  assert.deepEqual([given.hasAliases, given.hasDocumentation], [false, true])
  assert.deepEqual(given.deadbands, {
    ...metered.deadbands,
    duration: { ...metered.deadbands.duration, relative: 0.2 },
    lastSeen: { absolute: undefined, relative: undefined, atMostEveryMs: 0 },
    ...{ detail: { absolute: undefined, relative: undefined, atMostEveryMs: 3_600_000 } },
    requested: { absolute: undefined, relative: 0.1, atMostEveryMs: 900_000 },
  })
})

for (const [field, given] of Object.entries({
  absolute: { duration: { absolute: -1 } },
  relative: { usage: { relative: 101 } },
  atMostEvery: { detail: { atMostEvery: '8d' } },
  temperature: { temperature: {} },
}))
  test(`a deadband with a wrong ${field} is a fault`, () => assert.throws(() => parsed({ deadbands: given }), new RegExp(field)))

test('without documentation, a birth has units and limits still', async (t) => {
  const broker = await startBroker(t)
  const { node } = nodeInHand(t, [broker.url], { hasDocumentation: false })
  node.setNode([metric('Temperature', 1, { unit: 'Cel', low: -40, description: 'Of the cabinet' })])
  await node.start(new AbortController().signal)
  const { payload } = await broker.heard(({ verb }) => verb === 'NBIRTH')
  const { engUnit, engLow, documentation } = propertiesOf(payload.metrics.find(({ name }) => name === 'Temperature'))
  assert.deepEqual([engUnit?.stringValue, engLow?.doubleValue, documentation], ['Cel', -40, undefined])
})
