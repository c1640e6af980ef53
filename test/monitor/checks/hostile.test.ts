import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { before, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { docker } from '../../../monitor/checks/docker.ts'
import { haproxy } from '../../../monitor/checks/haproxy.ts'
import { checkKindNamed, checkKinds } from '../../../monitor/checks/index.ts'
import type { CheckKind } from '../../../monitor/checks/kind.ts'
import { kubernetes } from '../../../monitor/checks/kubernetes.ts'
import { heldBy } from '../wire/turns-in-hand.ts'
import { assertResult, measured, run, secret } from './run.ts'
import { listen, serve } from './servers.ts'

/** For each kind that opens a connection, its options for a server on this port. */
const given: Record<string, (port: number) => object> = {
  kubernetes: (port) => ({ url: `http://127.0.0.1:${port}` }),
  kubelet: (port) => ({ url: `http://127.0.0.1:${port}` }),
  agent: (port) => ({ url: `http://127.0.0.1:${port}` }),
  cratedb: (port) => ({ url: `http://127.0.0.1:${port}` }),
  cloudflared: (port) => ({ url: `http://127.0.0.1:${port}` }),
  prometheus: (port) => ({ url: `http://127.0.0.1:${port}` }),
  docker: (port) => ({ url: `http://127.0.0.1:${port}` }),
  elasticsearch: (port) => ({ url: `http://127.0.0.1:${port}` }),
  http: (port) => ({ url: `http://127.0.0.1:${port}`, expectBody: 'never' }),
  tcp: (port) => ({ host: '127.0.0.1', port, expect: 'never' }),
  tls: (port) => ({ host: '127.0.0.1', port }),
  mqtt: (port) => ({ url: `mqtt://127.0.0.1:${port}`, topic: 'skerry/check' }),
  postgresql: (port) => ({ host: '127.0.0.1', port, username: 'monitor', passwordFile: secret('x') }),
  mysql: (port) => ({ host: '127.0.0.1', port, username: 'monitor', passwordFile: secret('x') }),
  mongodb: (port) => ({ host: '127.0.0.1', port }),
  redis: (port) => ({ host: '127.0.0.1', port, passwordFile: secret('x') }),
  rabbitmq: (port) => ({ host: '127.0.0.1', port }),
  kafka: (port) => ({ brokers: [`127.0.0.1:${port}`] }),
  zookeeper: (port) => ({ host: '127.0.0.1', port }),
  haproxy: (port) => ({ host: '127.0.0.1', port }),
  domain: (port) => ({ domain: 'example.com', url: `http://127.0.0.1:${port}/` }),
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const mebibyte = Buffer.alloc(2 ** 20, 'a')

/** Sends a chunk of 1 MiB a hundred times, as fast as the check reads. */
function flood(socket: Socket, chunk: Buffer): void {
  let left = 100
  const more = () => {
    while (left-- > 0) if (!socket.write(chunk)) return void socket.once('drain', more)
    socket.end()
  }
  more()
}

const sicknesses: Record<string, (socket: Socket) => void> = {
  'says nothing': () => {},
  'hangs up at once': (socket) => socket.destroy(),
  'closes politely without a word': (socket) => socket.end(),
  'drips one byte after the other': (socket) => {
    const timer = setInterval(() => socket.write('H'), 20)
    socket.on('close', () => clearInterval(timer))
  },
  'drips an HTTP body': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n')
    const timer = setInterval(() => socket.write('{'), 20)
    socket.on('close', () => clearInterval(timer))
  },
  'sends garbage': (socket) => socket.end(randomBytes(4096)),
  echoes: (socket) => socket.on('data', (chunk) => socket.write(chunk)),
  'sends 100 MiB of one letter': (socket) => flood(socket, mebibyte),
  'sends 100 MiB of HTTP body without a length': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    flood(socket, mebibyte)
  },
  'sends an HTTP head without an end': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nX: ')
    flood(socket, mebibyte)
  },
  'answers JSON of another shape': (socket) => {
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"rows":[[null]],"data":7,"parts":{}}'))
  },
  'announces the longest message its protocol has': (socket) => {
    // A length of about 4 GiB for PostgreSQL and Kafka, and of 256 MiB for MQTT. (A large bulk of Redis begins with another byte.)
    socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff]))
    flood(socket, mebibyte)
  },
}

test('every kind that opens a connection is tried against hostile servers', () => {
  // Their connections are those of other kinds; these three open none; it speaks UDP through Node's resolver.
  const local = ['volume', 'sparkplug-node', 'heartbeat', 'exec', 'dns']
  assert.deepEqual(
    Object.keys(checkKinds)
      .filter((name) => !(name in given))
      .sort(),
    local.sort(),
  )
})

// A kind loads its client on its first run, which is not measured here.
before(async () => {
  for (const [name, optionsFor] of Object.entries(given)) await run(checkKindNamed(name) as CheckKind, optionsFor(1), { timeoutMs: 30_000 })
})

const mostGrown = 80 * 2 ** 20

/**
 * Runs it, and tells how many bytes of buffers more than before it holds while it runs; 0 if never more than `mostGrown`. The garbage
 * collector comes when it likes, so garbage is collected before so much is taken for held.
 */
async function withMemory<T>(run: () => Promise<T>): Promise<{ result: T; grown: number }> {
  const held = () => {
    const { arrayBuffers, external } = process.memoryUsage()
    return arrayBuffers + external
  }
  const before = held()
  let grown = 0
  const look = () => {
    if (held() - before < mostGrown) return
    collectGarbage()
    grown = Math.max(grown, held() - before)
  }
  const timer = setInterval(look, 5)
  try {
    const result = await run()
    look()
    return { result, grown }
  } finally {
    clearInterval(timer)
  }
}

for (const [name, optionsFor] of Object.entries(given))
  for (const [sickness, onConnection] of Object.entries(sicknesses))
    test(`${name} check of a server that ${sickness} is down in time, with bounded memory`, async (t) => {
      const port = await listen(t, onConnection)
      const kind = checkKindNamed(name) as CheckKind
      const started = performance.now()
      const { result, grown } = await withMemory(() => run(kind, optionsFor(port), { timeoutMs: 150 }))
      // A busy machine may be slow, but a check that ignores its signal drips, floods or waits much longer than this.
      const seconds = (performance.now() - started) / 1000
      assert.equal(result.state, 'down', result.detail)
      assert.ok(seconds < 10, `took ${seconds} s`)
      assert.ok(grown < mostGrown, `holds ${grown >> 20} MiB more`)
    })

/**
 * Asserts that the event loop turned: all that parses gives way to other work after 10 ms, and the garbage collector may add to that. The sum
 * is CPU time too, because wall time depends on what else the machine does.
 */
function assertQuick(heldMs: number, since: NodeJS.CpuUsage): void {
  assert.ok(heldMs < 100, `held the event loop for ${heldMs} ms`)
  const { user, system } = process.cpuUsage(since)
  const seconds = (user + system) / 1e6
  assert.ok(seconds < 2, `took ${seconds} s of the processor`)
}

// What blocks the event loop blocks every other check.
const statistics = '# pxname,svname,type,status,\n'
for (const { name, rows, reason } of [
  { name: 'a field of 4 MiB that ends with a quote', rows: `${'a'.repeat(4 * 2 ** 20)}"`, reason: 'too_large' },
  { name: 'a field of 4 MiB that never ends', rows: `"${'a'.repeat(4 * 2 ** 20)}`, reason: 'protocol' },
  { name: '4 MiB of quotes and then a letter', rows: `${'"'.repeat(4 * 2 ** 20)}x`, reason: 'too_large' },
  { name: '30,000 quotes and then a letter', rows: `${'"'.repeat(30_000)}x`, reason: 'protocol' },
  { name: '2 million open quotes', rows: 'a"'.repeat(2 * 2 ** 20), reason: 'protocol' },
  { name: '4 million columns', rows: ','.repeat(4 * 2 ** 20), reason: 'too_large' },
  { name: '2 million rows', rows: 'a\n'.repeat(2 * 2 ** 20), reason: 'too_large' },
] as const)
  test(`haproxy check of statistics with ${name} is down in time`, async (t) => {
    const port = await listen(t, (socket) => socket.end(statistics + rows))
    const started = process.cpuUsage()
    const { result, heldMs } = await heldBy(() => run(haproxy, { host: '127.0.0.1', port }, { timeoutMs: 30_000 }))
    assertResult(result, 'down', reason)
    assertQuick(heldMs, started)
  })

test('haproxy check of statistics with 2 million blank lines and 10,000 times one backend with 9,999 servers is up in time', async (t) => {
  const rows = `${'\r\n'.repeat(2 * 2 ** 20)}${'shop,BACKEND,1,UP,\n'.repeat(10_000)}${'"shop","s ""1"", old",2,UP,\n'.repeat(9999)}`
  const port = await listen(t, (socket) => socket.end(statistics + rows))
  const started = process.cpuUsage()
  const { result, heldMs } = await heldBy(() => run(haproxy, { host: '127.0.0.1', port, backends: ['shop'] }, { timeoutMs: 30_000 }))
  assertResult(result, 'up', undefined, /1 backend and 9999 servers/)
  assert.equal(measured(result, 'skerry_haproxy_backend_servers', { backend: 'shop', state: 'up' }), 9999)
  assertQuick(heldMs, started)
})

const mebibytes = 8 * 2 ** 20

// What JSON.parse, or a schema, would need a second for, or a tenth.
for (const { name, body, detail } of [
  { name: 'arrays in each other', body: '['.repeat(mebibytes / 2) + ']'.repeat(mebibytes / 2), detail: /is not JSON/ },
  { name: 'members', body: `{${Array.from({ length: 2 ** 17 }, (_, index) => `"k${index}":1`).join()}}`, detail: /documented shape/ },
  { name: 'an array where an object should be', body: `[${'{"a":1},'.repeat(2 ** 18)}1]`, detail: /documented shape/ },
])
  test(`docker check of MiBs of ${name} is down in time`, async (t) => {
    const url = await serve(t, { '/_ping': 'OK', '/info': body })
    const started = process.cpuUsage()
    const { result, heldMs } = await heldBy(() => run(docker, { url }, { timeoutMs: 30_000 }))
    assertResult(result, 'down', 'protocol', detail)
    assertQuick(heldMs, started)
  })

test('kubernetes check of hundreds of thousands of hosts is down in time', async (t) => {
  const hosts = `{"columnDefinitions":[{"name":"Name"},{"name":"Status"}],"rows":[${'{"cells":["a","Ready"]},'.repeat(100_000)}{"cells":[]}]}`
  const url = await serve(t, {
    '/livez?verbose': 'ok',
    '/readyz?verbose': 'ok',
    '/version': { gitVersion: 'v1' },
    '/api/v1/nodes?includeObject=None': hosts,
  })
  const started = process.cpuUsage()
  const { result, heldMs } = await heldBy(() => run(kubernetes, { url }, { timeoutMs: 30_000 }))
  assertResult(result, 'down', 'protocol', /rows: Too big/)
  assertQuick(heldMs, started)
})
