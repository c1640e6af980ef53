import assert from 'node:assert/strict'
import type * as z from 'zod'
import type { CheckContext, CheckKind, CheckResult } from '../../../monitor/checks/kind.ts'
import { resultOfError } from '../../../monitor/prober/run.ts'
import { Secret } from '../../../shared/fields.ts'

/** A secret whose file has been read. */
export function secret(value: string): Secret {
  return new Secret({ value })
}

/** Ends a check as the prober does when its time is up. */
export function endByTime(check: AbortController): void {
  check.abort(new DOMException('the check timed out', 'TimeoutError'))
}

/**
 * Runs a check once, as the prober does: `down` if it throws. Every measurement must be in the kind's table, and the detail must be a
 * sentence for people.
 */
export async function run<S extends z.ZodType>(
  kind: CheckKind<S>,
  given: z.input<S>,
  { timeoutMs = 30_000, ...context }: { timeoutMs?: number } & Partial<CheckContext> = {},
): Promise<CheckResult> {
  const signal = context.signal ?? AbortSignal.timeout(timeoutMs)
  const result = await kind.check(kind.options.parse(given), { ...context, signal }).catch(resultOfError)
  assert.match(result.detail, /^[^\n]{3,400}$/)
  assert.equal(result.reason === undefined, result.state === 'up', 'a reason exactly when it is not up')
  for (const { name, value, labels = {} } of result.measurements ?? []) {
    const measure = kind.measures[name]
    assert.ok(measure, `${name} is not in the table of measures`)
    assert.deepEqual(Object.keys(labels).sort(), [...(measure.labels ?? [])].sort(), `labels of ${name}`)
    assert.ok(Number.isFinite(value), `${name} is ${value}`)
  }
  const series = (result.measurements ?? []).map(({ name, labels }) => name + JSON.stringify(labels ?? {}))
  assert.equal(new Set(series).size, series.length, 'no series twice')
  return result
}

/** The value of one measurement, by its name and some of its labels; undefined if there is none. */
export function measured(result: CheckResult, name: string, labels: Record<string, string> = {}): number | undefined {
  return result.measurements?.find(
    (each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels?.[key] === value),
  )?.value
}

/** Asserts state, reason and detail. */
export function assertResult(result: CheckResult, state: CheckResult['state'], reason?: string, detail?: RegExp): void {
  assert.deepEqual({ state: result.state, reason: result.reason }, { state, reason }, result.detail)
  if (detail) assert.match(result.detail, detail)
}

/** Runs every 50 ms until the result has this state; after 30 s, the last result. */
export async function runUntil(state: CheckResult['state'], attempt: () => Promise<CheckResult>): Promise<CheckResult> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const result = await attempt()
    if (result.state === state || performance.now() > deadline) return result
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
