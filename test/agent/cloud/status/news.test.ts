import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newsSince, type StatusDocument } from '../../../../agent/cloud/status/news.ts'
import { withoutNulls } from '../../../../agent/cloud/status/patch.ts'
import { merged } from '../../../cloud/honest-cloud.ts'
import { fc } from '../../../shared/property.ts'

const made = { generatedAt: '2026-01-01T00:00:00.000Z' }

const value = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(null, true, 0, 1, '', 'GREEN'),
    fc.array(tie('any'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'constructor'), tie('any'), { maxKeys: 3 }),
  ),
})).any
const minutes = fc.integer({ min: 10, max: 59 }).map((minute) => `2026-01-01T00:${minute}:00Z`)
const age = fc.record(
  { observedAt: minutes, stale: fc.record({ since: minutes, reason: fc.constantFrom('gone', 'broken') }) },
  { requiredKeys: ['observedAt'] },
)
const fields = ['hosts', 'databases', 'tunnel']
const document = fc
  .tuple(fc.dictionary(fc.constantFrom(...fields), value), fc.dictionary(fc.constantFrom(...fields), age))
  .map(([shown, parts]): StatusDocument => withoutNulls({ ...shown, parts }))

test('patches that are applied one after the other make the whole status, but for times at which nothing changed', () => {
  fc.assert(
    fc.property(fc.array(document, { minLength: 2, maxLength: 8 }), ([first, ...others]) => {
      let [told, stored]: [StatusDocument, unknown] = [first as StatusDocument, structuredClone(first)]
      for (const next of others) {
        const news = newsSince({ document: told, offset: undefined }, made, next)
        if (news === undefined) assert.deepEqual(withoutTimes(next), withoutTimes(told))
        // As it travels.
        else stored = (merged({ region: stored }, JSON.parse(JSON.stringify(news))) as { region: unknown }).region
        told = next
      }
      assert.deepEqual(plain(withoutTimes(stored as StatusDocument)), plain(withoutTimes(told)))
    }),
    { numRuns: 500 },
  )
})

test('a clock that was set is news; an estimate that moves a little is not', () => {
  const same: StatusDocument = { id: 'harbour-1', parts: {} }
  const offset = { offsetMs: 40, uncertaintyMs: 20 }
  const at = (offsetMs: number) =>
    newsSince({ document: same, offset }, { ...made, clock: { offsetMs, uncertaintyMs: 20, source: 'cloud' } }, same)
  assert.equal(at(180), undefined)
  assert.deepEqual(at(-7_200_000), { ...made, clock: { offsetMs: -7_200_000, uncertaintyMs: 20, source: 'cloud' } })
})

function withoutTimes({ parts, ...document }: StatusDocument): object {
  return { ...document, parts: Object.fromEntries(Object.entries(parts).map(([name, { stale }]) => [name, stale?.reason])) }
}

const plain = (given: unknown): unknown => JSON.parse(JSON.stringify(given))

test('the cloud of the tests takes no member of a patch for a prototype', () => {
  const sent = JSON.parse('{"__proto__":{"hosts":[1]},"constructor":{"a":1}}')
  const stored = merged(merged({}, sent), JSON.parse('{"__proto__":{"more":true}}')) as object
  assert.equal(Object.getPrototypeOf(stored), Object.prototype)
  assert.equal(JSON.stringify(stored), '{"__proto__":{"hosts":[1],"more":true},"constructor":{"a":1}}')
})
