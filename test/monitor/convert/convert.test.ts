import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { checkKinds } from '../../../monitor/checks/index.ts'
import { convert } from '../../../monitor/convert/index.ts'
import { parseChecks } from '../../../monitor/prober/config.ts'
import { loadConditionsFor } from '../../../monitor/wire/conditions.ts'
import { assertResult, run } from '../checks/run.ts'
import { serve } from '../checks/servers.ts'

const files = { read: () => Buffer.from('anchor') }

/** Converts, and reads what came of it as the monitor does. */
async function converted(text: string) {
  const found = convert(text)
  assert.ok(found !== undefined)
  await loadConditionsFor(found.text)
  const parsed = parseChecks(found.text, { files })
  assert.ok(!('faults' in parsed), 'faults' in parsed ? JSON.stringify(parsed.faults) : '')
  return { ...found, written: parse(found.text).checks as Record<string, unknown>[], parsed: parsed.checks }
}

// In the style of config.yaml of TwiN/gatus at 08c46354 (2026-08-18).
const gatus = `
alerting: { slack: { webhook-url: https://hooks.example.com } }
endpoints:
  - name: front-end
    group: core
    url: https://front.example.com/health
    interval: 5m
    conditions: ["[STATUS] == 200", "[BODY].status == UP", "[RESPONSE_TIME] < 150", "[CERTIFICATE_EXPIRATION] > 48h"]
    alerts: [{ type: slack, failure-threshold: 5 }]
  - name: api
    url: https://api.example.com/graphql
    method: POST
    graphql: true
    body: "{ me { id } }"
    headers: { Authorization: Bearer hunter2, Accept: application/json }
    client: { insecure: true, timeout: 3s, ignore-redirect: true }
    conditions: ["[STATUS] == any(200, 204)", "has([BODY].errors) == false", "len([BODY].data.items) > 1"]
  - { name: api, url: "https://api.example.com", enabled: false, conditions: ["[STATUS] == 200"] }
  - { name: cache, url: "tcp://cache.example.com:6379", conditions: ["[CONNECTED] == true"] }
  - { name: mail, url: "tls://mail.example.com:993", conditions: ["[CERTIFICATE_EXPIRATION] > 48h"] }
  - { name: cache, url: "tcp://cache2.example.com:6379", conditions: ["[CONNECTED] == true", "[RESPONSE_TIME] <= 99"] }
  - { name: names, url: 192.0.2.53, dns: { query-name: example.com, query-type: A }, conditions: ["[DNS_RCODE] == NOERROR", "[BODY] == pat(*.*)"] }
  - { name: ping, url: "icmp://example.com", conditions: ["[CONNECTED] == true"] }
external-endpoints:
  - { name: nightly, group: backup, token: hunter2, heartbeat: { interval: 25h } }
`

test('a configuration of Gatus becomes a valid checks file', async () => {
  const { written, notes, text } = await converted(gatus)
  assert.deepEqual(written, [
    {
      name: 'core/front-end',
      kind: 'http',
      interval: '5m',
      timeout: '10s',
      retries: 4,
      retryDelay: '5m',
      group: 'core',
      url: 'https://front.example.com/health',
      maxRedirects: 10,
      expectStatus: [200],
      downAfter: '150ms',
      conditions: ['body.status == "UP"', 'certificateDays > 2.0'],
    },
    {
      name: 'api',
      kind: 'http',
      interval: '1m',
      timeout: '3s',
      retries: 0,
      url: 'https://api.example.com/graphql',
      method: 'POST',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
      headerFiles: { Authorization: '/etc/skerry/secrets/api/authorization' },
      body: '{"query":"{ me { id } }"}',
      verify: false,
      expectStatus: [200, 204],
      conditions: ['!(has(body.errors))', 'size(body.data.items) > 1'],
    },
    { name: 'cache', kind: 'tcp', interval: '1m', timeout: '10s', retries: 0, host: 'cache.example.com', port: 6379 },
    { name: 'mail', kind: 'tls', interval: '1m', timeout: '10s', retries: 0, host: 'mail.example.com', port: 993 },
    {
      name: 'cache 2',
      kind: 'tcp',
      interval: '1m',
      timeout: '10s',
      retries: 0,
      host: 'cache2.example.com',
      port: 6379,
      downAfter: '100ms',
    },
    { name: 'names', kind: 'dns', interval: '1m', timeout: '10s', retries: 0, query: 'example.com', type: 'A', server: '192.0.2.53' },
    {
      name: 'backup/nightly',
      kind: 'heartbeat',
      group: 'backup',
      id: 'backup-nightly',
      tokenFile: '/etc/skerry/secrets/heartbeats/backup-nightly',
      within: '1d1h',
    },
  ])
  assert.deepEqual(notes.toSorted(), [
    'alerting: write the messages as webhooks: docs/notifying.md',
    'api: header Authorization: write its value into /etc/skerry/secrets/api/authorization',
    'api: it is not enabled',
    'backup/nightly: write its token into /etc/skerry/secrets/heartbeats/backup-nightly; it reports to /heartbeat/backup-nightly of the monitor',
    'core/front-end: alert slack: write it as a webhook: docs/notifying.md',
    'mail: certificateDays > 2.0 is left out; warnDays and downDays limit the days until the certificate expires',
    'names: condition [BODY] == pat(*.*): the kind dns has expect and minAnswers',
    'ping: icmp://example.com: there is no check that pings; a module with prober icmp for /probe does',
  ])
  for (const note of notes) assert.ok(text.includes(note.replace(/^(api|core\/front-end|mail|names|backup\/nightly): (?!it is)/, '')), note)
  assert.ok(!text.includes('hunter2') && !notes.join().includes('hunter2'), 'secrets are not copied')
})

// Conditions of Gatus, and whether they hold for this answer (by its README and condition.go).
const body = { name: 'john.doe', age: 41, id: 1, text: '1', ok: true, nothing: null, 'user-id': 'a/b', in: 2, data: [{ id: 1 }, { id: 2 }] }
const holding: [string, boolean][] = [
  ['[STATUS] == 200', true],
  ['[STATUS] == any(201, 204)', false],
  ['[STATUS] != 200', false],
  ['[STATUS] < 300', true],
  ['[STATUS] == pat(2*)', true],
  ['200 == [STATUS]', true],
  ['[RESPONSE_TIME] > 60000', false],
  ['[BODY].name == john.doe', true],
  ['[BODY].name == pat(john*)', true],
  ['[BODY].name == pat(jane*)', false],
  ['[BODY].name == any(jane, john.doe)', true],
  ['[BODY].name != jane', true],
  ['[BODY].id == 1', true],
  ['[BODY].text == 1', true],
  ['[BODY].id == any(2, 3)', false],
  ['[BODY].ok == true', true],
  ['[BODY].user-id == a/b', true],
  ['[BODY].in == 2', true],
  ['[BODY].data[1].id == 2', true],
  ['[BODY].data[0].id == [BODY].id', true],
  ['[BODY].age > 40', true],
  ['[BODY].age <= 40', false],
  ['[BODY].text >= 1', true],
  ['40 < [BODY].age', true],
  ['len([BODY].data) == 2', true],
  ['len([BODY].name) == 8', true],
  ['has([BODY].age) == true', true],
  ['has([BODY].errors) == true', false],
  ['has([BODY].errors) == false', true],
  ['has([BODY].errors.first) == false', true],
  ['has([BODY].age) != true', false],
  ['[BODY] == pat(*john.doe*)', true],
  ['[BODY].missing == x', false],
]

for (const [source, holds] of holding)
  test(`the condition ${source} ${holds ? 'holds' : 'does not hold'} after it was converted, as in Gatus`, async (t) => {
    const url = await serve(t, { '/': body })
    const { written } = await converted(JSON.stringify({ endpoints: [{ name: 'x', url: `${url}/`, conditions: [source] }] }))
    const { name: _, kind: __, interval: ___, timeout: ____, retries: _____, downAfter: ______, ...options } = written[0] ?? {}
    assertResult(await run(checkKinds.http, options as never), holds ? 'up' : 'down', holds ? undefined : 'unexpected_answer')
  })

test('an endpoint without a condition on the status takes every status', async (t) => {
  const url = await serve(t, { '/': () => ({ status: 503, body }) })
  const { written } = await converted(JSON.stringify({ endpoints: [{ name: 'x', url: `${url}/`, conditions: ['[BODY].id == 1'] }] }))
  const { conditions } = written[0] ?? {}
  assertResult(await run(checkKinds.http, { url: `${url}/`, conditions: conditions as string[] }), 'up')
})

// As the design of Epiphany's health monitor shows it, with the fields that LambdaStack added; two documents.
const healthd = `
Env:
  - { Name: kubelet, Package: kubernetes, Interval: 5, Retries: 7, RetryDelay: 3, ActionFatal: True, IP: 127.0.0.1, Port: 10248, Path: /healthz }
  - { Name: docker, Package: docker, Interval: 10, Retries: 3, RetryDelay: 4, RecoveryDelay: 30, ProtocolTimeout: 8 }
---
- { Name: web, Package: HTTP, IP: 192.0.2.7, Port: 8080, PATH: /status, RequestType: get, Response: 200 Ok }
- { Name: search, Package: elasticsearch, IP: 192.0.2.8 }
- { Name: queue, Package: rabbitmq, IP: 192.0.2.9, Port: 5672 }
- { Name: log, Package: kafka, IP: 192.0.2.9 }
- { Name: tree, Package: zookeeper, IP: 192.0.2.9 }
- { Name: sql, Package: postgresql, IP: 192.0.2.9 }
- { Name: lb, Package: haproxy, IP: 192.0.2.9, Port: 9000 }
- { Name: odd, Package: teapot }
`

test('the configuration of the health monitor of LambdaStack becomes a valid checks file, of all its documents', async () => {
  const { written, notes, checks } = await converted(healthd)
  assert.equal(checks, 9)
  assert.deepEqual(written.slice(0, 3), [
    { name: 'kubelet', kind: 'kubelet', interval: '5s', retries: 7, retryDelay: '3s', url: 'http://127.0.0.1:10248' },
    { name: 'docker', kind: 'docker', interval: '10s', timeout: '8s', retries: 3, retryDelay: '4s', recoveryDelay: '30s' },
    { name: 'web', kind: 'http', interval: '10s', retries: 7, retryDelay: '3s', url: 'http://192.0.2.7:8080/status', expectStatus: [200] },
  ])
  assert.deepEqual(notes, [
    'odd: there is no kind of check for the package teapot',
    'kubelet: its kubelet is asked for /healthz; a check of kind kubernetes asks the API server',
    'kubelet: ActionFatal killed the daemon. The counterpart restarts it: actions: [{ type: restart-unit, unit: NAME.service }]',
    'sql: username and passwordFile: give it a role, best a member of pg_monitor',
  ])
})

for (const [text, origin] of [
  [gatus, 'Gatus'],
  [healthd, "LambdaStack's health monitor"],
  [healthd.split('---')[0] ?? '', "LambdaStack's health monitor"],
] as const)
  test(`a configuration of ${origin}, ${text.includes('---') ? 'of several documents' : 'of one document'}, that is given as checks is recognized, with the command that converts it`, () => {
    const parsed = parseChecks(text, { files })
    assert.ok('faults' in parsed)
    assert.deepEqual(
      parsed.faults.map(({ message }) => message),
      [`is a configuration of ${origin}: convert it with \`skerry-monitor convert --file FILE > checks.yaml\``],
    )
  })

test('a file that multiplies itself by aliases is refused at once, as checks and by convert', () => {
  const map = Array.from({ length: 3_000 }, (_, index) => `k${index}: 1`).join(', ')
  const text = `- &a {${map}}\n${'- *a\n'.repeat(900)}`
  assert.equal(convert(text), undefined)
  assert.ok('faults' in parseChecks(text, { files }))
})

test('names that objects have by themselves, and numbers without bounds, come out as what they are', async () => {
  const headers = '{ "__proto__": "a", constructor: y, Accept: z }'
  const text = `endpoints: [{ name: __proto__, url: "http://x", headers: ${headers}, conditions: [], alerts: [{ type: x, failure-threshold: 1e308 }] }, {}]`
  const { written } = await converted(text)
  assert.equal(written[0]?.retries, 100)
  assert.deepEqual(Object.keys(written[0]?.headerFiles as object), ['__proto__', 'constructor'])
})

for (const text of ['', 'checks: []', 'endpoints: {}', '- a', '{', 'a: &a [*a]', 'a: 1\n---\nb: 2'])
  test(`${JSON.stringify(text)} is no configuration of a known tool`, () => assert.equal(convert(text), undefined))
