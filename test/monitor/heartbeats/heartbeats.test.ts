import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { heartbeat } from '../../../monitor/checks/heartbeat.ts'
import { type Beat, type BeatStore, createClusterBeats, createFileBeats, Heartbeats } from '../../../monitor/heartbeats/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startCluster, until } from '../../cluster/index.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { assertResult, measured, run, secret } from '../checks/run.ts'
import { logLines } from '../prober/scene.ts'

const hour = 3_600_000
const options = { id: 'backup', tokenFile: secret('anchor'), within: '2h' }

/** What a heartbeat check says at that hour, if it last heard that, and began to listen at hour 0. */
function at(hours: number, last: Beat | string | undefined) {
  return run(heartbeat, options, { now: () => hours * hour, heartbeat: () => ({ last, since: 0 }) })
}

const cases = [
  {
    name: 'is unknown before the first one is due',
    hours: 1,
    last: undefined,
    state: 'unknown',
    reason: 'missing',
    detail: /\/heartbeat\/backup/,
  },
  {
    name: 'is down once the first one is overdue',
    hours: 3,
    last: undefined,
    state: 'down',
    reason: 'missing',
    detail: /No heartbeat has arrived yet/,
  },
  {
    name: 'is up while the last one is recent enough',
    hours: 12,
    last: { at: 10 * hour, state: 'up' },
    state: 'up',
    detail: /arrived 2h ago\.$/,
  },
  {
    name: 'is down when the last one is too old',
    hours: 13,
    last: { at: 10 * hour, state: 'up' },
    state: 'down',
    reason: 'timeout',
    detail: /3h ago, not within 2h/,
  },
  {
    name: 'is down when the sender says so',
    hours: 10,
    last: { at: 10 * hour, state: 'down', message: 'disk\nfull' },
    state: 'down',
    reason: 'failing',
    detail: /reported down 0s ago\. It says: disk full$/,
  },
  {
    name: 'is degraded when the sender says so',
    hours: 10,
    last: { at: 10 * hour, state: 'degraded' },
    state: 'degraded',
    reason: 'failing',
    detail: /reported degraded/,
  },
  {
    name: 'is unknown while what was kept cannot be read',
    hours: 10,
    last: 'no answer',
    state: 'unknown',
    reason: 'monitor_disconnected',
    detail: /not known: no answer/,
  },
] as const
for (const { name, hours, last, state, detail, ...rest } of cases)
  test(`a heartbeat check ${name}`, async () =>
    assertResult(await at(hours, last), state, 'reason' in rest ? rest.reason : undefined, detail))

test('a heartbeat check measures when the last one arrived, and how long the work took', async () => {
  const result = await at(10, { at: 10 * hour, state: 'up', ms: 1500 })
  assert.equal(measured(result, 'skerry_heartbeat_last_timestamp_seconds'), 36_000)
  assert.equal(measured(result, 'skerry_heartbeat_duration_seconds'), 1.5)
})

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'skerry-heartbeats-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

test('heartbeats survive a restart in their file; a damaged line costs no other', async (t) => {
  const file = path.join(folder(t), 'data', 'heartbeats')
  const { log, lines } = logLines()
  const first = new Heartbeats(createFileBeats(file, { log }), { clock: systemClock, log })
  first.take('backup', { at: 5, state: 'down', message: 'two\nlines', ms: 3 })
  first.take('sync', { at: 6, state: 'up' })
  await first.stop()
  writeFileSync(file, `${readFileSync(file, 'utf8')}garbage\nother {"at":"x"}\n`)
  const second = new Heartbeats(createFileBeats(file, { log }), { clock: systemClock, log })
  await until('they are read', async () => typeof second.heard('backup').last === 'object')
  assert.deepEqual(second.heard('backup').last, { at: 5, state: 'down', message: 'two\nlines', ms: 3 })
  assert.deepEqual([second.heard('sync').last, second.heard('other').last], [{ at: 6, state: 'up' }, undefined])
  assert.equal(lines.length, 0)
})

test('a heartbeat that arrives before those in the file have been read costs none of them', async (t) => {
  const file = path.join(folder(t), 'heartbeats')
  writeFileSync(file, Array.from({ length: 5_000 }, (_, index) => `job-${index} {"at":1,"state":"up"}\n`).join(''))
  const { log } = logLines()
  const heartbeats = new Heartbeats(createFileBeats(file, { log }), { clock: systemClock, log })
  heartbeats.take('job-7', { at: 9, state: 'down' })
  await heartbeats.stop()
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  assert.equal(lines.length, 5_000)
  assert.ok(lines.includes('job-7 {"at":9,"state":"down"}'))
})

test('heartbeats of each second are few writes, and one that cannot be kept is tried again', async (t) => {
  const clock = createFakeClock()
  const { log, lines } = logLines()
  const writes: string[] = []
  let isFull = true
  const store: BeatStore = {
    follow() {},
    async keep(beats) {
      writes.push([...beats].map(([id, { at }]) => `${id} ${at}`).join())
      if (isFull) throw new Error('no space left')
    },
    trouble: () => undefined,
  }
  const heartbeats = new Heartbeats(store, { clock, log })
  t.after(() => heartbeats.stop())
  for (let second = 0; second < 10; second++) {
    heartbeats.take('sync', { at: second, state: 'up' })
    await clock.advance(1_000)
  }
  isFull = false
  await clock.advance(10_000)
  assert.deepEqual(writes.length <= 4 ? writes.at(-1) : writes, 'sync 9')
  assert.deepEqual(
    lines.map(({ level, msg }) => `${level}: ${msg}`),
    ['warn: heartbeats cannot be kept; they count here until the monitor restarts', 'info: heartbeats are kept again'],
  )
})

test('a clock that is set makes no heartbeat overdue and none younger, and the next one counts at once', async (t) => {
  const clock = createFakeClock()
  const { log } = logLines()
  const store: BeatStore = { follow() {}, async keep() {}, trouble: () => undefined }
  const heartbeats = new Heartbeats(store, { clock, log })
  t.after(() => heartbeats.stop())
  const ages = () => {
    const { last, since } = heartbeats.heard('sync')
    return [clock.now() - (last as Beat).at, clock.now() - since]
  }
  await clock.advance(10_000)
  heartbeats.take('sync', { at: clock.now(), state: 'up' })
  await clock.advance(60_000)
  for (const ms of [0, 3 * hour, -6 * hour]) {
    clock.jump(ms)
    assert.deepEqual(ages(), [60_000, 70_000])
  }
  heartbeats.take('sync', { at: clock.now(), state: 'down' })
  assert.equal((heartbeats.heard('sync').last as Beat).state, 'down')
  assert.deepEqual(ages(), [0, 70_000])
})

test('a heartbeat that was kept before the clock was set back is as old as the start of the monitor', async (t) => {
  const clock = createFakeClock()
  const { log } = logLines()
  const kept: Beat = { at: clock.now() + 3 * hour, state: 'up' }
  const store: BeatStore = { follow: ({ found }) => found('sync', kept), async keep() {}, trouble: () => undefined }
  const heartbeats = new Heartbeats(store, { clock, log })
  t.after(() => heartbeats.stop())
  assert.equal((heartbeats.heard('sync').last as Beat).at, clock.now())
  await clock.advance(hour)
  assert.equal(clock.now() - (heartbeats.heard('sync').last as Beat).at, hour)
})

test('a disk that is full keeps no half-written file', async (t) => {
  const made = folder(t)
  const { log } = logLines()
  // A folder in the place of the file: the rename fails, as it does where the disk is read-only.
  const file = path.join(made, 'heartbeats')
  const store = createFileBeats(path.join(file, '..', '..', path.basename(made)), { log })
  await assert.rejects(store.keep(new Map([['sync', { at: 1, state: 'up' }]])))
  assert.deepEqual(readdirSync(made), [])
})

test('what one replica was sent, the other knows at once; a later one is not overwritten by an earlier', async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.stop())
  const admin = connectTo(cluster)
  t.after(() => admin.close())
  await admin.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'skerry' } },
  })
  const { log } = logLines()
  const tools = { cluster: admin, clock: systemClock, log, gatherMs: 50 }
  const [here, there] = [1, 2].map(() => new Heartbeats(createClusterBeats('skerry', tools), tools)) as [Heartbeats, Heartbeats]
  t.after(() => Promise.all([here.stop(), there.stop()]))
  const news = Promise.withResolvers<string>()
  there.subscribe((id) => typeof there.heard(id).last === 'object' && news.resolve(id))
  assert.equal(there.heard('sync').last, 'they are being read')
  here.take('sync', { at: 10, state: 'up' })
  assert.deepEqual(here.heard('sync').last, { at: 10, state: 'up' })
  assert.equal(await news.promise, 'sync')
  there.take('sync', { at: 20, state: 'down' })
  here.take('backup', { at: 15, state: 'up' })
  await until('both know both', async () =>
    [here, there].every(
      (each) =>
        JSON.stringify([each.heard('sync').last, each.heard('backup').last]) === '[{"at":20,"state":"down"},{"at":15,"state":"up"}]',
    ),
  )
})
