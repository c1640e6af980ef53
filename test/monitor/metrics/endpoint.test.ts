import assert from 'node:assert/strict'
import { scryptSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { metricsConfig } from '../../../monitor/metrics/index.ts'
import { createCounters } from '../../../monitor/sparkplug/counters.ts'
import { parseWith } from '../../../shared/faults.ts'
import { Secret } from '../../../shared/fields.ts'
import { createCertificate, writeCertificate } from '../../peers/certificates.ts'
import { startEndpoint, statusOf } from './endpoint-in-hand.ts'
import { readPage } from './reading.ts'

const openMetrics = 'application/openmetrics-text;version=1.0.0'

test('the first scrape has checks, the process, the build and the prober, in both formats', async (t) => {
  const { prober, page } = await startEndpoint(t)
  prober.statuses = [statusOf()]
  prober.statistics = {
    runs: { up: 5, degraded: 0, down: 2, unknown: 0 },
    running: 2,
    waiting: 1,
    startDelays: { buckets: Uint32Array.of(0, 3, 1), sum: 0.025, count: 4 },
    actions: { done: 3 },
    skipped: 4,
    abandoned: 0,
  }
  for (const [accept, format] of [
    ['text/plain', 'text'],
    [openMetrics, 'openmetrics'],
  ] as const) {
    const found = readPage(await page(accept), format)
    assert.equal(found.value('skerry_check_up', { check: 'shop' }), 0)
    assert.equal(found.value('skerry_monitor_build_info', { version: '1.2.3', node: process.version }), 1)
    assert.equal(found.value('skerry_monitor_leader'), 1)
    assert.equal(found.value('skerry_monitor_check_runs_total', { state: 'down' }), 2)
    assert.equal(found.value('skerry_monitor_check_runs_skipped_total'), 4)
    assert.equal(found.value('skerry_monitor_checks_running'), 2)
    assert.equal(found.value('skerry_monitor_checks_waiting'), 1)
    assert.equal(found.value('skerry_monitor_check_start_delay_seconds_sum'), 0.025)
    assert.equal(found.value('skerry_monitor_check_start_delay_seconds_bucket', { le: '0.025' }), 4)
    assert.equal(found.value('skerry_monitor_actions_total', { outcome: 'done' }), 3)
    assert.equal(found.value('skerry_monitor_stalled'), 0)
    assert.ok((found.value('process_resident_memory_bytes') ?? 0) > 1e6)
    assert.equal(found.value('skerry_monitor_reload_successful'), undefined, 'nothing was reloaded')
    assert.deepEqual(found.all('skerry_sparkplug_connected'), [], 'nothing is published')
  }
})

test('the series of a check vanish with it', async (t) => {
  const { prober, page } = await startEndpoint(t)
  prober.statuses = [statusOf({ name: 'stays' }), statusOf({ name: 'goes' })]
  assert.match(await page(), /check="goes"/)
  prober.statuses = prober.statuses.slice(0, 1)
  const text = await page()
  assert.match(text, /check="stays"/)
  assert.doesNotMatch(text, /check="goes"/)
})

test('a check that is configured anew has its new labels at once', async (t) => {
  const { prober, page } = await startEndpoint(t)
  prober.statuses = [statusOf({ labels: { team: 'harbour' } })]
  await page()
  prober.statuses = [statusOf({ labels: { team: 'pilots' } })]
  assert.equal(readPage(await page()).all('skerry_check_up')[0]?.labels.team, 'pilots')
})

test('it tells how the last reload went', async (t) => {
  let reload: { ok: boolean; at: number } | undefined = { ok: true, at: 1_767_225_600_500 }
  const { page } = await startEndpoint(t, {}, { reload: () => reload })
  const good = readPage(await page())
  assert.equal(good.value('skerry_monitor_reload_successful'), 1)
  assert.equal(good.value('skerry_monitor_reload_timestamp_seconds'), 1_767_225_600.5)
  reload = { ok: false, at: 0 }
  assert.equal(readPage(await page()).value('skerry_monitor_reload_successful'), 0)
})

test('it tells what the edge node counts', async (t) => {
  const counters = createCounters()
  Object.assign(counters, { isConnected: true, server: 'mqtts://broker:8883', reconnects: 4, rebirths: 2, commands: 5, refusedSamples: 6 })
  counters.sent.NDATA = 11
  counters.dropped.malformed = 3
  Object.assign(counters.buffer, { length: 9, dropped: 8, unborn: 1, historical: 7 })
  const { page } = await startEndpoint(t, {}, { sparkplug: () => counters })
  const found = readPage(await page(openMetrics), 'openmetrics')
  assert.equal(found.value('skerry_sparkplug_connected'), 1)
  assert.equal(found.value('skerry_sparkplug_online'), 0)
  assert.equal(found.value('skerry_sparkplug_server_info', { server: 'mqtts://broker:8883' }), 1)
  assert.equal(found.value('skerry_sparkplug_messages_sent_total', { type: 'NDATA' }), 11)
  assert.equal(found.value('skerry_sparkplug_messages_sent_total', { type: 'NBIRTH' }), 0)
  assert.equal(found.value('skerry_sparkplug_messages_dropped_total', { reason: 'malformed' }), 3)
  assert.equal(found.value('skerry_sparkplug_reconnects_total'), 4)
  assert.equal(found.value('skerry_sparkplug_rebirths_total'), 2)
  assert.equal(found.value('skerry_sparkplug_commands_total'), 5)
  assert.equal(found.value('skerry_sparkplug_refused_samples_total'), 6)
  assert.equal(found.value('skerry_sparkplug_buffer_changes'), 9)
  assert.equal(found.value('skerry_sparkplug_buffer_dropped_total'), 8)
  assert.equal(found.value('skerry_sparkplug_buffer_unborn_total'), 1)
  assert.equal(found.value('skerry_sparkplug_buffer_historical_total'), 7)
})

test('the answer says its format, and that it depends on what is accepted', async (t) => {
  const { url } = await startEndpoint(t)
  const plain = await fetch(`${url}/metrics`)
  assert.equal(plain.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(plain.headers.get('vary'), 'Accept')
  const open = await fetch(`${url}/metrics`, { headers: { accept: openMetrics } })
  assert.equal(open.headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  await Promise.all([plain.text(), open.text()])
})

test('it is alive as soon as it answers, and ready once nothing is in trouble; it says what is', async (t) => {
  let trouble: string | undefined = 'not listed yet'
  const { url, prober } = await startEndpoint(t, {}, { readiness: [{ name: 'cache of pods', trouble: () => trouble }] })
  prober.stalled = 'no check has ended for 90 s'
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  const before = await fetch(`${url}/readyz`)
  assert.equal(before.status, 503)
  assert.deepEqual(await before.json(), {
    ready: false,
    parts: [
      { name: 'cache of pods', ready: false, reason: 'not listed yet' },
      { name: 'prober', ready: false, reason: 'no check has ended for 90 s' },
    ],
    facts: { version: '1.2.3', leader: true },
  })
  const text = await fetch(`${url}/readyz`, { headers: { accept: 'text/plain' } })
  assert.equal(await text.text(), 'not ready\n- cache of pods: not listed yet\n- prober: no check has ended for 90 s\n')
  assert.equal(readPage(await (await fetch(`${url}/metrics`)).text()).value('skerry_monitor_stalled'), 1)

  trouble = undefined
  prober.stalled = undefined
  const after = await fetch(`${url}/readyz`)
  assert.equal(after.status, 200)
  assert.equal(((await after.json()) as { ready: boolean }).ready, true)
})

test('HEAD is answered without a body, other methods and other paths are refused', async (t) => {
  const { url } = await startEndpoint(t)
  for (const path of ['/', '/metrics', '/healthz', '/readyz']) {
    const head = await fetch(url + path, { method: 'HEAD' })
    assert.equal(head.status, 200, path)
    assert.equal(await head.text(), '')
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const other = await fetch(url + path, { method })
      assert.equal(other.status, 405, `${method} ${path}`)
      assert.equal(other.headers.get('allow'), 'GET, HEAD')
      assert.equal(other.headers.get('content-type'), 'application/problem+json')
      await other.text()
    }
  }
  assert.equal((await fetch(`${url}/elsewhere`)).status, 404)
})

const salt = Buffer.from('sixteen bytes ok')
const hash = `$scrypt$ln=10,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync('open sesame', salt, 32, { cost: 1024 }))}`
const passwords = [
  { name: 'a password in a file', basicAuth: { username: 'reader', passwordFile: new Secret({ value: 'open sesame' }) } },
  { name: 'the hash of a password', basicAuth: { username: 'reader', passwordHash: hash } },
]
for (const { name, basicAuth } of passwords)
  test(`with ${name}, all but health and readiness needs it`, async (t) => {
    const { url } = await startEndpoint(t, { basicAuth })
    const ask = async (path: string, credentials?: string) => {
      const headers = credentials === undefined ? undefined : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }
      const response = await fetch(url + path, headers && { headers })
      await response.text()
      return response
    }
    for (const path of ['/healthz', '/readyz']) assert.equal((await ask(path)).status, 200, path)
    for (const path of ['/', '/metrics', '/probe?target=x', '/elsewhere']) {
      const refused = await ask(path)
      assert.equal(refused.status, 401, path)
      assert.match(refused.headers.get('www-authenticate') ?? '', /^Basic realm=/)
    }
    for (const wrong of ['reader:open sesam', 'reader:', 'writer:open sesame', 'reader', ':', 'reader:open sesame:'])
      assert.equal((await ask('/metrics', wrong)).status, 401, wrong)
    for (let time = 0; time < 2; time++) assert.equal((await ask('/metrics', 'reader:open sesame')).status, 200)
    assert.equal((await ask('/metrics', 'reader:wrong')).status, 401, 'also after a right one')
    assert.equal((await fetch(`${url}/metrics`, { headers: { authorization: 'Bearer x' } })).status, 401)
  })

test('whoever floods it with passwords to hash is turned away', async (t) => {
  const { url } = await startEndpoint(t, { basicAuth: { username: 'reader', passwordHash: hash.replace('ln=10', 'ln=15') } })
  const answers = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const response = await fetch(`${url}/metrics`, { headers: { authorization: `Basic ${btoa(`reader:${index}`)}` } })
      await response.text()
      return response.status
    }),
  )
  assert.ok(answers.includes(503), `${answers}`)
  assert.ok(answers.includes(401))
  assert.ok(!answers.includes(200))
})

test('strangers who flood it with passwords do not keep out whoever knows it, even before that was ever given', async (t) => {
  const slow = `$scrypt$ln=13,r=8,p=1$${unpadded(salt)}$${unpadded(scryptSync('open sesame', salt, 32, { cost: 8_192 }))}`
  const { url } = await startEndpoint(t, { basicAuth: { username: 'reader', passwordHash: slow } })
  const answers: (number | undefined)[] = []
  const flood = Array.from({ length: 60 }, async (_, index) => answers.push(await statusFor(url, `reader:${index}`, '127.0.0.1')))
  assert.equal(await statusFor(url, 'reader:open sesame', '127.0.0.2'), 200)
  await Promise.all(flood)
  assert.ok(answers.includes(503), `${answers}`)
})

/** The status of a scrape with these credentials, from an address of this machine. */
function statusFor(url: string, credentials: string, localAddress: string): Promise<number | undefined> {
  const options = { auth: credentials, localAddress, agent: false }
  return new Promise((resolve, reject) =>
    plainRequest(`${url}/metrics`, options, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end(),
  )
}

test('with a certificate it speaks TLS, and nothing else', async (t) => {
  const folder = await folderOf(t)
  const signed = await createCertificate()
  const paths = await writeCertificate(folder, signed)
  const { endpoint, url } = await startEndpoint(t, { tls: { certFile: paths.cert, keyFile: paths.key } })
  const text = await new Promise<string>((resolve, reject) =>
    request(`${url}/metrics`, { ca: signed.ca, agent: false }, async (response) => resolve((await response.toArray()).join('')))
      .on('error', reject)
      .end(),
  )
  assert.equal(readPage(text).value('skerry_monitor_leader'), 1)
  await assert.rejects(fetch(`http://127.0.0.1:${endpoint.port()}/metrics`))
})

test('a port that is taken fails the start with its number', async (t) => {
  const { endpoint } = await startEndpoint(t)
  await assert.rejects(startEndpoint(t, { port: endpoint.port() }), new RegExp(`cannot listen on 127.0.0.1:${endpoint.port()}`))
})

const bad = [
  {
    name: 'a password and its hash',
    given: { basicAuth: { username: 'a', passwordFile: 'f', passwordHash: hash } },
    fault: /needs either/,
  },
  { name: 'a user without a password', given: { basicAuth: { username: 'a' } }, fault: /needs either/ },
  { name: 'a hash of another kind', given: { basicAuth: { username: 'a', passwordHash: '$2y$10$abc' } }, fault: /must be an scrypt hash/ },
  {
    name: 'a hash that costs a gigabyte',
    given: { basicAuth: { username: 'a', passwordHash: hash.replace('ln=10', 'ln=20') } },
    fault: /64 MiB/,
  },
  { name: 'a colon in the user', given: { basicAuth: { username: 'a:b', passwordFile: 'f' } }, fault: /colon/ },
  { name: 'a rule without addresses', given: { probe: { allow: [{ hosts: ['*'], ports: [80] }] } }, fault: /addresses/ },
  { name: 'a network that is none', given: { probe: { allow: [{ addresses: ['10.0.0.0/33'], ports: [80] }] } }, fault: /network such as/ },
  {
    name: 'ports the wrong way round',
    given: { probe: { allow: [{ addresses: ['10.0.0.0/8'], ports: ['90-80'] }] } },
    fault: /range of ports/,
  },
  { name: 'an unknown prober', given: { probe: { modules: { x: { prober: 'gopher' } } } }, fault: /prober/ },
  {
    name: 'an expression that is none',
    given: { probe: { modules: { x: { prober: 'tcp', tcp: { query_response: [{ expect: '(' }] } } } } },
    fault: /regular expression/,
  },
  { name: 'an unknown key', given: { probe: { modules: { x: { prober: 'http', http: { metod: 'GET' } } } } }, fault: /metod/ },
]
for (const { name, given, fault } of bad)
  test(`the configuration refuses ${name}`, () => {
    const parsed = parseWith(metricsConfig, given)
    assert.ok(!parsed.ok)
    assert.match(JSON.stringify(parsed.faults), fault)
  })

test('an empty configuration listens on 9809, reads the host and allows no probe', () => {
  const config = metricsConfig.parse({})
  assert.equal(config.port, 9809)
  assert.deepEqual(config.hostMetrics, { enabled: true, interval: 15_000 })
  assert.deepEqual(config.probe.allow, [])
})

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-metrics-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}
