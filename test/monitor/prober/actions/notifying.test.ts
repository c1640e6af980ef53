import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import * as z from 'zod'
import type { Occasion, WebhookAction } from '../../../../monitor/prober/actions/action.ts'
import { callWebhook } from '../../../../monitor/prober/actions/webhook.ts'
import { parseChecks } from '../../../../monitor/prober/config.ts'
import { PastRuns } from '../../../../monitor/prober/past-runs.ts'
import { newDurations } from '../../../../monitor/prober/run.ts'
import { checkOf, degraded, down, scene, up } from '../scene.ts'
import { documentedWebhooks } from './examples.ts'

/** As hostile as what a server answers may be. */
const detail = 'said "no" \\ {{check}} \u2028</b>\n'

/** Sends one message to a server for one test. @returns what the server was sent */
async function send(
  t: TestContext,
  action: WebhookAction,
  occasion: Occasion = 'down',
): Promise<{ type: string; method: string; body: string }> {
  const seen = Promise.withResolvers<{ type: string; method: string; body: string }>()
  const server = createServer(async (request, response) => {
    const body = (await request.toArray()).join('')
    seen.resolve({ type: request.headers['content-type'] ?? '', method: request.method ?? '', body })
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => void server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const status = {
    check: checkOf({ name: 'shop', target: 'shop.example.com:443', severity: 'critical', labels: { team: 'sea' } }),
    state: occasion === 'recovered' ? 'up' : occasion,
    since: Date.UTC(2026, 0, 1),
    reason: occasion === 'recovered' ? undefined : 'timeout',
    detail,
    measurements: [],
    consecutiveFailures: 3,
    durations: newDurations(),
    past: new PastRuns(),
  } as const
  await callWebhook({ ...action, url }, status, { signal: AbortSignal.timeout(5_000), now: Date.UTC(2026, 0, 2), occasion })
  return seen.promise
}

// The shapes that the receivers document, with no more than they require.
const shapes: Record<string, z.ZodType> = {
  // api.slack.com/messaging/webhooks
  Slack: z.strictObject({ text: z.string() }),
  // learn.microsoft.com: Adaptive Cards in a message for a workflow
  Microsoft: z.strictObject({
    type: z.literal('message'),
    attachments: z.tuple([
      z.strictObject({
        contentType: z.literal('application/vnd.microsoft.card.adaptive'),
        content: z.object({
          type: z.literal('AdaptiveCard'),
          version: z.string(),
          body: z.array(z.object({ type: z.literal('TextBlock'), text: z.string() })),
        }),
      }),
    ]),
  }),
  // docs.ntfy.sh/publish/#publish-as-json
  ntfy: z.strictObject({ topic: z.string(), title: z.string(), message: z.string(), priority: z.int().min(1).max(5) }),
  // developer.pagerduty.com: Events API v2
  PagerDuty: z.strictObject({
    routing_key: z.literal('hunter2'),
    dedup_key: z.string().max(255),
    event_action: z.enum(['trigger', 'resolve']),
    payload: z.strictObject({
      summary: z.string().max(1024),
      source: z.string(),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime(),
      class: z.string(),
    }),
  }),
  // prometheus/alertmanager, api/v2/openapi.yaml: postableAlerts
  Alertmanager: z.tuple([
    z.strictObject({
      labels: z.record(z.string(), z.string()),
      annotations: z.record(z.string(), z.string()),
      startsAt: z.iso.datetime(),
      endsAt: z.iso.datetime(),
    }),
  ]),
}

for (const [name, shape] of Object.entries(shapes))
  test(`the documented message to ${name} has its shape for every occasion, whatever a server answered`, async (t) => {
    const action = documentedWebhooks().get(name)
    assert.ok(action?.on !== undefined)
    for (const occasion of action.on) {
      const { type, body } = await send(t, action, occasion)
      assert.equal(type, 'application/json')
      const message = shape.parse(JSON.parse(body))
      assert.ok(JSON.stringify(message).includes(JSON.stringify(detail).slice(1, -1)), body)
    }
  })

test('the documented plain text is sent as it is', async (t) => {
  const { type, method, body } = await send(t, documentedWebhooks().get('Plain') as WebhookAction)
  assert.deepEqual([type, method, body], ['text/plain; charset=utf-8', 'PUT', `shop is down: ${detail}`])
})

test('a template may use every field', async (t) => {
  const fields = [
    'check',
    'kind',
    'target',
    'severity',
    'labels.team',
    'labels.none',
    'labels.constructor',
    'state',
    'since',
    'reason',
    'detail',
    'hint',
    'consecutiveFailures',
    'sentAt',
    'secrets.key',
  ]
  const { body } = await send(
    t,
    webhook(`body: '{${fields.map((name) => `"${name}": "{{${name}}}"`).join()}}', secretFiles: { key: /key }`),
  )
  assert.deepEqual(
    Object.entries(JSON.parse(body)).filter(([, value]) => value === ''),
    [
      ['labels.none', ''],
      ['labels.constructor', ''],
    ],
  )
})

const refused = [
  { given: `body: '{"a": "{{nothing}}"}'`, why: /^has \{\{nothing\}\}; the fields are check, .*labels\.NAME/ },
  { given: `body: '{"a": "{{check.name}}"}'`, why: /^has \{\{check\.name\}\}/ },
  { given: `body: '{"a": "{{constructor}}"}'`, why: /^has \{\{constructor\}\}/ },
  { given: `body: '{"a": "{{secrets.key}}"}'`, why: /but secretFiles has no key/ },
  { given: `body: '{"a": {{detail}}}'`, why: /^is not JSON once it is filled in for down: .*contentType/ },
  { given: `body: '{"a": {{#down}}1{{/down}}}'`, why: /^is not JSON once it is filled in for degraded/ },
  { given: `body: '{"a": "{{{detail}}}"}'`, why: /would not be escaped/ },
  { given: `body: '{"a": "{{#down}}"}'`, why: /^is not a template: Unclosed section "down"/ },
  { given: `body: '{"a": "{{> other}}"}'`, why: /partial other/ },
  { given: `body: '{{=<% %>=}}{}'`, why: /delimiters/ },
  { given: `body: '{}', contentType: nonsense`, why: /must be a media type/ },
  { given: 'on: []', why: /at least 1 item/ },
]
for (const { given, why } of refused)
  test(`a webhook with ${given} is refused`, () => {
    const parsed = read(given)
    assert.ok('faults' in parsed)
    assert.equal(parsed.faults.length, 1)
    assert.match(parsed.faults[0]?.message ?? '', why)
  })

test('a check tells the occasions that its action names, and recovery only after trouble', async (t) => {
  const taken: string[] = []
  const { prober, clock, does, start } = scene(t, {
    act: async (action, { state }, { occasion }) => {
      taken.push(`${action.type} ${occasion} ${state}`)
      return 'done'
    },
  })
  const hook = { type: 'webhook', url: 'http://a', everyMs: 60_000 } as const
  prober.set([
    checkOf({
      name: 'shop',
      actions: [
        { ...hook, on: ['down', 'degraded', 'recovered'] },
        { type: 'restart-unit', unit: 'a.service', everyMs: 1 },
      ],
    }),
  ])
  does('shop', up)
  await start()
  for (const result of [up, degraded, up, down, degraded, up]) {
    does('shop', result)
    await clock.advance(10_000)
  }
  assert.deepEqual(taken, [
    'webhook degraded degraded',
    'webhook recovered up',
    'webhook down down',
    'restart-unit down down',
    'webhook degraded degraded',
    'webhook recovered up',
  ])
})

function read(fields: string) {
  return parseChecks(
    `{ allowActions: true, checks: [{ name: a, kind: tcp, host: a, port: 1, actions: [{ type: webhook, url: 'http://a', ${fields} }] }] }`,
    {
      files: { read: () => Buffer.from('hunter2') },
    },
  )
}

function webhook(fields: string): WebhookAction {
  const parsed = read(fields)
  assert.ok('checks' in parsed, JSON.stringify(parsed))
  return parsed.checks[0]?.actions[0] as WebhookAction
}
