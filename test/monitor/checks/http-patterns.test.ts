import assert from 'node:assert/strict'
import { test } from 'node:test'
import { http } from '../../../monitor/checks/http.ts'
import { heldBy } from '../wire/turns-in-hand.ts'
import { assertResult, run } from './run.ts'
import { serve } from './servers.ts'

// JavaScript's own engine needs more than a minute for the smaller one, past every time-out.
for (const { size, times } of [
  { size: '256 KiB', times: 29_128 },
  { size: '1 MiB', times: 116_508 },
])
  test(`http check of ${size} that nearly match all the time does not hold the event loop`, async (t) => {
    const url = await serve(t, { '/': '"status":'.repeat(times) })
    const { result, heldMs } = await heldBy(() => run(http, { url, expectBody: '"status":.*"green"', refuseBody: '"red"' }))
    assertResult(result, 'down', 'unexpected_answer', /does not match expectBody/)
    assert.ok(heldMs < 100, `held the event loop for ${heldMs} ms`)
  })

test('http check reads Unicode classes, POSIX classes and flags as blackbox_exporter does', async (t) => {
  const url = await serve(t, { '/': 'é ok' })
  assertResult(await run(http, { url, expectBody: '^\\pL[[:space:]]ok\\z' }), 'up')
  assertResult(await run(http, { url, refuseBody: '(?i)OK$' }), 'down', 'unexpected_answer', /matches refuseBody/)
})

test('http check refuses an expression with a lookahead, and says why', () => {
  const { error } = http.options.safeParse({ url: 'http://localhost', expectBody: '^(?!.*error)' })
  assert.equal(error?.issues[0]?.message, 'must be a regular expression as in RE2: invalid or unsupported Perl syntax: `(?!`')
})
