import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import test, { type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { freePort, until } from '../cluster/index.ts'
import { programs } from '../programs.ts'
import { type MonitorProcess, startMonitorProcess } from '../region/monitor-process.ts'
import { type Heard, startBroker, type TestBroker } from './sparkplug/broker.ts'
import { carriedValue } from './sparkplug/schema.ts'

type Sections = Record<string, unknown>

/** A machine of its own: a folder that stays over restarts, and a monitor in it. */
async function machine(t: TestContext, checks = 'checks: []\n') {
  const folder = await mkdtemp(path.join(tmpdir(), 'skerry-monitor-'))
  const started: MonitorProcess[] = []
  // In this order: a monitor that runs goes on writing into the folder.
  t.after(async () => {
    await Promise.all(started.map((monitor) => monitor.kill()))
    await rm(folder, { recursive: true, force: true })
  })
  const checksFile = path.join(folder, 'checks.yaml')
  await writeFile(checksFile, checks)
  return {
    checksFile,
    async start(config: Sections): Promise<MonitorProcess & { log: string[] }> {
      const configFile = path.join(folder, 'monitor.yaml')
      const all = { metrics: { host: '127.0.0.1', port: 0 }, dataDir: path.join(folder, 'data'), checks: { file: checksFile }, ...config }
      await writeFile(configFile, stringify(all))
      const log: string[] = []
      const monitor = await startMonitorProcess({ program: programs.monitor, configFile, env: {}, onLog: (line) => log.push(line) })
      started.push(monitor)
      return { ...monitor, log }
    },
  }
}

function sparkplugTo(...urls: string[]): Sections {
  return {
    sparkplug: { group: 'harbour', node: 'quay-7', servers: urls.map((url) => ({ url })), reconnect: { first: '100ms', longest: '1s' } },
  }
}

const bdSeqOf = ({ payload }: Heard) => Number(payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue)

async function session(broker: TestBroker, from = 0): Promise<{ bdSeq: number; next: number }> {
  const birth = await broker.heard(({ verb }) => verb === 'NBIRTH', from)
  return { bdSeq: bdSeqOf(birth), next: broker.messages.indexOf(birth) + 1 }
}

async function readiness(
  url: string,
): Promise<{ status: number; parts: { name: string; ready: boolean; reason?: string; warning?: boolean }[] }> {
  const response = await fetch(`${url}/readyz`)
  return { status: response.status, ...((await response.json()) as { parts: [] }) }
}

/** The first page of metrics of which this is so; rejects after half a minute. */
async function metricsOnce(url: string, is: (page: string) => boolean): Promise<string> {
  for (const deadline = performance.now() + 30_000; ; await sleep(50)) {
    const page = await (await fetch(`${url}/metrics`)).text()
    if (is(page)) return page
    if (performance.now() > deadline)
      assert.fail(
        page
          .split('\n')
          .filter((line) => line.startsWith('skerry_'))
          .join('\n'),
      )
  }
}

test('a monitor on a machine of its own is born, and told to stop it says its death before it goes', async (t) => {
  const broker = await startBroker(t)
  const monitor = await (await machine(t)).start(sparkplugTo(broker.url))
  const { bdSeq, next } = await session(broker)
  await until('it is ready', async () => (await readiness(monitor.url)).status === 200)
  assert.equal(await monitor.stop(), 0)
  const death = await broker.heard(({ verb }) => verb === 'NDEATH', next)
  assert.equal(bdSeqOf(death), bdSeq)
})

test('a monitor that is killed leaves its will, and counts on when it is started again', async (t) => {
  const broker = await startBroker(t)
  const { start } = await machine(t)
  let next = 0
  const seen: number[] = []
  for (let life = 0; life < 3; life++) {
    const monitor = await start(sparkplugTo(broker.url))
    const born = await session(broker, next)
    seen.push(born.bdSeq)
    await monitor.kill()
    const death = await broker.heard(({ verb }) => verb === 'NDEATH', born.next)
    assert.equal(bdSeqOf(death), born.bdSeq)
    next = broker.messages.indexOf(death) + 1
  }
  assert.deepEqual(seen, [0, 1, 2])
})

test('a broker that is away at the start is waited for, and /readyz warns of it, ready all the same', async (t) => {
  const port = await freePort()
  const monitor = await (await machine(t)).start(sparkplugTo(`mqtt://127.0.0.1:${port}`))
  const before = await until('it is ready', async () => {
    const answer = await readiness(monitor.url)
    return answer.status === 200 && answer
  })
  const edgeNode = before.parts.find(({ name }) => name === 'edge node')
  assert.match(edgeNode?.reason ?? '', /not connected/)
  assert.deepEqual([edgeNode?.ready, edgeNode?.warning], [false, true])
  const text = await fetch(`${monitor.url}/readyz`, { headers: { accept: 'text/plain' } })
  assert.match(await text.text(), /^ready\n(.*\n)*! edge node: not connected/)
  assert.equal((await fetch(`${monitor.url}/healthz`)).status, 200)
  const broker = await startBroker(t)
  const late = createServer((socket) => broker.handle(socket.on('error', () => {}))).listen(port, '127.0.0.1')
  t.after(() => late.close())
  await session(broker)
  await until('the warning is gone', async () => (await readiness(monitor.url)).parts.every(({ ready }) => ready))
  assert.equal(await monitor.stop(), 0)
})

test('a monitor without a broker and without a cluster serves its metrics', async (t) => {
  const port = await freePort()
  const checks = `checks: [{ name: nobody, kind: tcp, host: 127.0.0.1, port: ${port}, interval: 1s, retries: 0 }]\n`
  const monitor = await (await machine(t, checks)).start({})
  const page = await metricsOnce(monitor.url, (text) => /skerry_check_state\{check="nobody"[^}]*state="down"[^}]*\} 1/.test(text))
  assert.doesNotMatch(page, /^skerry_sparkplug/m)
  await until('it is ready', async () => (await readiness(monitor.url)).status === 200)
  assert.equal(await monitor.stop(), 0)
})

test('the results of checks are devices of the edge node', async (t) => {
  const broker = await startBroker(t)
  const port = Number(new URL(broker.url).port)
  const checks = `checks: [{ name: broker, kind: tcp, host: 127.0.0.1, port: ${port}, interval: 1s, group: quay }]\n`
  await (await machine(t, checks)).start(sparkplugTo(broker.url))
  const birth = await broker.heard(({ verb, device }) => verb === 'DBIRTH' && device === 'checks:quay')
  assert.ok(birth.payload.metrics.some(({ name }) => name?.startsWith('broker/')))
  // In data, or in the birth already, if the check has run before that.
  await broker.heard(({ device, payload }) => device === 'checks:quay' && payload.metrics.some((metric) => carriedValue(metric) === 'up'))
})

test('SIGHUP reads the checks again; those that are not valid are refused and the others go on', async (t) => {
  const one = (name: string) => `checks: [{ name: ${name}, kind: tcp, host: 127.0.0.1, port: 9 }]\n`
  const { start, checksFile } = await machine(t, one('first'))
  const monitor = await start({})
  await metricsOnce(monitor.url, (text) => text.includes('skerry_check_up{check="first"'))
  await writeFile(checksFile, one('second'))
  process.kill(monitor.pid, 'SIGHUP')
  const second = await metricsOnce(monitor.url, (text) => text.includes('skerry_check_up{check="second"'))
  assert.ok(!second.includes('check="first"'))
  await writeFile(checksFile, 'checks: [{ name: third, kind: tpc }]\n')
  process.kill(monitor.pid, 'SIGHUP')
  const refused = await metricsOnce(monitor.url, (text) => /^skerry_monitor_reload_successful 0$/m.test(text))
  assert.ok(refused.includes('skerry_check_up{check="second"'))
  await until('it is told', async () => monitor.log.some((line) => line.includes('did you mean \\"tcp\\"?')))
  assert.equal(await monitor.stop(), 0)
})

test('SIGHUP takes up a new module of the modules file, and says that the configuration itself needs a restart', async (t) => {
  const { start, checksFile } = await machine(t)
  const modulesFile = path.join(path.dirname(checksFile), 'blackbox.yml')
  await writeFile(modulesFile, 'modules: { first: { prober: tcp } }\n')
  const probe = { modulesFile, allow: [{ addresses: ['127.0.0.1'], ports: [9] }] }
  const metrics = { host: '127.0.0.1', port: 0, probe }
  const monitor = await start({ metrics })
  const status = async (module: string) => (await fetch(`${monitor.url}/probe?target=127.0.0.1:9&module=${module}`)).status
  assert.deepEqual([await status('first'), await status('second')], [200, 400])
  await writeFile(modulesFile, 'modules: { second: { prober: tcp } }\n')
  await writeFile(path.join(path.dirname(checksFile), 'monitor.yaml'), stringify({ metrics, log: { level: 'debug' } }))
  process.kill(monitor.pid, 'SIGHUP')
  await until('it is taken up', async () => (await status('second')) === 200)
  await until('it is told', async () => monitor.log.some((line) => line.includes('the configuration has changed: restart the monitor')))
  assert.equal(await monitor.stop(), 0)
})

test('a cluster that is away at the start stops nothing: checks run, births go out, and /readyz says what is missing', async (t) => {
  const broker = await startBroker(t)
  const { start, checksFile } = await machine(t)
  const kubeconfig = path.join(path.dirname(checksFile), 'kubeconfig')
  const user = { name: 'a', user: { token: 'x' } }
  const cluster = { name: 'a', cluster: { server: `https://127.0.0.1:${await freePort()}` } }
  const context = { name: 'a', context: { cluster: 'a', user: 'a' } }
  await writeFile(
    kubeconfig,
    stringify({ apiVersion: 'v1', kind: 'Config', clusters: [cluster], users: [user], contexts: [context], 'current-context': 'a' }),
  )
  const monitor = await start({ ...sparkplugTo(broker.url), cluster: { kubeconfig } })
  await session(broker)
  const { status, parts } = await readiness(monitor.url)
  assert.equal(status, 503)
  assert.match(parts.find(({ name }) => name === 'cache of hosts')?.reason ?? '', /not listed yet: .*ECONNREFUSED/)
  await metricsOnce(monitor.url, (text) => text.includes('skerry_check_up{check="kubernetes"'))
  assert.equal(await monitor.stop(), 0)
})

test('the number of the last session is kept where dataDir says', async (t) => {
  const broker = await startBroker(t)
  const { start, checksFile } = await machine(t)
  const monitor = await start(sparkplugTo(broker.url))
  const { bdSeq } = await session(broker)
  assert.equal(Number(await readFile(path.join(path.dirname(checksFile), 'data', 'bd-seq'), 'utf8')), bdSeq)
  assert.equal(await monitor.stop(), 0)
})

test('a heartbeat shows at once, needs its token, and is still known after a restart', async (t) => {
  const { start, checksFile } = await machine(t)
  const tokenFile = path.join(path.dirname(checksFile), 'token')
  await writeFile(tokenFile, 'anchor\n')
  const check = {
    name: 'nightly backup',
    kind: 'heartbeat',
    id: 'backup',
    tokenFile,
    within: '1h',
    interval: '1s',
    timeout: '1s',
    retries: 0,
  }
  await writeFile(checksFile, stringify({ checks: [check] }))
  const first = await start({})
  const send = (url: string, query: string, token = 'anchor') =>
    fetch(`${url}/heartbeat/backup?${query}`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  for (const [query, token, status] of [
    ['', 'driftwood', 401],
    ['token=driftwood', '', 401],
    ['state=fine', 'anchor', 400],
    ['ms=soon', 'anchor', 400],
  ] as const)
    assert.equal((await send(first.url, query, token)).status, status, query)
  assert.equal((await fetch(`${first.url}/heartbeat/other?token=anchor`)).status, 401)
  const { status, headers } = await fetch(`${first.url}/heartbeat/backup?token=anchor`, { method: 'DELETE' })
  assert.deepEqual([status, headers.get('allow')], [405, 'GET, HEAD, POST, PUT'])
  await metricsOnce(first.url, (page) =>
    page.includes('skerry_check_state{check="nightly backup",kind="heartbeat",target="backup",severity="warning",state="unknown"} 1'),
  )
  // As Uptime Kuma's push monitors are called.
  assert.equal((await fetch(`${first.url}/heartbeat/backup?token=anchor&status=down&msg=disk%20full&ping=1500`)).status, 200)
  await metricsOnce(
    first.url,
    (page) =>
      /skerry_check_state\{check="nightly backup".*state="down"\} 1/.test(page) &&
      page.includes('skerry_heartbeat_duration_seconds{check="nightly backup",kind="heartbeat",target="backup",severity="warning"} 1.5'),
  )
  assert.equal((await send(first.url, '')).status, 200)
  await metricsOnce(first.url, (page) => /skerry_check_state\{check="nightly backup".*state="up"\} 1/.test(page))
  assert.equal(await first.stop(), 0)
  const second = await start({})
  await metricsOnce(second.url, (page) => /skerry_check_state\{check="nightly backup".*state="up"\} 1/.test(page))
})
