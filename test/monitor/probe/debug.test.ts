import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { type TestContext, test } from 'node:test'
import { parse } from 'yaml'
import type * as z from 'zod'
import { Dialogue } from '../../../monitor/probe/dialogue.ts'
import { ProbeHistory } from '../../../monitor/probe/history.ts'
import type { probeConfig } from '../../../monitor/probe/index.ts'
import { probeModule } from '../../../monitor/probe/modules/index.ts'
import { Secret } from '../../../shared/fields.ts'
import { listen, redirectingPair, serve } from '../checks/servers.ts'
import { startEndpoint } from '../metrics/endpoint-in-hand.ts'
import { logLines } from '../prober/scene.ts'

type Modules = NonNullable<z.input<typeof probeConfig>['modules']>

/** The endpoint with loopback allowed and these modules, and what it answers to a debug request. */
async function debugging(t: TestContext, modules: Modules = {}) {
  const { log, lines } = logLines()
  const allow = [{ hosts: ['localhost'], addresses: ['127.0.0.0/8'], ports: ['1-65535'] }]
  const { url } = await startEndpoint(t, { probe: { allow, modules } }, { log })
  const get = (path: string, query: Record<string, string> = {}) => fetch(`${url}${path}?${new URLSearchParams(query)}`)
  const debug = async (target: string, module = 'mine') => {
    const response = await get('/probe', { target, module, debug: 'true' })
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8')
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    return response.text()
  }
  return { get, debug, lines }
}

/** The messages of a dialogue, in their order. */
function messagesOf(text: string): string[] {
  return [...text.matchAll(/^time=\S+ level=(\w+) msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))/gm)].map(([, , quoted, bare]) => quoted ?? bare ?? '')
}

test('debug=true shows the dialogue, the series and the module of an HTTP probe', async (t) => {
  const target = await serve(t, { '/': 'hello' })
  const { debug } = await debugging(t)
  const text = await debug(target, 'http_2xx')
  assert.deepEqual(messagesOf(text), [
    'Beginning probe',
    'Resolving target address',
    'Resolved target address',
    'Making HTTP request',
    'Received HTTP response',
    'Received header fields',
    'Response timings for roundtrip',
    'Probe succeeded',
  ])
  assert.match(text, /^Logs for the probe:\ntime=\d{4}-\S+Z level=debug msg="Beginning probe" module=http_2xx target=http:/)
  assert.match(text, /msg="Received HTTP response" module=http_2xx target=\S+ status_code=200 version=HTTP\/1.1 body_bytes=5/)
  assert.match(text, /\n\n\nMetrics that would have been returned:\n# HELP probe_http_status_code .*\n[\s\S]*\nprobe_success 1\n/)
  const [, module = ''] = text.split('Module configuration:\n')
  const { prober, http } = parse(module)
  assert.equal(prober, 'http')
  assert.equal(http.enable_http2, true)
  assert.equal(http.follow_redirects, true)
})

const faults: { name: string; http: object; said: RegExp }[] = [
  { name: 'a status', http: { valid_status_codes: [204] }, said: /status_code=200 valid_status_codes=204/ },
  { name: 'a body', http: { fail_if_body_matches_regexp: ['h.llo'] }, said: /"Body matched regular expression" .*regexp=h.llo/ },
  { name: 'a body that lacks something', http: { fail_if_body_not_matches_regexp: ['bye'] }, said: /"Body did not match .*regexp=bye/ },
  {
    name: 'a header field that is missing',
    http: { fail_if_header_not_matches: [{ header: 'X-Ship', regexp: '.' }] },
    said: /"Missing required header" .*header=X-Ship/,
  },
  {
    name: 'a header field',
    http: { fail_if_header_matches: [{ header: 'Connection', regexp: 'close' }] },
    said: /"Header matched regular expression" .*header=Connection regexp=close value=close/,
  },
  { name: 'a version', http: { valid_http_versions: ['HTTP/1.0'] }, said: /"Invalid HTTP version number" .*version=HTTP\/1.1/ },
  { name: 'the lack of TLS', http: { fail_if_not_ssl: true }, said: /"Final request was not over SSL"/ },
]
for (const { name, http, said } of faults)
  test(`a probe that fails for ${name} says so in its dialogue and in the log`, async (t) => {
    const target = await serve(t, { '/': 'hello' })
    const { debug, lines } = await debugging(t, { mine: { prober: 'http', http } })
    const text = await debug(target)
    assert.match(text, new RegExp(`level=error msg=${said.source.startsWith('"') ? '' : '.*'}${said.source}`))
    assert.equal(messagesOf(text).at(-1), 'Probe failed')
    const line = lines.find(({ msg }) => msg === 'probe failed')
    assert.equal(line.level, 'debug')
    assert.equal(line.module, 'mine')
    assert.ok(line.why.length > 10, line.why)
  })

test('a probe whose target refuses the connection, and one that answers too late, say so', async (t) => {
  const silent = await listen(t, () => {})
  const { debug, lines } = await debugging(t, { mine: { prober: 'http', timeout: '50ms' }, raw: { prober: 'tcp', tcp: { tls: true } } })
  assert.match(await debug(`127.0.0.1:${silent}`), /level=error msg="Probe ended with an error" .*reason=timeout err="No answer in time"/)
  assert.match(await debug('127.0.0.1:1', 'tcp_connect'), /reason=connection_refused/)
  assert.ok(lines.some(({ why }) => /reason=timeout/.test(why ?? '')))
})

test('each redirect is in the dialogue, and so is the one that no rule allows', async (t) => {
  const { port, elsewhere } = await redirectingPair(t)
  const { debug } = await debugging(t)
  const text = await debug(`127.0.0.1:${port}`, 'http_2xx')
  assert.match(text, new RegExp(`msg="Received redirect" .*location=http://127.0.0.1:${elsewhere}/`))
  assert.equal(messagesOf(text).filter((message) => message === 'Making HTTP request').length, 2)
})

test('debug=true shows every line of a TCP dialogue, and what was expected', async (t) => {
  const port = await listen(t, (socket) => {
    socket.write('220 harbour ESMTP\r\n')
    socket.on('data', () => socket.end('250-PIPELINING\r\n250 \u001b[31m\u202eHELP\r\n'))
  })
  const { debug } = await debugging(t, {
    mine: {
      prober: 'tcp',
      tcp: { query_response: [{ expect: '^220 (\\w+)' }, { send: 'EHLO $1' }, { expect: '^251' }] },
    },
  })
  const text = await debug(`127.0.0.1:${port}`)
  assert.match(text, /msg="Read line" .*line="220 harbour ESMTP"/)
  assert.match(text, /msg="Regexp matched" .*regexp="\^220/)
  assert.match(text, /msg="Sending line" .*line="EHLO [^"]*" bytes=\d+/)
  assert.match(text, /line="250 \\u001b\[31m\\u202eHELP"/, 'controls of the server are escaped')
  assert.match(text, /level=error msg="Regexp did not match" .*regexp=/)
})

test('debug=true shows query and answer of a DNS probe', async (t) => {
  const server = createSocket('udp4')
  server.on('message', (query, { port, address }) => {
    const answer = Buffer.from(query)
    answer[2] = 0x81
    answer[3] = 0x83
    server.send(answer, port, address)
  })
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const { debug } = await debugging(t, { mine: { prober: 'dns', dns: { query_name: 'shop.example.com', query_type: 'A' } } })
  const text = await debug(`127.0.0.1:${server.address().port}`)
  assert.match(text, /msg="Making DNS query" .*protocol=udp query=shop.example.com type=A/)
  assert.match(text, /msg="Got response" .*rcode=NXDOMAIN answer_rrs=0/)
  assert.match(text, /level=error msg="Rcode is not one of the valid rcodes" .*rcode=NXDOMAIN valid_rcodes=NOERROR/)
})

test('no part of a secret is shown, however often a server repeats it in one line', () => {
  const secret = Array.from({ length: 1_000 }, (_, index) => String.fromCharCode(97 + (index % 26))).join('')
  const dialogue = new Dialogue({ now: () => 0, about: {}, secrets: [secret] })
  dialogue.say('Read line', { line: secret.repeat(65) })
  assert.ok(!dialogue.text().includes('abcdefgh'))
})

test('no secret of a module or of a query is shown, even if the server repeats it', async (t) => {
  const canary = 'c4n4ry+/s3cret='
  let heard = ''
  const port = await listen(t, (socket) =>
    socket.once('data', (request) => {
      heard = request.toString()
      const echo = heard.replaceAll(/\r\n/g, ' ').slice(0, 900)
      socket.end(`HTTP/1.1 200 OK\r\nServer: ${echo}\r\nX-Echo: ${echo}\r\nSet-Cookie: a=${canary}\r\nContent-Length: 2\r\n\r\nok`)
    }),
  )
  const echoing = await listen(t, (socket) => {
    socket.write('login:\r\n')
    socket.on('data', (bytes) => {
      socket.write(`you said ${bytes}\r\n`)
      if (bytes.includes('PASS')) socket.end()
    })
  })
  const { debug, get, lines } = await debugging(t, {
    mine: {
      prober: 'http',
      http: {
        method: 'POST',
        headers: { 'X-Odd-Name': canary, Cookie: `session=${canary}`, 'X-Api-Key': `k-${canary}` },
        body: `{"password":"${canary}"}`,
        basic_auth: { username: 'harbour', password_file: new Secret({ value: canary }) },
        fail_if_header_matches: [{ header: 'Server', regexp: '.' }],
      },
    },
    lines: {
      prober: 'tcp',
      tcp: { query_response: [{ expect: 'login' }, { send: canary }, { expect: 'you' }, { send: `PASS ${canary}` }, { expect: 'never' }] },
    },
  })
  const shown = [
    await debug(`http://127.0.0.1:${port}/?key=${encodeURIComponent(canary)}&a=b`),
    await debug(`127.0.0.1:${echoing}`, 'lines'),
    await (await get('/logs', { id: '1' })).text(),
    await (await get('/logs', { id: '2' })).text(),
    JSON.stringify(lines),
  ]
  assert.match(heard, /c4n4ry/, 'it was sent')
  assert.match(shown[0] ?? '', /x-odd-name: <secret>|X-Odd-Name: <secret>/i)
  assert.match(shown[0] ?? '', /username: harbour/)
  for (const text of shown) {
    assert.doesNotMatch(text, /c4n4ry|s3cret=/)
    assert.ok(!text.includes(encodeURIComponent(canary)))
    assert.ok(!text.includes(Buffer.from(`harbour:${canary}`).toString('base64')))
  }
})

test('the dialogue is bounded, and why the probe failed is still in it', async (t) => {
  const port = await listen(t, (socket) => socket.end(`${'x'.repeat(300)}\n`.repeat(2000)))
  const { debug } = await debugging(t, { mine: { prober: 'tcp', tcp: { query_response: [{ expect: 'never' }] } } })
  const text = await debug(`127.0.0.1:${port}`)
  assert.ok(text.length < 32 * 1024, `${text.length}`)
  assert.match(text, /\d+ more lines are left out/)
  assert.match(text, /msg="Regexp did not match"/)
  assert.match(text, /msg="Probe failed"/)
})

test('/logs answers with the dialogue of a probe by its id or its target, as blackbox_exporter does', async (t) => {
  const target = await serve(t, { '/': 'hello' })
  const { get } = await debugging(t)
  await (await get('/probe', { target })).text()
  const byId = await (await get('/logs', { id: '1' })).text()
  assert.match(byId, /^Logs for the probe:\n/)
  assert.equal(await (await get('/logs', { target })).text(), byId)
  assert.equal(await (await get('/logs', { target, module: 'http_2xx' })).text(), byId)
  const statuses: [Record<string, string>, number][] = [
    [{ id: '2' }, 404],
    [{ target, module: 'tcp_connect' }, 404],
    [{}, 400],
    [{ id: '1', target }, 400],
    [{ module: 'http_2xx' }, 400],
  ]
  for (const [query, status] of statuses) assert.equal((await get('/logs', query)).status, status, JSON.stringify(query))
})

test('the last hundred probes are kept, and a hundred failed ones from before them, within bounds', () => {
  const module = probeModule.parse({ prober: 'http' })
  const past = (isUp: boolean, log = '') =>
    ({ at: 0, name: 'http_2xx', target: 'x', isUp, seconds: 0, why: undefined, log, series: '', module }) as const
  const history = new ProbeHistory()
  for (let count = 0; count < 5; count++) history.add(past(false))
  for (let count = 0; count < 300; count++) history.add(past(true))
  assert.deepEqual([history.list().length, history.list()[0]?.id, history.list().at(-1)?.id], [105, 305, 1])
  assert.equal(history.byId(3)?.isUp, false)
  assert.equal(history.byId(150), undefined)
  for (let count = 0; count < 400; count++) history.add(past(false))
  assert.equal(history.list().length, 200)
  for (let count = 0; count < 300; count++) history.add(past(false, 'x'.repeat(30_000)))
  const kept = history.list().reduce((sum, { log }) => sum + log.length, 0)
  assert.ok(kept <= 2 * 1024 * 1024 && kept > 1024 * 1024, `${kept}`)
})
