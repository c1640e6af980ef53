import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { WebhookAction } from '../../../../monitor/prober/actions/action.ts'
import { parseChecks } from '../../../../monitor/prober/config.ts'

/** What every file of a secret holds. */
const secret = 'hunter2'

/** The webhooks of docs/notifying.md, by the first word of their headings. */
export function documentedWebhooks(): Map<string, WebhookAction> {
  const page = readFileSync('docs/notifying.md', 'utf8')
  const examples = [...page.matchAll(/^## (\w+)[^\n]*\n(?:(?!^## ).)*?```yaml\n(.*?)```/gms)]
  return new Map(examples.map(([, heading = '', text = '']) => [heading, webhookOf(text)]))
}

function webhookOf(text: string): WebhookAction {
  const parsed = parseChecks(text, { files: { read: () => Buffer.from(secret) } })
  assert.ok(!('faults' in parsed), 'faults' in parsed ? JSON.stringify(parsed.faults) : '')
  const action = parsed.checks[0]?.actions[0]
  assert.ok(action?.type === 'webhook')
  return action
}
