import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../client/clock.ts'
import type { KubernetesObject } from '../client/objects.ts'
import { createCycles } from './crate-operator/cycles.ts'
import { createFaults } from './crate-operator/faults.ts'
import { type Memory, Retry, retryMs, runPass, wake } from './crate-operator/handling.ts'
import type { Operator } from './crate-operator/operator.ts'
import { progressKey } from './crate-operator/traces.ts'
import type { Queue } from './queue.ts'

test('a handler that waits is called again when something changes, or the time in its record has passed', async () => {
  const one = waiting()
  await one.pass()
  await one.pass()
  assert.equal(one.calls(), 1)
  wake(one.memory, 'change')
  await one.pass()
  await one.pass()
  assert.equal(one.calls(), 2)
  one.later(retryMs - 1)
  await one.pass()
  assert.equal(one.calls(), 2)
  one.later(1)
  await one.pass()
  assert.equal(one.calls(), 3)
})

test('a handler whose record somebody has removed runs anew', async () => {
  const one = waiting()
  await one.pass()
  one.forget()
  await one.pass()
  assert.equal(one.calls(), 2)
})

test('a database with a handler that waits is looked at again when that time has passed', async () => {
  const one = waiting()
  const dueAfter: number[] = []
  const queue = { addAfter: (_key: string, ms: number) => void dueAfter.push(ms) } as Queue
  const world = { clock: systemClock }
  const operator = { world, options: { stepMs: 1, events: false }, faults: createFaults(() => {}), patch: async () => undefined }
  const handlers = { kind: 'CrateDB' as const, owned: [one.handler.id], select: () => [one.handler] }
  const cycles = createCycles(operator as unknown as Operator, handlers, () => queue)
  await cycles.advance(one.object(), new AbortController().signal)
  assert.ok(dueAfter.includes(retryMs), `after ${dueAfter} ms`)
})

/** A CrateDB with one handler, which waits. */
function waiting() {
  let [calls, now] = [0, Date.UTC(2026, 10, 1)]
  let annotations: Record<string, string | null> = {}
  const memory: Memory = { asleep: new Map(), finished: new Set(), fingerprint: '', changes: 0 }
  const handler = {
    id: 'cluster_create',
    async run() {
      calls++
      throw new Retry('Waiting.')
    },
  }
  const object = () =>
    ({ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'gauge', annotations } }) as unknown as KubernetesObject
  return {
    memory,
    handler,
    object,
    calls: () => calls,
    later(ms: number) {
      now += ms
    },
    forget() {
      delete annotations[progressKey(handler.id)]
    },
    async pass() {
      const { patch } = await runPass({
        ...{ object: object(), memory, purpose: 'create', old: undefined, next: {}, diff: [], handlers: [handler], owned: [handler.id] },
        ...{ clock: { ...systemClock, now: () => now }, signal: new AbortController().signal },
        ...{ before() {}, failed() {}, retried() {} },
      })
      annotations = { ...annotations, ...patch?.metadata.annotations }
    },
  }
}
