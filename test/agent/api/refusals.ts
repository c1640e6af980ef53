import assert from 'node:assert/strict'
import { type Fault, type ProblemType, placeOf, problems, problemTypeBase } from '../../../shared/errors.ts'

/** Problems whose detail is the summary of their faults. The API server and the parser of bodies have words of their own. */
const summarized: readonly ProblemType[] = ['invalid-fields', 'unsupported-edit', 'quota-exceeded']

/** A JSON pointer (RFC 6901, section 3). */
const pointer = /^(\/([^~/]|~[01])*)*$/s

/**
 * What holds of every refusal: it says what its row in the table says, each fault is at a JSON pointer or at a named parameter, none is told
 * twice, and the detail agrees with the faults.
 * @throws AssertionError
 */
export function assertRefusal(text: string, what: string): void {
  const { type, title, status, detail, action, retry, faults = [], moreFaults = 0 } = JSON.parse(text)
  const key = String(type).slice(problemTypeBase.length) as ProblemType
  assert.deepEqual({ title, status, action, retry }, problems[key], what)
  for (const fault of faults as Fault[]) {
    if ('path' in fault) {
      assert.match(fault.path, pointer, what)
      assert.deepEqual(Object.keys(fault).sort(), ['message', 'path'], what)
    } else {
      assert.match(fault.in, /^(path|query|header)$/, what)
      assert.deepEqual(Object.keys(fault).sort(), ['in', 'message', 'name'], what)
    }
  }
  // Of long texts only the beginnings are told, which may be the same.
  const told = (faults as Fault[]).map((fault) => `${placeOf(fault)} ${fault.message}`).filter((text) => !text.includes('…'))
  assert.deepEqual(told, [...new Set(told)], `${what} tells a fault twice`)
  if (!summarized.includes(key) || faults.length === 0) return
  assert.ok(detail.includes(faults[0].message.replace(/…$/, '')), `${what}: ${detail} is not about ${JSON.stringify(faults[0])}`)
  const count = faults.length - 1 + moreFaults
  const others = / And (\d+) more, listed under "faults"\./.exec(detail)
  assert.equal(Number(others?.[1] ?? 0), count, `${what}: ${detail} does not agree with ${faults.length} faults and ${moreFaults} more`)
}
