import assert from 'node:assert/strict'
import type * as z from 'zod'
import type { CheckContext, CheckKind, CheckResult } from '../../../monitor/checks/kind.ts'
import { resultOfError } from '../../../monitor/prober/run.ts'
import { Secret } from '../../../shared/fields.ts'

/** A secret as the configuration has it once its file was read. */
export function secret(value: string): Secret {
  return new Secret({ value })
}

/**
 * One run of a check as the prober does it: what it throws is `down`. Whatever it measured must be in its table, and what it says must
 * be a sentence for people.
 */
export async function run<S extends z.ZodType>(
  kind: CheckKind<S>,
  given: z.input<S>,
  { timeoutMs = 5000, ...context }: { timeoutMs?: number } & Partial<CheckContext> = {},
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

/** The value of one measurement, by its name and some of its labels; undefined when it was not measured. */
export function measured(result: CheckResult, name: string, labels: Record<string, string> = {}): number | undefined {
  return result.measurements?.find(
    (each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels?.[key] === value),
  )?.value
}

/** Asserts state, reason and what the detail says. */
export function assertResult(result: CheckResult, state: CheckResult['state'], reason?: string, detail?: RegExp): void {
  assert.deepEqual({ state: result.state, reason: result.reason }, { state, reason }, result.detail)
  if (detail) assert.match(result.detail, detail)
}

/** Runs until the result has this state, as a prober with an interval of 50 ms would see it; the last result after 30 s. */
export async function runUntil(state: CheckResult['state'], attempt: () => Promise<CheckResult>): Promise<CheckResult> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const result = await attempt()
    if (result.state === state || performance.now() > deadline) return result
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
