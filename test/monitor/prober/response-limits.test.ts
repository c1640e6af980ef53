import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseChecks } from '../../../monitor/prober/config.ts'
import { type Behaviour, checkOf, degraded, down, scene, up } from './scene.ts'

const limits = { degradedAfterMs: 500, downAfterMs: 1_500 }

const cases = [
  { name: 'within both limits is up', ms: 499, result: up, state: 'up', detail: 'It answered.' },
  {
    name: 'that takes as long as degradedAfter is degraded',
    ms: 500,
    result: up,
    state: 'degraded',
    detail: 'Took 500ms, not less than 500ms. It answered.',
  },
  {
    name: 'that takes as long as downAfter is down',
    ms: 1_500,
    result: up,
    state: 'down',
    detail: 'Took 1s500ms, not less than 1s500ms. It answered.',
  },
  {
    name: 'that was degraded and too slow is down',
    ms: 1_600,
    result: degraded,
    state: 'down',
    detail: 'Took 1s600ms, not less than 1s500ms. It is nearly full.',
  },
  {
    name: 'that was degraded keeps its own reason within downAfter',
    ms: 600,
    result: degraded,
    state: 'degraded',
    detail: 'It is nearly full.',
  },
  { name: 'that failed keeps its own reason', ms: 1_600, result: down, state: 'down', detail: 'It is not ready.' },
] as const

for (const { name, ms, result, state, detail } of cases) {
  test(`a run ${name}`, async (t) => {
    const { prober, clock, does, start } = scene(t)
    const behaviour: Behaviour = async () => {
      await clock.sleep(ms)
      return result
    }
    does('shop', behaviour)
    prober.set([checkOf({ name: 'shop', ...limits })])
    await start()
    await clock.advance(19_000)
    const status = prober.status('shop')
    assert.deepEqual([status?.state, status?.detail], [state, detail])
  })
}

test('limits are read with their unit, and must not exceed the timeout, which would come first', () => {
  const read = (fields: string) =>
    parseChecks(`checks: [{ name: a, kind: tcp, host: a, port: 1, timeout: 2s, ${fields} }]`, { files: { read: () => '' } as never })
  const good = read('degradedAfter: 500ms, downAfter: 2s')
  assert.ok('checks' in good)
  assert.deepEqual([good.checks[0]?.degradedAfterMs, good.checks[0]?.downAfterMs], [500, 2_000])
  const bad = read('degradedAfter: 3s, downAfter: 4s')
  assert.ok('faults' in bad)
  assert.deepEqual(
    bad.faults.map(({ path, message }) => `${path} ${message}`),
    [
      'checks[0].degradedAfter must not be longer than the timeout, which is 2s',
      'checks[0].downAfter must not be longer than the timeout, which is 2s',
    ],
  )
})

test('the former option of http checks is refused with the name of the new one', () => {
  const read = parseChecks('checks: [{ name: a, kind: http, url: "http://a", degradedAfterMs: 500 }]', { files: {} as never })
  assert.ok('faults' in read)
  assert.match(read.faults[0]?.message ?? '', /did you mean "degradedAfter"\?/)
})
