import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CheckStatus, durationBuckets } from '../../../monitor/prober/check.ts'
import { Secret } from '../../../shared/fields.ts'
import { checkOf, degraded, down, hangs, neverEnds, scene, unheard, up } from './scene.ts'

test('a check runs once in each interval, does not drift, and starts where its name says', async (t) => {
  const { prober, clock, does, start, startsOf } = scene(t)
  does('shop', async () => {
    await clock.sleep(1_234)
    return up
  })
  prober.set([checkOf({ name: 'shop' })])
  await start()
  await clock.advance(100_000)
  const starts = startsOf('shop')
  const [first = 0] = starts
  assert.ok(first >= 0 && first < 10_000)
  assert.deepEqual(
    starts,
    starts.map((_, n) => first + n * 10_000),
  )
  assert.equal(starts.length, 10)
  assert.equal(prober.statistics.skipped, 0)
})

test('a check is never run twice at a time: starts that it takes up are left out and counted', async (t) => {
  const { prober, clock, does, start, startsOf } = scene(t)
  let running = 0
  let most = 0
  does('slow', async () => {
    most = Math.max(most, ++running)
    await clock.sleep(2_500)
    running--
    return up
  })
  prober.set([checkOf({ name: 'slow', intervalMs: 1_000, timeoutMs: 5_000 })])
  await start()
  await clock.advance(12_000)
  const starts = startsOf('slow')
  assert.equal(most, 1)
  for (const [index, at] of starts.entries()) assert.equal(at, (starts[0] ?? 0) + index * 3_000)
  assert.ok(prober.statistics.skipped >= 6)
})

test('a thousand checks all run within one interval, a few at a time', async (t) => {
  const { prober, clock, start, starts } = scene(t)
  prober.set(Array.from({ length: 1_000 }, (_, index) => checkOf({ name: `check-${index}` })))
  await start()
  await clock.advance(10_000)
  assert.equal(new Set(starts.map(({ name }) => name)).size, 1_000)
  const perSecond = Array.from({ length: 10 }, (_, second) => starts.filter(({ at }) => Math.floor(at / 1_000) === second).length)
  assert.ok(Math.max(...perSecond) < 150, perSecond.join(' '))
})

test('a target that hangs costs one slot and its timeout, and is down for that', async (t) => {
  const { prober, clock, does, start, startsOf, state } = scene(t, { parallelism: 2 })
  does('hung', hangs)
  prober.set([checkOf({ name: 'hung', timeoutMs: 9_000 }), ...['a', 'b', 'c', 'd'].map((name) => checkOf({ name, intervalMs: 1_000 }))])
  await start()
  await clock.advance(60_000)
  assert.equal(state('hung'), 'down')
  const status = prober.status('hung')
  assert.deepEqual([status?.reason, status?.lastDuration], ['timeout', 9])
  assert.match(status?.detail ?? '', /^No answer within 9s\. Check whether/)
  for (const name of ['a', 'b', 'c', 'd']) assert.ok(startsOf(name).length >= 59, `${name} ran ${startsOf(name).length} times`)
})

test('however many targets hang, they get half of the slots and the others keep their schedule', async (t) => {
  const { prober, clock, does, start, startsOf, state } = scene(t, { parallelism: 4 })
  const hung = Array.from({ length: 20 }, (_, index) => `hung-${index}`)
  for (const name of hung) does(name, hangs)
  prober.set([...hung.map((name) => checkOf({ name, timeoutMs: 5_000 })), checkOf({ name: 'well', intervalMs: 1_000, timeoutMs: 900 })])
  await start()
  await clock.advance(120_000)
  const before = startsOf('well').length
  await clock.advance(30_000)
  assert.equal(startsOf('well').length - before, 30)
  for (const name of hung) assert.equal(state(name), 'down')
})

test('a run that ignores its signal is left alone, counted, and keeps only its own check from running', async (t) => {
  const { prober, clock, does, start, startsOf, state, lines } = scene(t, { parallelism: 1 })
  const late = Promise.withResolvers<typeof up>()
  does('deaf', () => late.promise)
  prober.set([checkOf({ name: 'deaf', timeoutMs: 1_000 }), checkOf({ name: 'well' })])
  await start()
  await clock.advance(45_000)
  assert.equal(startsOf('deaf').length, 1)
  assert.ok(startsOf('well').length >= 4)
  assert.deepEqual([state('deaf'), state('well')], ['down', 'up'])
  assert.match(prober.status('deaf')?.detail ?? '', /^An earlier run has timed out and not ended/)
  assert.equal(prober.statistics.abandoned, 1)
  assert.equal(lines.filter(({ msg }) => msg.includes('did not end')).length, 1)
  does('deaf', up)
  late.resolve(up)
  await clock.advance(20_000)
  assert.equal(state('deaf'), 'up')
  assert.ok(startsOf('deaf').length > 1)
})

test('what a check says when its time is up tells how, if it is no success', async (t) => {
  const { prober, clock, does, start } = scene(t)
  const after = (result: typeof up) => async () => {
    await clock.sleep(2_500)
    return result
  }
  does('late', after(up))
  does('late-failure', after(down))
  prober.set([checkOf({ name: 'late' }), checkOf({ name: 'late-failure' })])
  await start()
  await clock.advance(15_000)
  assert.deepEqual([prober.status('late')?.state, prober.status('late')?.reason], ['down', 'timeout'])
  assert.deepEqual([prober.status('late-failure')?.reason, prober.status('late-failure')?.detail], ['unavailable', 'It is not ready.'])
})

test('whatever a check throws means down, also at once', async (t) => {
  const { prober, clock, does, start, state } = scene(t)
  does('throws', () => {
    throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' })
  })
  prober.set([checkOf({ name: 'throws' })])
  await start()
  await clock.advance(10_000)
  assert.equal(state('throws'), 'down')
  assert.equal(prober.status('throws')?.reason, 'connection_refused')
})

test('a failed run is repeated after the retry delay, and then the check keeps to its grid', async (t) => {
  const { prober, clock, does, start, startsOf, state, changes } = scene(t)
  does('shop', down)
  prober.set([checkOf({ name: 'shop', retries: 2 })])
  await start()
  await clock.advance(30_000)
  const [first = 0, second, third, fourth] = startsOf('shop')
  assert.deepEqual([second, third, fourth], [first + 500, first + 1_000, first + 10_000])
  assert.equal(state('shop'), 'down')
  assert.deepEqual(changes(), ['shop down'])
})

test('a change of state is logged once and told once; a check that stays as it is logs nothing', async (t) => {
  const { prober, clock, does, start, lines, changes } = scene(t)
  prober.set([checkOf({ name: 'shop' })])
  await start()
  await clock.advance(30_000)
  does('shop', degraded)
  await clock.advance(30_000)
  does('shop', down)
  await clock.advance(30_000)
  does('shop', up)
  await clock.advance(30_000)
  assert.deepEqual(changes(), ['shop up', 'shop degraded', 'shop down', 'shop up'])
  const logged = lines.filter(({ msg }) => msg === 'check changed').map(({ level, from, to, reason }) => [level, from, to, reason])
  assert.deepEqual(logged, [
    ['debug', 'unknown', 'up', undefined],
    ['warn', 'up', 'degraded', 'limit'],
    ['warn', 'degraded', 'down', 'unavailable'],
    ['info', 'down', 'up', undefined],
  ])
})

test('a status tells when it finished, succeeded and failed, and how long its runs took', async (t) => {
  const { prober, clock, does, start } = scene(t)
  does('shop', async () => {
    await clock.sleep(50)
    return { ...up, measurements: [{ name: 'x', value: 1 }] }
  })
  prober.set([checkOf({ name: 'shop' })])
  assert.deepEqual(
    [...prober.statuses()].map(({ state, finishedAt, detail }) => [state, finishedAt, detail]),
    [['unknown', undefined, 'It has not run yet.']],
  )
  await start()
  await clock.advance(20_000)
  const status = prober.status('shop')
  const succeeded = status?.lastSuccessAt
  assert.equal(status?.finishedAt, succeeded)
  assert.deepEqual([status?.durations.count, status?.lastDuration, status?.consecutiveFailures], [2, 0.05, 0])
  assert.equal(status?.durations.buckets[durationBuckets.findIndex((bound) => bound >= 0.05)], 2)
  does('shop', down)
  await clock.advance(20_000)
  assert.equal(status?.lastSuccessAt, succeeded)
  assert.deepEqual([status?.consecutiveFailures, status?.finishedAt === succeeded], [2, false])
  assert.deepEqual(status?.measurements, [{ name: 'x', value: 1 }], 'those of the last run that gave any')
})

test('a time of day that jumps changes nothing of the schedule', async (t) => {
  const { prober, clock, start, startsOf } = scene(t)
  prober.set([checkOf({ name: 'shop' })])
  await start()
  await clock.advance(20_000)
  clock.jump(-3_600_000)
  await clock.advance(20_000)
  clock.jump(7_200_000)
  await clock.advance(20_000)
  assert.equal(startsOf('shop').length, 6)
})

test('checks are set anew without losing what is known of those that stay', async (t) => {
  const { prober, clock, does, start, startsOf, state, events } = scene(t)
  does('b', down)
  prober.set([checkOf({ name: 'a' }), checkOf({ name: 'b' })])
  await start()
  await clock.advance(20_000)
  const [a, b] = [prober.status('a'), prober.status('b')]
  const runs = startsOf('b')
  events.length = 0
  prober.set([checkOf({ name: 'c' }), checkOf({ name: 'b' })])
  assert.deepEqual(
    events.map(({ type, name }) => `${type} ${name}`),
    ['added c', 'removed a'],
  )
  assert.equal(prober.status('b'), b)
  assert.equal(prober.status('a'), undefined)
  assert.deepEqual([state('b'), a?.state], ['down', 'up'])
  assert.deepEqual(
    [...prober.statuses()].map(({ check }) => check.name),
    ['c', 'b'],
  )
  await clock.advance(10_000)
  assert.equal(startsOf('b').at(-1), (runs.at(-1) ?? 0) + 10_000, 'its schedule went on')
  assert.equal(startsOf('a').length, 2, 'what is gone does not run')
  assert.equal(state('c'), 'up')
})

test('a check whose options changed keeps its state until it has run, which is soon', async (t) => {
  const { prober, clock, does, start, state, startsOf } = scene(t)
  const hour = { intervalMs: 3_600_000, retries: 5, retryDelayMs: 10_000 }
  prober.set([checkOf({ name: 'shop', ...hour })])
  await start()
  await clock.advance(10_000)
  assert.equal(state('shop'), 'up')
  does('moved', { ...degraded })
  prober.set([checkOf({ name: 'shop', ...hour, options: { name: 'moved' } })])
  assert.equal(state('shop'), 'up')
  await clock.advance(5_000)
  assert.equal(startsOf('moved').length, 1)
  assert.equal(state('shop'), 'degraded')
})

test('a changed password makes another question of it, the same one does not', async (t) => {
  const { prober, clock, start, startsOf } = scene(t)
  const check = (password: string) =>
    checkOf({ name: 'reef', intervalMs: 3_600_000, options: { name: 'reef', passwordFile: new Secret({ value: password }) } })
  prober.set([check('hunter2')])
  await start()
  await clock.advance(10_000)
  prober.set([check('hunter2')])
  await clock.advance(10_000)
  assert.equal(startsOf('reef').length, 1)
  prober.set([check('hunter3')])
  await clock.advance(10_000)
  assert.equal(startsOf('reef').length, 2)
})

test('the result of a run that was under way when its options changed is not taken', async (t) => {
  const { prober, clock, does, start, state } = scene(t)
  does('shop', async () => {
    await clock.sleep(1_500)
    return down
  })
  prober.set([checkOf({ name: 'shop' })])
  await start()
  while (prober.statistics.running === 0) await clock.advance(100)
  prober.set([checkOf({ name: 'shop', options: { name: 'other' } })])
  await clock.advance(20_000)
  assert.equal(state('shop'), 'up')
  assert.equal(
    prober.status('shop')?.durations.buckets.reduce((a, b) => a + b),
    Object.values(prober.statistics.runs).reduce((a, b) => a + b),
  )
  assert.equal(prober.statistics.runs.down, 0)
})

test('a check that is called otherwise in its series leaves and comes, with what is known of it', async (t) => {
  const { prober, clock, start, events } = scene(t)
  prober.set([checkOf({ name: 'shop' })])
  await start()
  await clock.advance(10_000)
  const before = prober.status('shop')
  events.length = 0
  prober.set([checkOf({ name: 'shop', labels: { team: 'sea' } })])
  assert.deepEqual(
    events.map(({ type, name }) => `${type} ${name}`),
    ['removed shop', 'added shop'],
  )
  const after = prober.status('shop')
  assert.notEqual(after, before)
  assert.deepEqual([after?.state, after?.finishedAt, after?.check.labels.team], ['up', before?.finishedAt, 'sea'])
  prober.set([checkOf({ name: 'shop', labels: { team: 'sea' }, timeoutMs: 500 })])
  assert.equal(events.length, 2, 'another timeout is nothing that others see')
  assert.equal(prober.status('shop')?.check.timeoutMs, 500)
})

test('two checks of one name are one, and it is said', (t) => {
  const { prober, lines } = scene(t)
  prober.set([checkOf({ name: 'shop' }), checkOf({ name: 'shop', target: 'other' })])
  assert.deepEqual(
    [...prober.statuses()].map(({ check }) => check.target),
    ['shop'],
  )
  assert.equal(lines.length, 1)
})

test('a listener that throws keeps nobody else from hearing', async (t) => {
  const { prober, clock, start, lines } = scene(t)
  const heard: string[] = []
  prober.subscribe(() => {
    throw new Error('broken listener')
  })
  const forget = prober.subscribe(({ type }) => heard.push(type))
  prober.set([checkOf({ name: 'shop' })])
  await start()
  await clock.advance(10_000)
  assert.deepEqual(heard, ['added', 'changed', 'finished'])
  assert.ok(lines.some(({ level, msg }) => level === 'error' && msg.includes('listener')))
  forget()
  await clock.advance(10_000)
  assert.equal(heard.length, 3)
})

test('stopping ends the runs under way, waits for them, and takes none of their results', async (t) => {
  const { prober, clock, does, start, state } = scene(t)
  let isClosed = false
  does('hung', async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    await clock.sleep(200)
    isClosed = true
    throw signal.reason
  })
  prober.set([checkOf({ name: 'hung', timeoutMs: 9_000 })])
  await start()
  while (prober.statistics.running === 0) await clock.advance(100)
  const stopped = prober.stop(clock.monotonic() + 1_000).then(() => isClosed)
  await clock.advance(200)
  assert.equal(await stopped, true)
  assert.deepEqual([state('hung'), prober.statistics.runs], ['unknown', { up: 0, degraded: 0, down: 0, unknown: 0 }])
})

test('stopping does not wait longer than its deadline for a run that does not end', async (t) => {
  const { prober, clock, does, start } = scene(t)
  does('deaf', neverEnds)
  prober.set([checkOf({ name: 'deaf', timeoutMs: 9_000 })])
  await start()
  while (prober.statistics.running === 0) await clock.advance(100)
  let isStopped = false
  const stopped = prober.stop(clock.monotonic() + 1_000).then(() => {
    isStopped = true
  })
  await clock.advance(999)
  assert.equal(isStopped, false)
  await clock.advance(1)
  await stopped
})

test('a run that could not know is neither a success nor a failure, measures nothing, and is no warning', async (t) => {
  const { prober, clock, does, start, lines } = scene(t)
  prober.set([checkOf({ name: 'crane' })])
  does('crane', { ...up, measurements: [{ name: 'skerry_x', value: 1 }] })
  await start()
  await clock.advance(10_000)
  const wasUpAt = prober.status('crane')?.lastSuccessAt
  does('crane', down)
  await clock.advance(20_000)
  const before = lines.length
  does('crane', unheard)
  await clock.advance(10_000)
  const { state, reason, measurements, consecutiveFailures, lastSuccessAt } = prober.status('crane') as CheckStatus
  assert.deepEqual([state, reason, measurements, consecutiveFailures], ['unknown', 'monitor_disconnected', [], 2])
  assert.equal(lastSuccessAt, wasUpAt)
  assert.equal(prober.statistics.runs.unknown, 1)
  assert.deepEqual(
    lines.slice(before).map(({ level, to }) => [level, to]),
    [['debug', 'unknown']],
  )
})

test('what depends on a check that could not know runs, and is judged by what it sees itself', async (t) => {
  const { prober, clock, does, start, state } = scene(t)
  prober.set([checkOf({ name: 'crane' }), checkOf({ name: 'hook', dependsOn: ['crane'] })])
  does('crane', down)
  await start()
  await clock.advance(15_000)
  assert.equal(state('hook'), 'unknown')
  does('crane', unheard)
  await clock.advance(20_000)
  assert.deepEqual([state('crane'), state('hook')], ['unknown', 'up'])
  does('hook', down)
  await clock.advance(20_000)
  assert.equal(state('hook'), 'down')
})

test('what nobody can see in the detail of a run is in writing wherever the detail is shown', async (t) => {
  const { prober, clock, does, start, lines } = scene(t)
  does('foreign', { ...down, detail: 'ends\u202ehere\u0007' })
  prober.set([checkOf({ name: 'foreign' })])
  await start()
  await clock.advance(20_000)
  const status = prober.status('foreign')
  for (const text of [status?.detail, ...[...(status?.past ?? [])].map(({ detail }) => detail)]) assert.equal(text, 'ends‹U+202E›here')
  assert.doesNotMatch(JSON.stringify(lines), /\u202e/)
})
