import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { http } from '../../../monitor/checks/http.ts'
import { parseChecks } from '../../../monitor/prober/config.ts'
import { loadConditionsFor } from '../../../monitor/wire/conditions.ts'
import { assertResult, run } from './run.ts'
import { serve } from './servers.ts'

const answer = {
  state: 'ok',
  queue: 7,
  parts: [
    { name: 'crane', up: true },
    { name: 'lock', up: false },
  ],
}

async function check(t: TestContext, conditions: string[], body = JSON.stringify(answer), status = 200) {
  const url = await serve(t, { '/': () => ({ status, body }) })
  return run(http, { url, conditions })
}

const holding = [
  'body.state == "ok" && body.queue < 10',
  'body.parts.exists(part, part.name == "crane" && part.up)',
  'body.parts.all(part, has(part.up))',
  'headers.connection == "close" && headers["transfer-encoding"] == "chunked"',
  'text.matches("[[:alpha:]]+")',
  'ms < 5000.0 && certificateDays == null',
]
for (const source of holding) test(`an answer for which ${source} is up`, async (t) => assertResult(await check(t, [source]), 'up'))

const failing = [
  { source: 'text.replace("x", text) != ""', detail: /cannot be evaluated: .*replace/ },
  { source: 'text.matches("a")', body: 'x'.repeat(20_000), detail: /matches\(\) searches at most 16384 characters; use expectBody/ },
  { source: 'body.queue > 10', detail: /^The condition body\.queue > 10 is false\. See the service's answer\.$/ },
  { source: 'body.nothing.at == 1', detail: /cannot be evaluated: field not found: nothing/ },
  { source: 'body.queue', detail: /body\.queue is neither true nor false/ },
  { source: 'body.state == "ok"', body: '<html>', detail: /cannot be evaluated: .*; the body is not JSON/ },
  { source: 'body.size() > 0', body: JSON.stringify(Array(5_000).fill(0)), detail: /the body has more than 5000 values/ },
  { source: 'body.size() > 0', body: `"${'x'.repeat(300_000)}"`, detail: /the body is larger than 256 KiB/ },
  { source: 'body.state == "ok"', status: 500, detail: /^Status 500, but 200 to 299 is expected/ },
]
for (const { source, body, status, detail } of failing)
  test(`an answer is down with a sentence like ${detail}`, async (t) =>
    assertResult(
      await check(t, ['status < 600', source].slice(status === undefined ? 0 : 1), body, status),
      'down',
      'unexpected_answer',
      detail,
    ))

test('a condition that names the status judges it instead of the default', async (t) => {
  assertResult(await check(t, ['status == 404'], '', 404), 'up')
})

const refused = [
  { source: 'body.state ===', why: /^must be an expression of CEL: .*found =/ },
  { source: 'bdy.state == "ok"', why: /there is no bdy; there is status, headers, body, text, ms, certificateDays$/ },
  { source: 'body.all(x, body.all(y, y == x))', why: /a loop .* must not be inside another/ },
  { source: 'text.matches(text)', why: /the pattern of matches\(\) must be a text in quotes/ },
  { source: 'body.all(x, x in body)', why: /inside a loop, in may look at the element only/ },
  { source: 'body.all(x, body == body)', why: /inside a loop, == may look at the element only/ },
  { source: 'body.all(x, text.contains(x))', why: /inside a loop, contains\(\) may look at the element only/ },
  { source: 'body.all(x, size(text) > 0)', why: /inside a loop, size\(\) may look at the element only/ },
  { source: 'body.all(a, a) && body.all(b, b) && body.all(c, c) && body.all(d, d)', why: /more than 3 loops/ },
]
for (const { source, why } of refused)
  test(`the condition ${source} is refused when the file is read`, async () => {
    const text = JSON.stringify({ checks: [{ name: 'shop', kind: 'http', url: 'http://shop', conditions: [source] }] })
    await loadConditionsFor(text)
    const parsed = parseChecks(text, { files: { read: () => new Uint8Array() } })
    assert.ok('faults' in parsed)
    assert.deepEqual(
      parsed.faults.map(({ path }) => path),
      ['checks[0].conditions[0]'],
    )
    assert.match(parsed.faults[0]?.message ?? '', why)
  })
