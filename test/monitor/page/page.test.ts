import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { parse } from 'yaml'
import { sendPieces } from '../../../monitor/page/send.ts'
import { Secret } from '../../../shared/fields.ts'
import { listen } from '../checks/servers.ts'
import { startEndpoint, statusOf } from '../metrics/endpoint-in-hand.ts'
import { manyChecks, ranStatus } from './in-hand.ts'

const allow = [{ hosts: ['localhost'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]

async function pages(t: TestContext, given: Parameters<typeof startEndpoint>[1] = {}, needs: Parameters<typeof startEndpoint>[2] = {}) {
  const { url, prober } = await startEndpoint(t, { probe: { allow }, ...given }, needs)
  const get = async (path: string) => {
    const response = await fetch(url + path)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  return { url, prober, get }
}

/** The names of the checks in a page, in its order. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/<a href="check\?name[^"]*">([^<]*)<\/a>/g)].map(([, name = '']) => name)
}

test('the page shows every check, the worst first, each with its state, its age and why', async (t) => {
  const { prober, get } = await pages(t)
  prober.statuses = [
    ranStatus({ name: 'host 10' }, { states: ['up'] }),
    ranStatus({ name: 'host 9' }, { states: ['up'] }),
    ranStatus({ name: 'slow' }, { states: ['degraded'], reason: 'limit', detail: 'It took 3 s.' }),
    // An age in minutes does not change while the page is made, however long that takes.
    ranStatus(
      { name: 'off', severity: 'info', intervalMs: 3_600_000 },
      { states: ['up', 'down'], reason: 'timeout', detail: 'No answer.', agoMs: 3_600_000 },
    ),
    ranStatus({ name: 'off too', severity: 'critical' }, { states: ['down'], reason: 'timeout', detail: 'No answer.' }),
    statusOf({ name: 'new' }, { detail: 'It has not run yet.' }),
  ]
  const { status, text } = await get('/')
  assert.equal(status, 200)
  assert.deepEqual(namesIn(text), ['off too', 'off', 'slow', 'new', 'host 9', 'host 10'])
  assert.match(text, /<title>2 down, 1 degraded · Skerry monitor<\/title>/)
  const row = text.split('<tr ').find((each) => each.includes('>off<')) ?? ''
  assert.match(row, /class="state down">Down</)
  assert.match(row, />60 min ago</)
  assert.match(row, /aria-label="Last 2 runs: 1 up, 1 down"/)
  assert.match(row, /<b>timeout<\/b> No answer\./)
  assert.match(text, /none yet/)
})

test('a check that was not heard of lately is shown as that, and never as up', async (t) => {
  const { prober, get } = await pages(t)
  prober.statuses = [
    ranStatus({ name: 'silent', intervalMs: 30_000, timeoutMs: 5_000 }, { states: ['up'], agoMs: 76_000 }),
    ranStatus({ name: 'heard', intervalMs: 60_000, timeoutMs: 5_000 }, { states: ['up'], agoMs: 76_000 }),
  ]
  const { text } = await get('/')
  assert.match(text, /<title>1 stale/)
  const row = text.split('<tr ').find((each) => each.includes('>silent<')) ?? ''
  assert.match(row, /class="state stale">Stale</)
  assert.match(row, /Not heard of; before, it was up\./)
  assert.doesNotMatch(row, /class="state up"/)
  assert.deepEqual(namesIn((await get('/?state=up')).text), ['heard'])
  assert.match((await get('/check?name=silent')).text, /class="state stale">Stale</)
})

test('the checks are filtered by state and by text, without a script', async (t) => {
  const { prober, get } = await pages(t)
  prober.statuses = manyChecks(1000)
  assert.equal(namesIn((await get('/')).text).length, 1000)
  const down = await get('/?state=down')
  assert.equal(namesIn(down.text).length, 4)
  assert.match(down.text, /4 of 1000 checks/)
  assert.match(down.text, /<option value="down" selected>/)
  assert.equal(namesIn((await get('/?q=HOST-11.harbour')).text).length, 1)
  assert.equal(namesIn((await get('/?q=redis&state=up')).text).length, 196)
  const none = await get(`/?q=${encodeURIComponent('"><script>')}&state=nonsense`)
  assert.match(none.text, /No check matches/)
  assert.match(none.text, /value="&quot;&gt;&lt;script&gt;"/)
})

test('the page of a check has its last 20 runs, its settings, and what depends on it', async (t) => {
  const { prober, get } = await pages(t)
  const states = Array.from({ length: 23 }, (_, index) => (index % 2 === 0 ? ('up' as const) : ('down' as const)))
  prober.statuses = [
    ranStatus({ name: 'web & api', options: { url: 'https://shop.example.com/' }, dependsOn: ['gate'] }, { states }),
    ranStatus({ name: 'gate' }, { states: ['up'] }),
  ]
  const { text } = await get(`/check?${new URLSearchParams({ name: 'web & api' })}`)
  assert.match(text, /<h1>web &amp; api<\/h1>/)
  assert.equal([...text.matchAll(/<tr class="(?:up|down)">/g)].length, 20)
  assert.match(text, /url: https:\/\/shop\.example\.com\//)
  assert.match(text, /interval: 30s/)
  assert.match(text, /<a href="check\?name=gate">gate<\/a>/)
  assert.match((await get('/check?name=gate')).text, /<a href="check\?name=web\+%26\+api">web &amp; api<\/a>/)
  const missing = await get('/check?name=nobody')
  assert.equal(missing.status, 404)
  assert.match(missing.text, /There is no such check/)
})

test('the last probes are shown with a link to their dialogue', async (t) => {
  const { url, get } = await pages(t)
  const { port } = new URL(url)
  await get(`/probe?target=127.0.0.1:${port}/healthz`)
  await get('/probe?target=127.0.0.1:1/&module=http_2xx')
  for (const path of ['/', '/probes']) {
    const { text } = await get(path)
    const rows = text.split('<tr ').filter((row) => row.includes('logs?id'))
    assert.equal(rows.length, 2)
    assert.match(rows[0] ?? '', /class="state down">Failure<.*href="logs\?id=2".*reason=connection_refused/s)
    assert.match(rows[1] ?? '', /class="state up">Success<.*href="logs\?id=1"/s)
  }
  assert.match((await get('/probes')).text, /<code>tls_connect<\/code>/)
})

test('modules of a file that are refused are shown with the reason', async (t) => {
  const file = { modules: () => new Map([['odd', { refused: ['http.<b> is not recognized'] }]]), last: () => ({ ok: true, at: 0 }) }
  const { get } = await pages(t, {}, { modules: file })
  assert.match((await get('/probes')).text, /<code>odd<\/code>: http\.&lt;b&gt; is not recognized/)
  const { modules, refusedModules } = parse((await get('/config')).text)
  assert.equal(modules.odd, undefined)
  assert.deepEqual(refusedModules, { odd: ['http.<b> is not recognized'] })
})

test('the page says what the monitor is, and what keeps it from being ready', async (t) => {
  const { prober, get } = await pages(t, {}, { readiness: [{ name: 'edge node', trouble: () => 'not <connected>' }] })
  prober.stalled = 'no check has ended for 90 s'
  const { text } = await get('/')
  assert.match(text, /The monitor is not ready/)
  assert.match(text, /<strong>edge node<\/strong>: not &lt;connected&gt;/)
  assert.match(text, /<strong>prober<\/strong>: no check has ended for 90 s/)
  assert.match(text, /<dt>version<\/dt><dd>1\.2\.3<\/dd>/)
  assert.match(text, /leader/)
})

test('/config is the configuration in effect as YAML', async (t) => {
  const configuration = () => ({ region: { id: 'harbour' }, metrics: { port: 9809 } })
  const { prober, get } = await pages(t, { probe: { allow, modules: { mine: { prober: 'tcp', timeout: '5s' } } } }, { configuration })
  prober.statuses = [
    statusOf({
      name: "Anna's NAS",
      kind: 'tcp',
      options: { host: 'nas', port: 1 },
      actions: [{ type: 'restart-unit', unit: 'a.service', everyMs: 600_000 }],
    }),
    statusOf({ name: 'GitHub | API' }),
  ]
  const { headers, text } = await get('/config')
  assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
  const { config, checks, modules } = parse(text)
  assert.deepEqual(config, configuration())
  assert.deepEqual([checks[0].name, checks[0].host, checks[0].interval, checks[1].name], ["Anna's NAS", 'nas', '30s', 'GitHub | API'])
  assert.deepEqual(checks[0].actions, [{ type: 'restart-unit', unit: 'a.service', every: '10m' }])
  assert.equal(modules.mine.timeout, '5s')
  assert.equal(modules.http_2xx.http.method, 'GET')
  prober.statuses = []
  assert.deepEqual(parse((await get('/config')).text).checks, [])
})

const markup = '<img src=x onerror=alert(1)><script>alert(2)</script>"\'`=\u202e\u0007&amp;'

test('markup in names, details, targets, labels, answers and queries stays text', async (t) => {
  const port = await listen(t, (socket) => socket.end(`HTTP/1.1 200 OK\r\nServer: ${markup.slice(0, 50)}\r\nContent-Length: 0\r\n\r\n`))
  const { prober, get } = await pages(t, {}, { facts: () => ({ region: markup }), readiness: [{ name: markup, trouble: () => markup }] })
  prober.statuses = [
    ranStatus(
      { name: markup, target: markup, group: markup, labels: { a: markup }, options: { url: markup }, dependsOn: [markup] },
      { states: ['down'], reason: 'error', detail: markup, measurements: [{ name: markup, value: 1, labels: { a: markup } }] },
    ),
  ]
  prober.stalled = markup
  const asked = encodeURIComponent(markup)
  await get(`/probe?target=${encodeURIComponent(`127.0.0.1:${port}/<script>`)}&hostname=${asked}`)
  await get(`/probe?module=${asked}&target=${asked}`)
  for (const path of ['/', `/?q=${asked}`, `/?state=${asked}`, `/check?name=${asked}`, `/check?name=x${asked}`, '/probes']) {
    const { text, headers } = await get(path)
    assert.equal(headers.get('content-type'), 'text/html; charset=utf-8')
    assert.doesNotMatch(text, /<img|<script>|"'`|\u202e|\p{Cc}(?<!\n)/u, path)
    assert.equal([...text.matchAll(/<script/g)].length, 1, 'only the script of the page')
  }
  for (const path of ['/logs?id=1', '/config', `/probe?target=127.0.0.1:${port}&debug=true`]) {
    const { headers } = await get(path)
    assert.equal(headers.get('content-type'), 'text/plain; charset=utf-8')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
  }
})

test('nothing runs or is styled but the two files, and nothing comes from elsewhere', async (t) => {
  const { prober, get } = await pages(t)
  prober.statuses = manyChecks(10)
  for (const path of ['/', '/check?name=site+0%2Fhttp%2F0', '/probes']) {
    const { headers, text } = await get(path)
    assert.match(headers.get('content-security-policy') ?? '', /^default-src 'none'; style-src 'self'; script-src 'self'; /)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.doesNotMatch(text, /\sstyle=|<style|\son[a-z]+=|https?:\/\/(?!service-)/)
    for (const [, file = ''] of text.matchAll(/(?:src|href)="([^"]+\?[0-9a-f]{12})"/g)) {
      const { status, headers } = await get(`/${file}`)
      assert.equal(status, 200)
      assert.match(headers.get('content-type') ?? '', /^(text\/css|text\/javascript|image\/svg)/)
    }
  }
})

test('all pages need the password, if there is one', async (t) => {
  const { get } = await pages(t, { basicAuth: { username: 'a', passwordFile: new Secret({ value: 'b' }) } })
  for (const path of ['/', '/check?name=x', '/probes', '/config', '/logs?id=1', '/page.css', '/page.js', '/icon.svg'])
    assert.equal((await get(path)).status, 401, path)
})

test('HEAD of a page has its head only', async (t) => {
  const { url, prober } = await pages(t)
  prober.statuses = manyChecks(100)
  const response = await fetch(url, { method: 'HEAD' })
  assert.equal(response.status, 200)
  assert.equal(await response.text(), '')
})

test('a long page is made in slices: others have their turn, and a client that leaves ends it', async (t) => {
  let made = 0
  function* pieces(): Generator<string> {
    for (; made < 4_000; made++) {
      const until = performance.now() + 2
      while (performance.now() < until);
      yield 'x'.repeat(4096)
    }
  }
  let longest = 0
  const sending = Promise.withResolvers<void>()
  const server = createServer((_, outgoing: ServerResponse) => sending.resolve(sendPieces(outgoing, {}, pieces())))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const client = new AbortController()
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { signal: client.signal })
  const reader = response.body?.getReader()
  for (let turn = 0; turn < 20; turn++) {
    if (turn % 3 === 0) await reader?.read()
    const last = made
    await new Promise((resolve) => setImmediate(resolve))
    longest = Math.max(longest, made - last)
  }
  assert.ok(longest > 0 && longest <= 12, `${longest} pieces of 2 ms in one turn`)
  client.abort()
  await sending.promise
  assert.ok(made < 4_000, 'the rest was not made')
})
