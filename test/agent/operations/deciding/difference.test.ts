import assert from 'node:assert/strict'
import { test } from 'node:test'
import { differenceOf } from '../../../../agent/operations/deciding/difference.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'

const object = (fields: Record<string, unknown>, metadata: Record<string, unknown> = {}, kind = 'CrateDB'): KubernetesObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'a', ...metadata },
  ...fields,
})

const cases: { name: string; before?: KubernetesObject; after?: KubernetesObject; difference: unknown[] }[] = [
  {
    name: 'nothing, whatever the order of keys',
    before: object({ spec: { a: 1, b: 2 } }),
    after: object({ spec: { b: 2, a: 1 } }),
    difference: [],
  },
  {
    name: 'a value that is another',
    before: object({ spec: { a: 1 } }),
    after: object({ spec: { a: 2 } }),
    difference: [{ path: '/spec/a', from: 1, to: 2 }],
  },
  {
    name: 'the items of a list by their place',
    before: object({ spec: { a: [{ n: 1 }, { n: 2 }] } }),
    after: object({ spec: { a: [{ n: 1 }] } }),
    difference: [{ path: '/spec/a/1/n', from: 2 }],
  },
  {
    name: 'a new object leaf by leaf',
    after: object({ spec: { a: { b: 1 }, c: [] } }),
    difference: [
      { path: '/spec/a/b', to: 1 },
      { path: '/spec/c', to: [] },
    ],
  },
  {
    name: 'a list that becomes an object',
    before: object({ spec: { a: [1] } }),
    after: object({ spec: { a: { b: 1 } } }),
    difference: [{ path: '/spec/a', from: [1], to: { b: 1 } }],
  },
  {
    name: 'names with slashes as JSON pointers do',
    before: object({}, { annotations: { 'x/y~z': '1' } }),
    after: object({}, { annotations: { 'x/y~z': '2' } }),
    difference: [{ path: '/metadata/annotations/x~1y~0z', from: '1', to: '2' }],
  },
  {
    name: 'nothing of what every write changes, nor of the status',
    before: object({ status: { a: 1 } }, { resourceVersion: '1', generation: 1, uid: 'x', managedFields: [] }),
    after: object({ status: { a: 2 } }, { resourceVersion: '2', generation: 2, uid: 'x', managedFields: [{}] }),
    difference: [],
  },
  {
    name: 'that a secret is another, and neither value',
    before: object({ data: { password: 'b2xk', same: 'eA==' } }, { annotations: { 'operator.cloud.crate.io/last': 'b2xk' } }, 'Secret'),
    after: object({ data: { password: 'bmV3', same: 'eA==' } }, {}, 'Secret'),
    difference: [{ path: '/data/password', from: '[masked]', to: '[masked]' }],
  },
]
for (const { name, before, after, difference } of cases) {
  test(`a difference tells ${name}`, () => assert.deepEqual(differenceOf(before, after), difference))
}
