import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Action, Occasion } from '../../../../monitor/prober/actions/action.ts'
import { type ActionNeeds, createActions } from '../../../../monitor/prober/actions/index.ts'
import type { CheckStatus } from '../../../../monitor/prober/check.ts'
import { PastRuns } from '../../../../monitor/prober/past-runs.ts'
import { newDurations } from '../../../../monitor/prober/run.ts'
import { Problem } from '../../../../shared/errors.ts'
import { Secret } from '../../../../shared/fields.ts'
import type { ClusterRequest } from '../../../../shared/kubernetes/connection.ts'
import { createFakeClock } from '../../../shared/fake-clock.ts'
import { checkOf, down, logLines, scene, up } from '../scene.ts'

const cause: CheckStatus = {
  check: checkOf({ name: 'shop', target: 'shop.example.com:443', severity: 'critical', labels: { team: 'sea' } }),
  state: 'down',
  since: Date.UTC(2026, 0, 1),
  reason: 'timeout',
  detail: 'No answer within 10s.',
  measurements: [],
  consecutiveFailures: 3,
  durations: newDurations(),
  past: new PastRuns(),
}

function actions(needs: Partial<ActionNeeds> = {}) {
  const clock = createFakeClock()
  const { log, lines } = logLines()
  const act = createActions({ clock, log, ...needs })
  return {
    clock,
    lines,
    act: (action: Action, signal = new AbortController().signal, occasion: Occasion = 'down') => act(action, cause, { signal, occasion }),
  }
}

type Seen = { method: string | undefined; url: string | undefined; headers: IncomingHttpHeaders; body: string }

/** A server for one test that keeps what it was sent. */
async function receiver(t: TestContext, answer: { status: number; headers?: Record<string, string> }) {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    seen.push({ method: request.method, url: request.url, headers: request.headers, body: (await request.toArray()).join('') })
    response.writeHead(answer.status, answer.headers).end('thanks')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

test('a webhook is sent what is known of the check, and is audited once', async (t) => {
  const { seen, url } = await receiver(t, { status: 204 })
  const { act, lines } = actions()
  const headers = { Authorization: new Secret({ value: 'Bearer hunter2' }) }
  assert.equal(await act({ type: 'webhook', url: `${url}/hook?key=hunter2`, headers, everyMs: 60_000 }), 'done')
  assert.equal(seen.length, 1)
  const [{ method, url: path, headers: sent, body } = assert.fail()] = seen
  assert.deepEqual(
    [method, path, sent.authorization, sent['content-type']],
    ['POST', '/hook?key=hunter2', 'Bearer hunter2', 'application/json'],
  )
  assert.deepEqual(JSON.parse(body), {
    check: 'shop',
    kind: 'tcp',
    target: 'shop.example.com:443',
    severity: 'critical',
    labels: { team: 'sea' },
    state: 'down',
    since: '2026-01-01T00:00:00.000Z',
    reason: 'timeout',
    detail: 'No answer within 10s.',
    hint: 'No answer in time. Check whether the process hangs, the machine is overloaded, or a firewall drops packets.',
    consecutiveFailures: 3,
    sentAt: '2026-01-01T00:00:00.000Z',
  })
  const [{ time: _, name: __, ...line }] = lines
  assert.deepEqual(line, {
    level: 'warn',
    audit: true,
    action: 'webhook',
    target: url,
    check: 'shop',
    state: 'down',
    reason: 'timeout',
    detail: 'No answer within 10s.',
    outcome: 'done',
    did: 'status 204',
    msg: 'action taken',
  })
  assert.equal(lines.length, 1)
})

test('a webhook whose address is secret shows it nowhere', async (t) => {
  const { seen, url } = await receiver(t, { status: 500 })
  const { act, lines } = actions()
  assert.equal(await act({ type: 'webhook', url: new Secret({ value: `${url}/services/hunter2\n` }), everyMs: 60_000 }), 'failed')
  assert.equal(seen[0]?.url, '/services/hunter2')
  assert.deepEqual([lines[0].target, lines[0].why], ['(secret address)', 'the answer has status 500'])
  assert.ok(!JSON.stringify(lines).includes('hunter2'))
})

test('a webhook does not follow a redirect', async (t) => {
  const elsewhere = await receiver(t, { status: 200 })
  const { url } = await receiver(t, { status: 307, headers: { Location: elsewhere.url } })
  const { act, lines } = actions()
  assert.equal(await act({ type: 'webhook', url, everyMs: 60_000 }), 'failed')
  assert.equal(elsewhere.seen.length, 0)
  assert.equal(lines[0].why, 'the answer has status 307, and redirects are not followed')
})

test('a webhook that nobody answers fails and throws nothing', async (t) => {
  const { url } = await receiver(t, { status: 200 })
  const { act } = actions()
  const gone = new URL(url)
  gone.port = '1'
  assert.equal(await act({ type: 'webhook', url: gone.href, everyMs: 60_000 }), 'failed')
  assert.equal(await act({ type: 'webhook', url: new Secret({ value: 'no address' }), everyMs: 60_000 }), 'failed')
})

test('an action is taken once in its time, also when it failed', async (t) => {
  const { seen, url } = await receiver(t, { status: 500 })
  const { act, clock, lines } = actions()
  const action: Action = { type: 'webhook', url, everyMs: 600_000 }
  assert.equal(await act(action), 'failed')
  await clock.advance(599_999)
  assert.equal(await act(action), 'limited')
  await clock.advance(1)
  assert.equal(await act(action), 'failed')
  assert.deepEqual([seen.length, lines.length], [2, 2])
})

test('two webhooks of a check have limits of their own, be it that both addresses are secret or that both are at one server', async (t) => {
  const { seen, url } = await receiver(t, { status: 200 })
  const { act } = actions()
  const hook = (to: string | Secret): Action => ({ type: 'webhook', url: to, everyMs: 60_000 })
  const secret = (path: string) => hook(new Secret({ value: `${url}${path}` }))
  const all = () =>
    Promise.all([secret('/crew'), secret('/harbour'), hook(`${url}/a?room=1`), hook(`${url}/a?room=2`)].map((each) => act(each)))
  assert.deepEqual(await all(), ['done', 'done', 'done', 'done'])
  assert.deepEqual(seen.map((each) => each.url).sort(), ['/a?room=1', '/a?room=2', '/crew', '/harbour'])
  assert.deepEqual(await all(), ['limited', 'limited', 'limited', 'limited'])
})

test('a replica that does not lead takes no action', async () => {
  let leads = false
  const { act, lines } = actions({ isLeader: () => leads })
  const action: Action = { type: 'restart-pod', namespace: 'shop', selector: 'app=shop', everyMs: 60_000 }
  assert.equal(await act(action), 'refused')
  assert.equal(lines.length, 0)
  leads = true
  assert.equal(await act(action), 'failed', 'that it did not act before counts for nothing')
  assert.equal(lines[0].why, 'this monitor is not connected to a cluster')
})

/** A cluster with those pods that keeps what it was asked. */
function clusterWith(pods: { name: string; uid: string; deletionTimestamp?: string }[], refuse: Record<string, Problem> = {}) {
  const requests: ClusterRequest[] = []
  const cluster: NonNullable<ActionNeeds['cluster']> = {
    async request(request) {
      requests.push(request)
      if (request.method === 'GET') return { items: pods.map((metadata) => ({ metadata })).slice(0, Number(request.query?.limit)) } as never
      const problem = refuse[request.path.split('/').at(-1) ?? '']
      if (problem !== undefined) throw problem
      return {} as never
    },
  }
  return { cluster, requests }
}

const restart: Action = { type: 'restart-pod', namespace: 'shop', selector: 'app=shop', everyMs: 60_000 }

test('pods are deleted that the selector finds, each as the one that was seen; not those on their way out', async () => {
  const { cluster, requests } = clusterWith(
    [
      { name: 'shop-1', uid: 'u1' },
      { name: 'shop-2', uid: 'u2', deletionTimestamp: '2026-01-01T00:00:00Z' },
      { name: 'shop-3', uid: 'u3' },
      { name: 'shop-4', uid: 'u4' },
    ],
    { 'shop-3': new Problem('not-found', 'pods "shop-3"') },
  )
  const { act, lines } = actions({ cluster })
  assert.equal(await act(restart), 'done')
  const [list, ...deletes] = requests
  assert.deepEqual([list?.path, list?.query], ['/api/v1/namespaces/shop/pods', { labelSelector: 'app=shop', limit: 11 }])
  assert.deepEqual(
    deletes.map(({ method, path, body }) => [method, path, (body as { preconditions: object }).preconditions]),
    ['1', '3', '4'].map((n) => ['DELETE', `/api/v1/namespaces/shop/pods/shop-${n}`, { uid: `u${n}` }]),
  )
  assert.deepEqual([lines[0].target, lines[0].did], ['shop/app=shop', 'deleted shop-1, shop-4'])
})

const failures: { name: string; pods: { name: string; uid: string }[]; refuse?: Record<string, Problem>; why: RegExp; deletes: number }[] =
  [
    { name: 'there are no pods', pods: [], why: /matches no pod/, deletes: 0 },
    {
      name: 'there are more than ten pods',
      pods: Array.from({ length: 11 }, (_, index) => ({ name: `p${index}`, uid: 'u' })),
      why: /more than 10 pods, so none was deleted/,
      deletes: 0,
    },
    {
      name: 'it may not delete',
      pods: [{ name: 'p', uid: 'u' }],
      refuse: { p: new Problem('forbidden', 'cannot delete resource "pods"') },
      why: /cannot delete/,
      deletes: 1,
    },
  ]
for (const { name, pods, refuse, why, deletes } of failures)
  test(`restarting pods fails when ${name}, and says so`, async () => {
    const { cluster, requests } = clusterWith(pods, refuse)
    const { act, lines } = actions({ cluster })
    assert.equal(await act(restart), 'failed')
    assert.match(lines[0].why, why)
    assert.equal(requests.filter(({ method }) => method === 'DELETE').length, deletes)
  })

/** A systemctl for one test, in the language of the shell. */
function systemctl(t: TestContext, script: string): { command: string; output: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-systemctl-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const command = path.join(folder, 'systemctl')
  const output = path.join(folder, 'output')
  writeFileSync(command, `#!/bin/sh\n${script.replaceAll('OUTPUT', `'${output}'`)}\n`)
  chmodSync(command, 0o755)
  return { command, output }
}

test('a unit is restarted without a shell', async (t) => {
  const { command, output } = systemctl(t, `printf '%s\\n' "$@" > OUTPUT`)
  const { act, lines } = actions({ systemctl: command })
  assert.equal(await act({ type: 'restart-unit', unit: 'shop@a$(id).service', everyMs: 60_000 }), 'done')
  assert.deepEqual(readFileSync(output, 'utf8').trim().split('\n'), ['--no-ask-password', 'restart', '--', 'shop@a$(id).service'])
  assert.deepEqual([lines[0].target, lines[0].outcome], ['shop@a$(id).service', 'done'])
})

test('a unit that does not restart fails with what systemctl said', async (t) => {
  const { command } = systemctl(t, 'echo "Unit shop.service not found." >&2; exit 5')
  const { act, lines } = actions({ systemctl: command })
  const action: Action = { type: 'restart-unit', unit: 'shop.service', everyMs: 60_000 }
  assert.equal(await act(action), 'failed')
  assert.equal(lines[0].why, 'systemctl ended with 5: Unit shop.service not found.')
  const without = actions({ systemctl: `${command}.none` })
  assert.equal(await without.act(action), 'failed')
  assert.equal(without.lines[0].why, 'this machine has no systemctl')
})

test('an action that does not end is ended after a minute, or when the monitor stops', async (t) => {
  const { command } = systemctl(t, 'exec sleep 600')
  const action: Action = { type: 'restart-unit', unit: 'shop.service', everyMs: 60_000 }
  const slow = actions({ systemctl: command })
  const outcome = slow.act(action)
  await slow.clock.advance(60_000)
  assert.equal(await outcome, 'failed')
  assert.equal(slow.lines[0].why, 'systemctl did not end in time')
  const stopping = new AbortController()
  const stopped = actions({ systemctl: command }).act(action, stopping.signal)
  stopping.abort()
  assert.equal(await stopped, 'failed')
})

test('actions are taken on the change to down and no other time, and are counted', async (t) => {
  const taken: string[] = []
  const { prober, clock, does, start } = scene(t, {
    act: async ({ type }, { check, state, reason }) => {
      taken.push(`${type} ${check.name} ${state} ${reason}`)
      return taken.length === 1 ? 'done' : 'limited'
    },
  })
  prober.set([checkOf({ name: 'shop', actions: [restart], retries: 1 }), checkOf({ name: 'other' })])
  await start()
  await clock.advance(20_000)
  for (const name of ['shop', 'other']) does(name, down)
  assert.deepEqual(taken, [])
  await clock.advance(60_000)
  assert.deepEqual(taken, ['restart-pod shop down unavailable'])
  does('shop', up)
  await clock.advance(20_000)
  does('shop', down)
  await clock.advance(20_000)
  assert.equal(taken.length, 2)
  assert.deepEqual(prober.statistics.actions, { done: 1, limited: 1 })
})

/** Leadership that a test gives and takes. */
function leadershipInHand() {
  const listeners = new Set<(leads: boolean) => void>()
  let leads = false
  return {
    isLeader: () => leads,
    onChange(listener: (leads: boolean) => void) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    set(given: boolean) {
      leads = given
      for (const listener of listeners) listener(given)
    },
    listeners,
  }
}

test('what went down while this replica did not lead is acted upon when it leads, once, if it is down still', async (t) => {
  const leadership = leadershipInHand()
  const taken: string[] = []
  const { prober, clock, does, start, settle } = scene(t, {
    leadership,
    act: async (_, { check, state }) => {
      if (!leadership.isLeader()) return 'refused'
      taken.push(`${check.name} ${state}`)
      return 'done'
    },
  })
  const all = ['stays down', 'recovers', 'comes and goes', 'vanishes'].map((name) => checkOf({ name, actions: [restart] }))
  for (const { name } of all) does(name, down)
  prober.set(all)
  await start()
  await clock.advance(20_000)
  assert.deepEqual([taken, prober.statistics.actions], [[], { refused: 4 }])
  for (const name of ['recovers', 'comes and goes']) does(name, up)
  await clock.advance(20_000)
  does('comes and goes', down)
  await clock.advance(20_000)
  prober.set(all.slice(0, 3))

  leadership.set(true)
  await settle()
  assert.deepEqual(taken, ['stays down down', 'comes and goes down'])
  await clock.advance(60_000)
  for (const leads of [false, true]) leadership.set(leads)
  await clock.advance(60_000)
  assert.equal(taken.length, 2, 'what was done is not done again by the same replica, whoever led in between')

  await prober.stop(clock.monotonic())
  assert.equal(leadership.listeners.size, 0)
})

test('a recovery that no leader told is told by one that leads within a minute, and not by a later one', async (t) => {
  for (const { pauseMs, told } of [
    { pauseMs: 30_000, told: ['recovered'] },
    { pauseMs: 120_000, told: [] },
  ]) {
    const leadership = leadershipInHand()
    const taken: string[] = []
    const { prober, clock, does, start, settle } = scene(t, {
      leadership,
      act: async (_, __, { occasion }) => {
        if (!leadership.isLeader()) return 'refused'
        taken.push(occasion)
        return 'done'
      },
    })
    const check = checkOf({
      name: 'shop',
      actions: [{ type: 'webhook', url: 'http://a', on: ['down', 'recovered'], everyMs: 60_000 }],
    })
    does('shop', down)
    prober.set([check])
    await start()
    await clock.advance(10_000)
    does('shop', up)
    await clock.advance(10_000)
    await clock.advance(pauseMs)
    leadership.set(true)
    await settle()
    assert.deepEqual(taken, told)
  }
})

test('of two replicas that see the same, the one that leads acts; when it is lost, so does the other', async (t) => {
  const taken: string[] = []
  const replicas = ['first', 'second'].map((name) => {
    const leadership = leadershipInHand()
    const act = async () => {
      if (!leadership.isLeader()) return 'refused' as const
      taken.push(name)
      return 'done' as const
    }
    return { leadership, ...scene(t, { leadership, act }) }
  })
  const [first = assert.fail(), second = assert.fail()] = replicas
  first.leadership.set(true)
  const seeDown = async (check: string) => {
    for (const { prober, does, clock, start } of replicas) {
      does(check, down)
      prober.set([checkOf({ name: check, actions: [restart] })])
      await start()
      await clock.advance(20_000)
    }
  }
  await seeDown('shop')
  assert.deepEqual(taken, ['first'])
  first.leadership.set(false)
  await first.settle()
  assert.deepEqual(taken, ['first'], 'the end of leading is no reason to act')
  second.leadership.set(true)
  await second.settle()
  assert.deepEqual(taken, ['first', 'second'])
})

test('an action that throws after all harms nothing', async (t) => {
  const { prober, clock, does, start, state, lines } = scene(t, { act: () => Promise.reject(new Error('broken')) })
  does('shop', down)
  prober.set([checkOf({ name: 'shop', actions: [restart] })])
  await start()
  await clock.advance(30_000)
  assert.equal(state('shop'), 'down')
  assert.equal(lines.filter(({ level }) => level === 'error').length, 1)
})
