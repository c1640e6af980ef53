import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { agent } from '../../../monitor/checks/agent.ts'
import { cloudflared } from '../../../monitor/checks/cloudflared.ts'
import { cratedb } from '../../../monitor/checks/cratedb.ts'
import { docker } from '../../../monitor/checks/docker.ts'
import { elasticsearch } from '../../../monitor/checks/elasticsearch.ts'
import { kubelet } from '../../../monitor/checks/kubelet.ts'
import { kubernetes } from '../../../monitor/checks/kubernetes.ts'
import { rabbitmq } from '../../../monitor/checks/rabbitmq.ts'
import { redis } from '../../../monitor/checks/redis.ts'
import { tcp } from '../../../monitor/checks/tcp.ts'
import { zookeeper } from '../../../monitor/checks/zookeeper.ts'
import { assertResult, measured, run, secret } from './run.ts'
import { listen, serve } from './servers.ts'

// Servers that are not available to tests, and states that a real server does not enter on demand. Each is a small server that sends the
// bytes of its documentation.

const health = {
  cluster_name: 'harbour',
  status: 'green',
  timed_out: false,
  number_of_nodes: 3,
  number_of_data_nodes: 2,
  active_primary_shards: 4,
  active_shards: 8,
  relocating_shards: 0,
  initializing_shards: 0,
  unassigned_shards: 0,
  number_of_pending_tasks: 1,
}

for (const { name, answer, state, reason, detail } of [
  { name: 'is up when green', answer: health, state: 'up', detail: /Green: 3 nodes/ },
  {
    name: 'is degraded when yellow',
    answer: { ...health, status: 'yellow', unassigned_shards: 4 },
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /4 unassigned shards.*allocation\/explain/,
  },
  {
    name: 'is down when red',
    answer: { ...health, status: 'red', unassigned_shards: 1 },
    state: 'down',
    reason: 'failing',
    detail: /1 unassigned shard, 3 nodes\. Data is missing/,
  },
  {
    name: 'is degraded when a node is missing',
    answer: { ...health, number_of_nodes: 2 },
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /2 of 3 nodes/,
  },
] as const)
  test(`elasticsearch check of documented answers ${name}`, async (t) => {
    const result = await run(elasticsearch, { url: await serve(t, { '/_cluster/health': answer }), expectNodes: 3 })
    assertResult(result, state, reason, detail)
    assert.equal(measured(result, 'skerry_elasticsearch_shards', { state: 'unassigned' }), answer.unassigned_shards)
  })

test('elasticsearch check of documented answers sends the credentials, and is down when they are refused', async (t) => {
  const url = await serve(t, {
    '/_cluster/health': ({ headers }: { headers: { authorization?: string } }) =>
      headers.authorization === `Basic ${Buffer.from('monitor:anchor').toString('base64')}`
        ? { body: health }
        : { status: 401, body: 'no' },
  })
  assertResult(await run(elasticsearch, { url, username: 'monitor', passwordFile: secret('anchor') }), 'up')
  const refused = await run(elasticsearch, { url, username: 'monitor', passwordFile: secret('driftwood') })
  assertResult(refused, 'down', 'unauthorized', /401 to user monitor/)
  assert.doesNotMatch(refused.detail, /driftwood|ZHJpZnR3b29k/)
})

for (const { name, answer, state, reason } of [
  {
    name: 'is up with four connections',
    answer: { status: 200, body: { status: 200, readyConnections: 4, connectorId: 'x' } },
    state: 'up',
  },
  {
    name: 'is degraded with one',
    answer: { status: 200, body: { status: 200, readyConnections: 1, connectorId: 'x' } },
    state: 'degraded',
    reason: 'partly_unavailable',
  },
  {
    name: 'is down with none',
    answer: { status: 503, body: { status: 503, readyConnections: 0, connectorId: 'x' } },
    state: 'down',
    reason: 'unavailable',
  },
] as const)
  test(`cloudflared check of documented answers ${name}`, async (t) => {
    const result = await run(cloudflared, { url: await serve(t, { '/ready': () => answer }) })
    assertResult(result, state, reason)
    assert.equal(measured(result, 'skerry_cloudflared_ready_connections'), answer.body.readyConnections)
  })

for (const { name, answer, state, reason, detail } of [
  {
    name: 'is up when every part is ready',
    answer: { status: 200, body: { ready: true, parts: [{ name: 'api', ready: true }], facts: {} } },
    state: 'up',
  },
  {
    name: 'is down when a part is not, and says which and why',
    answer: {
      status: 503,
      body: {
        ready: false,
        parts: [
          { name: 'api', ready: true },
          { name: 'cache of projects', ready: false, reason: 'not listed yet' },
        ],
        facts: {},
      },
    },
    state: 'down',
    reason: 'unavailable',
    detail: /cache of projects \(not listed yet\)/,
  },
] as const)
  test(`agent check ${name}`, async (t) => {
    assertResult(await run(agent, { url: await serve(t, { '/readyz': () => answer }) }), state, reason, detail)
  })

/** Starts the SQL endpoint of a CrateDB: it answers with the rows of the first key that the statement contains. */
async function crate(
  t: Parameters<typeof serve>[0],
  rows: Record<string, unknown[][] | { error: { code: number; message: string } }>,
): Promise<string> {
  return serve(t, {
    '/_sql': (_request: unknown, body: string) => {
      const statement = (JSON.parse(body) as { stmt: string }).stmt
      const found = Object.entries({ ...soundCrate, ...rows }).find(([part]) => statement.includes(part))?.[1] ?? []
      return Array.isArray(found) ? { body: { cols: [], rows: found, rowcount: found.length } } : { status: 400, body: found }
    },
  })
}

const soundCrate = {
  'SELECT health': [['GREEN', 7, 0, 0]],
  'SELECT name': [
    ['node-0', 40, 100],
    ['node-1', 60, 100],
  ],
  'SELECT count(*)': [[2]],
  'SELECT settings': [['85%', '90%', '95%']],
  'SELECT severity': [[1, 'a hint']],
}

for (const { name, rows, state, reason, detail } of [
  { name: 'is up when all is green', rows: {}, state: 'up', detail: /2 nodes, all tables GREEN/ },
  {
    name: 'is degraded when a table is yellow, and names it',
    rows: {
      'SELECT health': [
        ['GREEN', 6, 0, 0],
        ['YELLOW', 1, 0, 4],
      ],
      'SELECT table_schema': [['doc.cargo', 'YELLOW']],
    },
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /4 shards with too few copies \(doc\.cargo YELLOW\)/,
  },
  {
    name: 'is down when a table is red',
    rows: { 'SELECT health': [['RED', 1, 2, 0]], 'SELECT table_schema': [['doc.cargo', 'RED']] },
    state: 'down',
    reason: 'failing',
    detail: /2 primary shards missing/,
  },
  {
    name: 'is degraded beyond the low watermark',
    rows: { 'SELECT name': [['node-0', 86, 100]] },
    state: 'degraded',
    reason: 'limit',
    detail: /low watermark.*node-0 86 %/,
  },
  {
    name: 'is down beyond the flood stage',
    rows: { 'SELECT name': [['node-0', 96, 100]] },
    state: 'down',
    reason: 'limit',
    detail: /read-only/,
  },
  {
    name: 'understands watermarks in bytes that must be free',
    rows: { 'SELECT settings': [['50b', '30b', '10b']] },
    state: 'degraded',
    reason: 'limit',
    detail: /low watermark/,
  },
  {
    name: 'is degraded when nodes are missing',
    rows: { 'SELECT count(*)': [[1]] },
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /1 of 2 nodes/,
  },
  {
    name: 'is degraded when a check of its own with high severity failed',
    rows: { 'SELECT severity': [[3, 'gateway settings differ']] },
    state: 'degraded',
    reason: 'failing',
    detail: /gateway settings differ/,
  },
  {
    name: 'is down when the user may not look',
    rows: { 'SELECT name': { error: { code: 4011, message: 'Missing DQL' } } },
    state: 'down',
    reason: 'unauthorized',
    detail: /Grant the check's user DQL/,
  },
] as const)
  test(`cratedb check of documented answers ${name}`, async (t) => {
    // biome-ignore lint/suspicious/noExplicitAny: rows of different tables
    assertResult(await run(cratedb, { url: await crate(t, rows as any), expectNodes: 2 }), state, reason, detail)
  })

test('kubernetes check of documented answers names the parts that fail', async (t) => {
  const url = await serve(t, {
    '/livez?verbose': 'ok\n',
    '/readyz?verbose': () => ({
      status: 500,
      body: '[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed\n',
    }),
  })
  const result = await run(kubernetes, { url })
  assertResult(result, 'down', 'unavailable', /not ready; these parts fail: etcd, informer-sync/)
  assert.equal(measured(result, 'skerry_kubernetes_failing_parts', { endpoint: 'readyz' }), 2)
})

for (const { name, answer, state, reason, detail } of [
  { name: 'is up', answer: { status: 200, body: '[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n' }, state: 'up' },
  {
    name: 'is down when a part fails',
    answer: { status: 500, body: '[+]ping ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n' },
    state: 'down',
    reason: 'failing',
    detail: /syncloop.*journalctl -u kubelet/,
  },
] as const)
  test(`kubelet check of documented answers ${name}`, async (t) => {
    assertResult(await run(kubelet, { url: await serve(t, { '/healthz?verbose': () => answer }) }), state, reason, detail)
  })

const dockerInfo = { ServerVersion: '28.1.1', ContainersRunning: 2, ContainersPaused: 1, ContainersStopped: 0, Images: 3 }
test('docker check of documented answers is degraded by an unhealthy container, and measures the others', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'skerry-docker-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const socketPath = join(folder, 'docker.sock')
  const answers: Record<string, unknown> = {
    '/_ping': 'OK',
    '/info': dockerInfo,
    '/containers/json?all=1': [
      { Id: 'a'.repeat(64), Names: ['/crane'], State: 'running', Status: 'Up 2 hours (healthy)' },
      { Id: 'b'.repeat(64), Names: ['/ferry'], State: 'running', Status: 'Up 2 hours (unhealthy)' },
      { Id: 'c'.repeat(64), Names: ['/quay'], State: 'restarting', Status: 'Restarting (1) 3 seconds ago' },
    ],
    [`/containers/${'a'.repeat(64)}/stats?stream=false&one-shot=true`]: {
      cpu_stats: { cpu_usage: { total_usage: 1_500_000_000 } },
      memory_stats: { usage: 3000, limit: 10_000, stats: { inactive_file: 1000 } },
    },
    [`/containers/${'b'.repeat(64)}/stats?stream=false&one-shot=true`]: { cpu_stats: { cpu_usage: {} }, memory_stats: {} }, // it ended meanwhile
  }
  const server = createHttpServer((request, response) => {
    const found = answers[request.url ?? '']
    response.writeHead(found === undefined ? 404 : 200).end(typeof found === 'string' ? found : JSON.stringify(found))
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  t.after(() => void server.close())
  const result = await run(docker, { socketPath, stats: true, expectRunning: ['crane'] })
  assertResult(result, 'degraded', 'failing', /ferry, quay\. See docker inspect/)
  assert.equal(measured(result, 'skerry_docker_containers', { state: 'unhealthy' }), 1)
  assert.equal(measured(result, 'skerry_docker_containers', { state: 'paused' }), 1)
  assert.equal(measured(result, 'skerry_docker_container_cpu_seconds_total', { container: 'crane' }), 1.5)
  assert.equal(measured(result, 'skerry_docker_container_memory_bytes', { container: 'crane' }), 2000)
})

test('docker check of documented answers passes over a container that was removed since the list, and measures the others', async (t) => {
  const container = (letter: string, name: string) => ({ Id: letter.repeat(64), Names: [name], State: 'running', Status: 'Up 2 hours' })
  const url = await serve(t, {
    '/_ping': 'OK',
    '/info': dockerInfo,
    '/containers/json?all=1': [container('a', '/crane'), container('b', '/ferry')],
    [`/containers/${'a'.repeat(64)}/stats?stream=false&one-shot=true`]: () => ({ status: 404, body: { message: 'No such container' } }),
    [`/containers/${'b'.repeat(64)}/stats?stream=false&one-shot=true`]: {
      cpu_stats: { cpu_usage: { total_usage: 2_000_000_000 } },
      memory_stats: { usage: 3000, limit: 10_000 },
    },
  })
  const result = await run(docker, { url, stats: true })
  assertResult(result, 'up')
  assert.equal(measured(result, 'skerry_docker_container_cpu_seconds_total', { container: 'crane' }), undefined)
  assert.equal(measured(result, 'skerry_docker_container_cpu_seconds_total', { container: 'ferry' }), 2)
})

for (const { name, answer, reason, detail } of [
  {
    name: 'that has too many clients',
    answer: '-ERR max number of clients reached\r\n',
    reason: 'limit',
    detail: /max number of clients reached.*raise maxclients/,
  },
  {
    name: 'in protected mode',
    answer: '-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.\r\n',
    reason: 'unauthorized',
    detail: /DENIED.*[Ss]et a password/,
  },
] as const)
  test(`redis check of documented answers is down at a server ${name}, which refuses once and closes`, async (t) => {
    const port = await listen(t, (socket) => socket.end(answer))
    assertResult(await run(redis, { host: '127.0.0.1', port, passwordFile: secret('anchor') }), 'down', reason, detail)
  })

test('tcp check finds the text at the start of an answer that is longer than it reads', async (t) => {
  const port = await listen(t, (socket) => socket.end(`220 harbour ready\r\n${'x'.repeat(100)}`))
  assertResult(
    await run(tcp, { host: '127.0.0.1', port, expect: '220 ', maxBytes: 64 }),
    'up',
    undefined,
    /^The server answered: 220 harbour ready/,
  )
})

test('tcp check does not find the text behind what it reads', async (t) => {
  const port = await listen(t, (socket) => socket.end(`${'x'.repeat(62)}220 harbour ready\r\n`))
  assertResult(await run(tcp, { host: '127.0.0.1', port, expect: '220 ', maxBytes: 64 }), 'down', 'too_large', /more than 64 bytes/)
})

test('rabbitmq check of documented answers tells of a stopped node and of a partition', async (t) => {
  const url = await serve(t, {
    '/api/overview?columns=rabbitmq_version,queue_totals,object_totals': {
      rabbitmq_version: '4.0.5',
      queue_totals: { messages: 12 },
      object_totals: { queues: 2, connections: 5, consumers: 1 },
    },
    '/api/nodes?columns=name,running,mem_alarm,disk_free_alarm,partitions': [
      { name: 'rabbit@a', running: true, mem_alarm: false, disk_free_alarm: true, partitions: ['rabbit@c'] },
      { name: 'rabbit@b', running: false },
    ],
  })
  const result = await run(rabbitmq, { url, username: 'monitor', maxMessages: 10 })
  assertResult(
    result,
    'degraded',
    'limit',
    /Disk alarm on rabbit@a.*Stopped nodes: rabbit@b.*partition seen by rabbit@a.*12 messages are queued/,
  )
  assert.equal(measured(result, 'skerry_rabbitmq_nodes', { state: 'stopped' }), 1)
})

const mntr =
  'zk_version\t3.9.3-abc, built on 2024\nzk_avg_latency\t0.5\nzk_num_alive_connections\t7\nzk_outstanding_requests\t2\nzk_server_state\tleader\nzk_znode_count\t40\n'
for (const { name, answer, state, reason, detail } of [
  {
    name: 'is up on a leader whose followers are in sync',
    answer: `${mntr}zk_learners\t2\nzk_synced_followers\t2\n`,
    state: 'up',
    detail: /3\.9\.3, leader/,
  },
  {
    name: 'is degraded when one is behind',
    answer: `${mntr}zk_learners\t2\nzk_synced_followers\t1\n`,
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /1 of 2 followers/,
  },
  {
    name: 'is up on a leader whose followers and observer are in sync',
    answer: `${mntr}zk_learners\t3\nzk_synced_followers\t2\nzk_synced_observers\t1\n`,
    state: 'up',
  },
  {
    name: 'is degraded when an observer is behind',
    answer: `${mntr}zk_learners\t3\nzk_synced_followers\t2\nzk_synced_observers\t0\n`,
    state: 'degraded',
    reason: 'partly_unavailable',
    detail: /1 of 3 followers and observers/,
  },
  {
    name: 'is degraded when requests pile up',
    answer: mntr.replace('requests\t2', 'requests\t2000'),
    state: 'degraded',
    reason: 'limit',
    detail: /2000 requests are outstanding/,
  },
  {
    name: 'is down when no word is allowed',
    answer: 'mntr is not executed because it is not in the whitelist.\n',
    state: 'down',
    reason: 'unauthorized',
    detail: /4lw\.commands\.whitelist/,
  },
] as const)
  test(`zookeeper check of documented answers ${name}`, async (t) => {
    const port = await listen(t, (socket) => socket.once('data', () => socket.end(answer)))
    assertResult(await run(zookeeper, { host: '127.0.0.1', port }), state, reason, detail)
  })

test('zookeeper check of documented answers of the AdminServer is up on a leader with two followers and an observer', async (t) => {
  const leader = { version: '3.9.3', server_state: 'leader', learners: 3, synced_followers: 2, synced_observers: 1, error: null }
  const result = await run(zookeeper, { url: await serve(t, { '/commands/monitor': leader }) })
  assertResult(result, 'up', undefined, /3\.9\.3, leader/)
  assert.equal(measured(result, 'skerry_zookeeper_followers', { state: 'synced' }), 3)
  assert.equal(measured(result, 'skerry_zookeeper_followers', { state: 'behind' }), 0)
})
