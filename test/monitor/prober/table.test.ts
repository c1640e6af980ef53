import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckStatus } from '../../../monitor/prober/check.ts'
import { PastRuns } from '../../../monitor/prober/past-runs.ts'
import { newDurations } from '../../../monitor/prober/run.ts'
import { checkTable } from '../../../monitor/prober/table.ts'
import { checkOf } from './scene.ts'

function status(name: string, given: Partial<CheckStatus>): CheckStatus {
  const check = checkOf({ name, target: `${name}.example.com:443` })
  return {
    check,
    state: 'up',
    since: 0,
    detail: '',
    measurements: [],
    consecutiveFailures: 0,
    durations: newDurations(),
    past: new PastRuns(),
    ...given,
  }
}

const statuses = [
  status('shop', { lastDuration: 0.0123, detail: 'Status 200.' }),
  status('a-long-name', { state: 'down', lastDuration: 10.004, reason: 'timeout', detail: 'No answer within 10s. See whether it hangs.' }),
  status('ß', { state: 'unknown', detail: 'It depends on shop,\nwhich is \u001b[31mdown.' }),
]

test('checks are a table whose columns are aligned', () => {
  assert.equal(
    checkTable(statuses),
    `STATE    NAME         KIND  TARGET                       TOOK    DETAIL
up       shop         tcp   shop.example.com:443         12 ms   Status 200.
down     a-long-name  tcp   a-long-name.example.com:443  10.0 s  No answer within 10s. See whether it hangs.
unknown  ß            tcp   ß.example.com:443            -       It depends on shop, which is  [31mdown.
`,
  )
})

test('a terminal gets colours, and nothing moves by them', () => {
  const text = checkTable(statuses, { isTerminal: true })
  const [, shop = '', long = '', sharp = ''] = text.split('\n')
  assert.ok(shop.startsWith('\u001b[32mup\u001b[0m       shop '), JSON.stringify(shop))
  assert.ok(long.startsWith('\u001b[31mdown\u001b[0m     a-long-name '), JSON.stringify(long))
  assert.ok(sharp.startsWith('\u001b[2munknown\u001b[0m  ß '), JSON.stringify(sharp))
})

test('without checks there are the names of the columns', () => {
  assert.equal(checkTable([]), 'STATE  NAME  KIND  TARGET  TOOK  DETAIL\n')
})
