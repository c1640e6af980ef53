import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ChecksFileNeeds, FollowedChecks } from '../../../monitor/prober/reload.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/fields.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { logLines } from './scene.ts'

function folder(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'skerry-checks-'))
  t.after(() => rmSync(made, { recursive: true, force: true }))
  return made
}

const one = (name: string, more = '') => `checks: [{name: ${name}, kind: tcp, host: h, port: 1${more}}]\n`

/** A followed file on a clock that stands still: it is read when the test says so. */
async function follow(t: TestContext, text: string, needs: Partial<ChecksFileNeeds> = {}) {
  const file = path.join(folder(t), 'checks.yaml')
  writeFileSync(file, text)
  const clock = createFakeClock()
  const { log, lines } = logLines()
  const checks = new FollowedChecks({ path: file, namespace: 'skerry' }, { clock, log, ...needs })
  await checks.start()
  t.after(() => checks.stop())
  let heard = 0
  checks.subscribe(() => heard++)
  return { file, checks, clock, lines, names: () => checks.checks().map(({ name }) => name), heard: () => heard }
}

test('a changed file is taken up, and those who listen hear of it', async (t) => {
  const { file, checks, names, heard, clock } = await follow(t, one('a'))
  assert.deepEqual([names(), checks.last()], [['a'], { ok: true, at: clock.now() }])
  await clock.advance(1_000)
  writeFileSync(file, one('b'))
  assert.equal(await checks.reload(), true)
  assert.deepEqual([names(), heard(), checks.last()], [['b'], 1, { ok: true, at: clock.now() }])
})

test('a file that says the same changes nothing', async (t) => {
  const { file, checks, heard, lines } = await follow(t, one('a'))
  const before = checks.checks()
  writeFileSync(file, one('a'))
  assert.equal(await checks.reload(), true)
  assert.equal(checks.checks(), before)
  assert.deepEqual([heard(), lines.length], [0, 0])
})

test('a file with faults is refused with all of them, said once, and the checks before stay', async (t) => {
  const { file, checks, names, heard, lines } = await follow(t, one('a'))
  writeFileSync(file, 'checks: [{name: b, kind: tpc}, {name: b, kind: tcp, host: h, port: 0}]')
  for (let time = 0; time < 3; time++) assert.equal(await checks.reload(), false)
  assert.deepEqual([names(), heard(), checks.last()?.ok], [['a'], 0, false])
  assert.equal(lines.length, 1)
  assert.equal(lines[0].level, 'error')
  assert.deepEqual(
    lines[0].faults.map((fault: string) => fault.slice(file.length)),
    [
      ':1:26: checks[0].kind is not a kind of check; did you mean "tcp"?',
      ':1:39: checks[1].name is that of checks[0] already',
      ':1:68: checks[1].port must be at least 1',
    ],
  )
  writeFileSync(file, one('c'))
  assert.equal(await checks.reload(), true)
  assert.deepEqual([names(), checks.last()?.ok], [['c'], true])
})

test('a file that is empty while it is written takes no checks away', async (t) => {
  const { file, checks, names, lines } = await follow(t, one('a'))
  for (const text of ['', '\n']) {
    writeFileSync(file, text)
    assert.deepEqual([await checks.reload(), names()], [false, ['a']])
  }
  assert.deepEqual(
    lines.map(({ faults }) => faults),
    [[`${file}: it is empty; for no checks, write "checks: []"`]],
  )
  writeFileSync(file, 'checks: []')
  assert.deepEqual([await checks.reload(), names()], [true, []])
})

test('a file that vanished is said once, and taken up when it is back, as it was', async (t) => {
  const { file, checks, names, lines } = await follow(t, one('a'))
  rmSync(file)
  assert.deepEqual([await checks.reload(), await checks.reload(), names()], [false, false, ['a']])
  assert.equal(lines.filter(({ level }) => level === 'error').length, 1)
  writeFileSync(file, one('a'))
  assert.deepEqual([await checks.reload(), checks.last()?.ok], [true, true])
})

test('a secret that rotates makes new checks, and one that is written later cures the file', async (t) => {
  const secret = path.join(folder(t), 'password')
  const later = path.join(path.dirname(secret), 'later')
  writeFileSync(secret, 'hunter2')
  const redis = (file: string) => `checks: [{name: a, kind: redis, host: h, passwordFile: ${file}}]`
  const { file, checks } = await follow(t, redis(secret))
  const password = () => passwordIn(checks)
  assert.equal(password(), 'hunter2')
  writeFileSync(secret, 'hunter3')
  assert.equal(await checks.reload(), true)
  assert.equal(password(), 'hunter3')
  writeFileSync(file, redis(later))
  assert.equal(await checks.reload(), false)
  writeFileSync(later, 'hunter4')
  assert.equal(await checks.reload(), true)
  assert.equal(password(), 'hunter4')
})

test('the file is looked at now and then even if nothing tells of a change', async (t) => {
  const { file, names, clock, checks } = await follow(t, one('a'))
  writeFileSync(file, one('b'))
  const heard = new Promise<void>((resolve) => checks.subscribe(resolve))
  await clock.advance(30_050)
  await heard
  assert.deepEqual(names(), ['b'])
})

test('a faulty file is refused at the start, with all its faults', async (t) => {
  const file = path.join(folder(t), 'checks.yaml')
  writeFileSync(file, 'checks: [{name: a, kind: tpc}, {kind: tcp, host: h, port: 1}]')
  const { log } = logLines()
  const checks = new FollowedChecks({ path: file }, { clock: createFakeClock(), log })
  await assert.rejects(checks.start(), (error: Error) => {
    assert.equal(error.message.split('\n').length, 3)
    return true
  })
  await assert.rejects(new FollowedChecks({ path: `${file}.none` }, { clock: createFakeClock(), log }).start(), /there is no such file/)
})

test('without a file there are no checks', async () => {
  const checks = new FollowedChecks({ path: undefined }, { clock: createFakeClock(), log: logLines().log })
  await checks.start()
  assert.deepEqual([checks.checks(), checks.last(), await checks.reload()], [[], undefined, true])
  await checks.stop()
})

test('a mounted ConfigMap is taken up when its link is swapped', { timeout: 20_000 }, async (t) => {
  const mount = folder(t)
  for (const [version, name] of [
    ['..1', 'a'],
    ['..2', 'b'],
  ] as const) {
    mkdirSync(path.join(mount, version))
    writeFileSync(path.join(mount, version, 'checks.yaml'), one(name))
  }
  symlinkSync('..1', path.join(mount, '..data'))
  symlinkSync('..data/checks.yaml', path.join(mount, 'checks.yaml'))
  const { log } = logLines()
  const checks = new FollowedChecks({ path: path.join(mount, 'checks.yaml') }, { clock: systemClock, log })
  await checks.start()
  t.after(() => checks.stop())
  const target = new EventTarget()
  checks.subscribe(() => target.dispatchEvent(new Event('change')))
  const changed = once(target, 'change')
  symlinkSync('..2', path.join(mount, '..next'))
  renameSync(path.join(mount, '..next'), path.join(mount, '..data'))
  await changed
  assert.deepEqual(
    checks.checks().map(({ name }) => name),
    ['b'],
  )
})

/** A cluster that has one Secret, or does not answer. */
function clusterOf(secret: { value: string | Problem }): NonNullable<ChecksFileNeeds['cluster']> {
  return {
    async request({ path }) {
      assert.equal(path, '/api/v1/namespaces/skerry/secrets/redis')
      if (secret.value instanceof Problem) throw secret.value
      return { data: { password: Buffer.from(secret.value).toString('base64') } } as never
    },
  }
}

const redis = 'checks: [{name: a, kind: redis, host: h, passwordFile: {secretName: redis, key: password}}]'
/** The password of the first check. */
function passwordIn(checks: { checks(): readonly { options: unknown }[] }): string {
  const [{ options } = assert.fail()] = checks.checks()
  return (options as { passwordFile: Secret }).passwordFile.reveal()
}

test('a Secret of the cluster is read by its name, and again when it rotates; while it cannot be, the last value holds', async (t) => {
  const secret: { value: string | Problem } = { value: 'hunter2' }
  const { checks } = await follow(t, redis, { cluster: clusterOf(secret) })
  assert.equal(passwordIn(checks), 'hunter2')
  secret.value = 'hunter3'
  assert.equal(await checks.reload(), true)
  assert.equal(passwordIn(checks), 'hunter3')
  secret.value = new Problem('cluster-unreachable', 'no answer')
  assert.equal(await checks.reload(), true)
  assert.equal(passwordIn(checks), 'hunter3')
})

test('a cluster that does not answer at the start is waited for, without checks', async (t) => {
  const secret: { value: string | Problem } = { value: new Problem('cluster-unreachable', 'no answer') }
  const { checks, clock, lines } = await follow(t, redis, { cluster: clusterOf(secret) })
  assert.deepEqual([checks.checks(), checks.last()?.ok], [[], false])
  assert.equal(lines[0].level, 'warn')
  secret.value = 'hunter2'
  await clock.advance(5_000)
  assert.equal(passwordIn(checks), 'hunter2')
  assert.equal(checks.last()?.ok, true)
})

test('while the API server swallows requests, the start takes 5 s for all Secrets together, and asks once for each', async (t) => {
  const file = path.join(folder(t), 'checks.yaml')
  const references = ['{secretName: a, key: one}', '{secretName: a, key: two}', '{secretName: a, key: one, namespace: skerry}']
  const all = [...references, '{secretName: b, key: one}', '{secretName: a, key: one, namespace: other}']
  const check = (reference: string, index: number) => `{name: c${index}, kind: redis, host: h, passwordFile: ${reference}}`
  writeFileSync(file, `checks: [${all.map(check).join(', ')}]`)
  const asked: string[] = []
  let isAway = true
  const cluster: NonNullable<ChecksFileNeeds['cluster']> = {
    async request({ path, signal }) {
      asked.push(path)
      if (isAway) await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
      return { data: { one: Buffer.from(`1 of ${path}`).toString('base64'), two: Buffer.from('2').toString('base64') } } as never
    },
  }
  const clock = createFakeClock()
  const { log, lines } = logLines()
  const checks = new FollowedChecks({ path: file, namespace: 'skerry' }, { clock, log, cluster })
  let isStarted = false
  const starting = checks.start().then(() => {
    isStarted = true
  })
  t.after(() => checks.stop())
  await clock.advance(4_999)
  const secrets = ['skerry/secrets/a', 'skerry/secrets/b', 'other/secrets/a'].map((each) => `/api/v1/namespaces/${each}`)
  assert.deepEqual([isStarted, asked], [false, secrets])
  await clock.advance(1)
  assert.equal(isStarted, true)
  await starting
  assert.deepEqual([checks.checks(), lines[0].faults.length], [[], 5])
  isAway = false
  await clock.advance(5_000)
  const passwords = checks.checks().map(({ options }) => (options as { passwordFile: Secret }).passwordFile.reveal())
  assert.deepEqual(passwords, [`1 of ${secrets[0]}`, '2', `1 of ${secrets[0]}`, `1 of ${secrets[1]}`, `1 of ${secrets[2]}`])
})

test('a Secret that is not there is a fault of the file', async (t) => {
  const { lines, checks, file } = await follow(t, one('a'), { cluster: clusterOf({ value: new Problem('not-found', 'secrets "redis"') }) })
  writeFileSync(file, redis)
  assert.equal(await checks.reload(), false)
  assert.match(lines[0].faults[0], /passwordFile names key password of the Secret redis: it does not exist$/)
})
