import assert from 'node:assert/strict'
import { test } from 'node:test'
import { callWebhook } from '../../../../monitor/prober/actions/webhook.ts'
import { PastRuns } from '../../../../monitor/prober/past-runs.ts'
import { newDurations } from '../../../../monitor/prober/run.ts'
import { startAlertmanager } from '../../../peers/alertmanager.ts'
import { checkOf } from '../scene.ts'
import { documentedWebhooks } from './examples.ts'

test('the documented message to Alertmanager opens an alert that stays, and closes it', async (t) => {
  const { url } = await startAlertmanager(t)
  const action = documentedWebhooks().get('Alertmanager')
  assert.ok(action !== undefined)
  const check = checkOf({ name: 'web & api', severity: 'critical' })
  const alerts = async () =>
    (await (await fetch(`${url}/api/v2/alerts`)).json()) as { labels: object; endsAt: string; annotations: object }[]
  const send = (state: 'down' | 'up') =>
    callWebhook(
      { ...action, url: `${url}/api/v2/alerts` },
      {
        check,
        state,
        since: Date.now() - 1_000,
        detail: 'said "no"',
        measurements: [],
        consecutiveFailures: 1,
        durations: newDurations(),
        past: new PastRuns(),
      },
      { signal: AbortSignal.timeout(5_000), now: Date.now(), occasion: state === 'up' ? 'recovered' : 'down' },
    )
  await send('down')
  const [alert, ...others] = await alerts()
  assert.equal(others.length, 0)
  assert.deepEqual(alert?.labels, { alertname: 'SkerryCheckDown', check: 'web & api', kind: 'tcp', severity: 'critical' })
  assert.deepEqual(alert?.annotations, { summary: 'said "no"' })
  assert.equal(new Date(alert?.endsAt ?? '').getUTCFullYear(), 2100)
  await send('up')
  assert.deepEqual(await alerts(), [])
})
