import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cyclesOf } from '../../../monitor/prober/dependencies.ts'
import { checkOf, down, scene, up } from './scene.ts'

test('circles are found, whatever leads to them', () => {
  const cases: { name: string; given: Record<string, string[]>; want: string[][] }[] = [
    { name: 'none in a diamond', given: { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, want: [] },
    { name: 'one on itself', given: { a: ['a'] }, want: [['a', 'a']] },
    { name: 'one behind a tail', given: { a: ['b'], b: ['c'], c: ['b'] }, want: [['b', 'c', 'b']] },
    { name: 'none through a check that is not there', given: { a: ['x'], b: ['a'] }, want: [] },
  ]
  for (const { name, given, want } of cases)
    assert.deepEqual(cyclesOf(Object.entries(given).map(([name, dependsOn]) => ({ name, dependsOn }))), want, name)
  const chain = Array.from({ length: 10_000 }, (_, index) => ({ name: `${index}`, dependsOn: [`${index + 1}`] }))
  assert.deepEqual(cyclesOf(chain), [])
})

test('while a check is down, all that depend on it are unknown, through others too, and one warning is logged', async (t) => {
  const { prober, clock, does, start, state, lines, changes } = scene(t)
  const shops = Array.from({ length: 200 }, (_, index) => `shop-${index}`)
  prober.set([
    checkOf({ name: 'network' }),
    checkOf({ name: 'host', dependsOn: ['network'] }),
    ...shops.map((name) => checkOf({ name, dependsOn: ['host'] })),
    checkOf({ name: 'else' }),
  ])
  await start()
  await clock.advance(15_000)
  const before = changes().length
  for (const name of ['network', 'host', ...shops]) does(name, down)
  await clock.advance(25_000)
  assert.deepEqual([state('network'), state('host'), state('else')], ['down', 'unknown', 'up'])
  for (const name of shops) assert.equal(state(name), 'unknown', prober.status(name)?.detail)
  const status = prober.status('shop-7')
  assert.deepEqual([status?.reason, status?.detail], ['dependency', 'It depends on network, which is down.'])
  const warnings = lines.filter(({ level }) => level === 'warn')
  assert.deepEqual(
    warnings.map(({ check, to, dependants }) => [check, to, dependants]),
    [['network', 'down', 201]],
    'nothing that depends on it was ever called down',
  )
  assert.ok(
    !changes()
      .slice(before)
      .some((change) => change.startsWith('shop') && change.endsWith('down')),
  )
})

test('what depends on a check runs soon after it is back, and is not called down by what happened before', async (t) => {
  const { prober, clock, does, start, state, startsOf, changes } = scene(t)
  const hour = { intervalMs: 3_600_000, timeoutMs: 5_000 }
  prober.set([checkOf({ name: 'network' }), checkOf({ name: 'shop', ...hour, dependsOn: ['network'] })])
  await start()
  await clock.advance(15_000)
  does('network', down)
  await clock.advance(15_000)
  assert.equal(state('shop'), 'unknown')
  does('network', up)
  const before = startsOf('shop').length
  await clock.advance(16_000)
  assert.equal(startsOf('shop').length, before + 1)
  assert.deepEqual([state('network'), state('shop')], ['up', 'up'])
  assert.ok(!changes().includes('shop down'))
})

test('a check that fails alone is down once what it depends on has been heard to be well', async (t) => {
  const { prober, clock, does, start, state, startsOf } = scene(t)
  prober.set([checkOf({ name: 'network', intervalMs: 3_600_000 }), checkOf({ name: 'shop', dependsOn: ['network'] })])
  await start()
  await clock.advance(20_000)
  const asked = startsOf('network').length
  does('shop', down)
  await clock.advance(12_000)
  assert.equal(state('shop'), 'down')
  assert.equal(startsOf('network').length, asked + 1, 'it was asked at once and not an hour later')
  await clock.advance(60_000)
  assert.equal(startsOf('network').length, asked + 1, 'and not again for the same failure')
})

test('a check whose dependency is being retried waits for what comes of it', async (t) => {
  const { prober, clock, does, start, state, changes } = scene(t)
  prober.set([
    checkOf({ name: 'network', retries: 3, retryDelayMs: 5_000, intervalMs: 60_000 }),
    checkOf({ name: 'shop', dependsOn: ['network'] }),
  ])
  await start()
  await clock.advance(60_000)
  does('network', down)
  does('shop', down)
  await clock.advance(90_000)
  assert.deepEqual([state('network'), state('shop')], ['down', 'unknown'])
  assert.ok(!changes().includes('shop down'))
})

test('a dependency that is no longer there makes nobody unknown', async (t) => {
  const { prober, clock, does, start, state } = scene(t)
  does('network', down)
  prober.set([checkOf({ name: 'network' }), checkOf({ name: 'shop', dependsOn: ['network'] })])
  await start()
  await clock.advance(12_000)
  assert.equal(state('shop'), 'unknown')
  prober.set([checkOf({ name: 'shop', dependsOn: ['network'] })])
  await clock.advance(12_000)
  assert.equal(state('shop'), 'up')
})

test('a check that is added below one that is down is unknown from the start', async (t) => {
  const { prober, clock, does, start } = scene(t)
  does('network', down)
  prober.set([checkOf({ name: 'network' })])
  await start()
  await clock.advance(12_000)
  prober.set([checkOf({ name: 'network' }), checkOf({ name: 'shop', dependsOn: ['network'] })])
  assert.equal(prober.status('shop')?.reason, 'dependency')
})

test('checks that depend on each other in a circle still come to a verdict, and it is said', async (t) => {
  const { prober, clock, does, start, state, lines } = scene(t)
  for (const name of ['a', 'b']) does(name, down)
  prober.set([checkOf({ name: 'a', dependsOn: ['b'] }), checkOf({ name: 'b', dependsOn: ['a'] })])
  await start()
  await clock.advance(30_000)
  assert.deepEqual([state('a'), state('b')].sort(), ['down', 'unknown'])
  assert.equal(lines.filter(({ msg }) => msg.includes('circle')).length, 1)
})
