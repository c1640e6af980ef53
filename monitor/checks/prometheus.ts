import * as z from 'zod'
import { ask, below, httpFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { count, shorten, someOf } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe('Prometheus, such as http://prometheus:9090, with its prefix if it has one.'),
  maxTargetsDown: z.int().min(0).default(0).describe('Degraded when more targets are down.'),
  ...httpFields,
})

const vector = z.object({
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })).max(50_000),
  }),
})

/** Up when Prometheus is healthy and ready, and every target it scrapes answers. */
export const prometheus = checkKind({
  about:
    'Asks Prometheus for `/-/healthy`, `/-/ready` and, by a query, which targets are down. Down when it is not healthy or not ready; degraded when more than `maxTargetsDown` targets are down, with some of them named.',
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
        throw new CheckFailure('unavailable', `It answers 503 to ${path}: ${said}. It may be replaying its log; else see its own log.`)
      throw new CheckFailure(
        'unexpected_answer',
        `It answers ${answer.status} to ${path}: ${said}. Is this a Prometheus, and is its prefix in the url?`,
      )
    }
    const query = async (expression: string) => {
      const url = below(options.url, `/api/v1/query?query=${encodeURIComponent(expression)}`)
      const answer = await ask(options, { url, maxBytes: 8 * 1024 * 1024, signal })
      return jsonOf(answer, vector, { what: `the query ${expression}` }).data.result
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
      detail: `${count(down.length, 'target')} down: ${someOf(names)}. See Status, Targets in Prometheus for the error of each.`,
      measurements,
    }
  },
})
