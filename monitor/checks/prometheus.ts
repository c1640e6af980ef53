import * as z from 'zod'
import { ask, below, httpFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { count, shorten, someOf } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe('The URL of Prometheus, such as http://prometheus:9090, with its prefix if it has one.'),
  maxTargetsDown: z.int().min(0).default(0).describe('Degraded when more targets than this are down.'),
  ...httpFields,
})

const vector = z.object({
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })).max(50_000),
  }),
})

/** Up when Prometheus is healthy and ready, and all its targets answer. */
export const prometheus = checkKind({
  about:
    'Asks Prometheus for `/-/healthy` and `/-/ready`, and queries which targets are down. Down when Prometheus is not healthy or not ready. Degraded when more than `maxTargetsDown` targets are down; the detail names some of them.',
  example: { url: 'http://prometheus-operated.monitoring.svc:9090' },
  options,
  measures: {
    skerry_prometheus_targets: { type: 'gauge', help: 'Targets that Prometheus scrapes, by health: up, down.', labels: ['health'] },
  },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal }) {
    for (const path of ['/-/healthy', '/-/ready']) {
      const answer = await ask(options, { url: below(options.url, path), signal })
      if (answer.status === 200) continue
      const said = shorten(answer.body.toString('utf8', 0, 300), 100)
      if (answer.status === 503)
        throw new CheckFailure(
          'unavailable',
          `Prometheus answers 503 to ${path}: ${said}. It may be replaying its write-ahead log; otherwise see its log.`,
        )
      throw new CheckFailure(
        'unexpected_answer',
        `The server answers ${answer.status} to ${path}: ${said}. Is this Prometheus, and does the url include its prefix?`,
      )
    }
    const query = async (expression: string) => {
      const url = below(options.url, `/api/v1/query?query=${encodeURIComponent(expression)}`)
      const answer = await ask(options, { url, maxBytes: 8 * 1024 * 1024, signal })
      return (await jsonOf(answer, vector, { what: `the query ${expression}` })).data.result
    }
    const down = await query('up == 0')
    const up = Number((await query('count(up == 1)'))[0]?.value[1] ?? 0)
    const measurements: Measurement[] = [
      { name: 'skerry_prometheus_targets', labels: { health: 'up' }, value: up },
      { name: 'skerry_prometheus_targets', labels: { health: 'down' }, value: down.length },
    ]
    if (down.length <= options.maxTargetsDown)
      return { state: 'up', detail: `${count(up, 'target')} up, ${down.length} down.`, measurements }
    const names = down.map(({ metric }) => `${metric.job ?? '?'}/${metric.instance ?? '?'}`)
    return {
      state: 'degraded',
      reason: 'partly_unavailable',
      detail: `${count(down.length, 'target')} down: ${someOf(names)}. In Prometheus, Status → Targets shows the error of each.`,
      measurements,
    }
  },
})
