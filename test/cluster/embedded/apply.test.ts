import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FieldType, keyed, set, struct } from './field-types.ts'
import { applyConfiguration } from './managed-fields.ts'
import type { KubeObject } from './object.ts'
import { fc } from './property.ts'

type Content = { byName?: object[]; tags?: string[] }

/** A kind with each way to merge: a map, a list by key, a set, and an atomic list. */
const kind: FieldType = struct({ spec: struct({ byName: keyed(['name']), tags: set }) })

const name = fc.constantFrom('a', 'b', 'c')
const spec = fc
  .record(
    {
      size: fc.integer({ min: 0, max: 2 }),
      labels: fc.dictionary(name, name, { minKeys: 1 }),
      byName: fc.uniqueArray(fc.record({ name, value: fc.integer({ min: 0, max: 2 }) }), { selector: (item) => item.name, minLength: 1 }),
      tags: fc.uniqueArray(name, { minLength: 1 }),
      whole: fc.array(name, { minLength: 1 }),
    },
    { requiredKeys: [] },
  )
  // as it comes from a request: without the bare prototypes that fast-check likes to give
  .map((content): Content => JSON.parse(JSON.stringify(content)))

const configuration = (content: object): KubeObject =>
  ({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'one' }, spec: content }) as unknown as KubeObject
const apply = (live: KubeObject | undefined, content: object, manager: string): KubeObject =>
  applyConfiguration(live, configuration(content), kind, { manager, apiVersion: 'v1', subresource: '', hasStatus: false }, true)

/** The content, in a fixed order where order does not matter. */
function normal({ byName = [], tags = [], ...rest }: Content): Content {
  const sorted = <T>(list: T[]): T[] => list.map((item) => JSON.stringify(item)).sort() as T[]
  return { ...rest, byName: sorted(byName), tags: sorted(tags) }
}

test('what the only manager applies is what stands, whatever it applied before', () => {
  fc.assert(
    fc.property(spec, spec, (before, now) => {
      const result = apply(apply(undefined, before, 'one'), now, 'one')
      assert.deepEqual(normal(result.spec ?? {}), normal(now))
    }),
  )
})

test('applying the same again changes nothing', () => {
  fc.assert(
    fc.property(spec, spec, (one, two) => {
      const first = apply(apply(undefined, one, 'one'), two, 'two')
      assert.deepEqual(apply(first, two, 'two'), first)
    }),
  )
})

test('a manager that gives everything up leaves to the other what that one applied last', () => {
  fc.assert(
    fc.property(spec, spec, (one, two) => {
      const both = apply(apply(undefined, one, 'one'), two, 'two')
      assert.deepEqual(normal(apply(both, {}, 'one').spec ?? {}), normal(two))
    }),
  )
})

test('no field is left without an owner after forced applies', () => {
  fc.assert(
    fc.property(spec, spec, (one, two) => {
      const both = apply(apply(undefined, one, 'one'), two, 'two')
      const empty = apply(apply(both, {}, 'one'), {}, 'two')
      assert.deepEqual(empty.spec ?? {}, {})
    }),
  )
})
