import type { TestContext } from 'node:test'
import * as z from 'zod'
import { type CheckContext, type CheckResult, checkKind } from '../../../monitor/checks/kind.ts'
import type { Act } from '../../../monitor/prober/actions/act.ts'
import type { Check, ProbeEvent } from '../../../monitor/prober/check.ts'
import { createProber, type ProberNeeds } from '../../../monitor/prober/index.ts'
import { createLog } from '../../../shared/log.ts'
import { createFakeClock, settle } from '../../shared/fake-clock.ts'

/** A check that is run every 10 s and called down at once, unless said otherwise. */
export function checkOf(given: Partial<Check> & { name: string }): Check {
  return {
    kind: 'tcp',
    target: given.name,
    options: { name: given.name },
    group: 'checks',
    severity: 'warning',
    labels: {},
    intervalMs: 10_000,
    timeoutMs: 2_000,
    retries: 0,
    retryDelayMs: 500,
    recoveryDelayMs: 0,
    dependsOn: [],
    actions: [],
    ...given,
  }
}

export const up: CheckResult = { state: 'up', detail: 'It answered.' }
export const degraded: CheckResult = { state: 'degraded', reason: 'limit', detail: 'It is nearly full.' }
export const down: CheckResult = { state: 'down', reason: 'unavailable', detail: 'It is not ready.' }
export const unheard: CheckResult = { state: 'unknown', reason: 'monitor_disconnected', detail: 'Nothing is heard.', measurements: [] }

/** A log that keeps its lines. */
export function logLines() {
  // biome-ignore lint/suspicious/noExplicitAny: a log line holds anything
  const lines: any[] = []
  return { lines, log: createLog({ level: 'debug', name: 'test', destination: { write: (line) => lines.push(JSON.parse(line)) } }) }
}

/** What a check of that name does when it runs. */
export type Behaviour = (context: CheckContext, options: { name: string }) => CheckResult | Promise<CheckResult>

/** A prober on a clock that stands still, whose checks do what the test says: `up` if it says nothing. */
export function scene(
  t: TestContext,
  { parallelism, act, leadership }: { parallelism?: number; act?: Act; leadership?: ProberNeeds['leadership'] } = {},
) {
  const clock = createFakeClock()
  const behaviours = new Map<string, Behaviour>()
  const starts: { name: string; at: number }[] = []
  const events: (Pick<ProbeEvent, 'type'> & { name: string; state: string })[] = []
  const origin = clock.monotonic()
  const { log, lines } = logLines()
  const kind = checkKind({
    about: 'Does what the test says.',
    example: { name: 'x' },
    options: z.object({ name: z.string() }),
    measures: {},
    target: ({ name }) => name,
    async check(options, context) {
      starts.push({ name: options.name, at: clock.monotonic() - origin })
      return (await behaviours.get(options.name)?.(context, options)) ?? up
    },
  })
  const prober = createProber({ parallelism }, { context: {}, clock, log, act, leadership, kindNamed: () => kind })
  prober.subscribe(({ type, status }) => events.push({ type, name: status.check.name, state: status.state }))
  t.after(() => prober.stop(clock.monotonic()))
  return {
    prober,
    clock,
    log,
    lines,
    starts,
    events,
    start: () => prober.start(new AbortController().signal),
    does: (name: string, behaviour: CheckResult | Behaviour) => {
      behaviours.set(name, typeof behaviour === 'function' ? behaviour : () => behaviour)
    },
    startsOf: (name: string) => starts.filter((each) => each.name === name).map(({ at }) => at),
    state: (name: string) => prober.status(name)?.state,
    changes: () => events.filter(({ type }) => type === 'changed').map(({ name, state }) => `${name} ${state}`),
    settle,
  }
}

/** A check that waits until it is told to stop, and then rejects, as every kind does. */
export const hangs: Behaviour = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))

/** One that does not even end then. */
export const neverEnds: Behaviour = () => new Promise(() => {})
