import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monitorScenarios } from '../../fleet/monitor-scenarios.ts'
import { holds, reportOf } from '../../fleet/report.ts'

/** `npm run fleet` does the same with ten thousand. */
const count = 300

for (const [name, { about, run }] of Object.entries(monitorScenarios)) {
  test(`many monitors, ${name}: ${about}, and the bounds hold`, async () => {
    const outcome = await run(count, 1)
    assert.ok(outcome.bounds.length > 0 && outcome.bounds.every(holds), reportOf(outcome).join('\n'))
  })
}
