import assert from 'node:assert/strict'
import test from 'node:test'
import type { Check } from '../../../monitor/prober/check.ts'
import { type CheckSource, createChecksInEffect } from '../../../monitor/prober/checks-in-effect.ts'

function check(name: string, kind: Check['kind'] = 'tcp', dependsOn: string[] = []): Check {
  return {
    name,
    kind,
    dependsOn,
    target: name,
    options: {},
    group: 'checks',
    severity: 'warning',
    labels: {},
    intervalMs: 1_000,
    timeoutMs: 1_000,
    retries: 0,
    retryDelayMs: 0,
    recoveryDelayMs: 0,
    actions: [],
  }
}

function source(...checks: Check[]): CheckSource & { become(...next: Check[]): void } {
  let now = checks
  const listeners = new Set<() => void>()
  return {
    checks: () => now,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    become(...next) {
      now = next
      for (const listener of listeners) listener()
    },
  }
}

async function inHand(configured: CheckSource, discovered?: CheckSource, leads = true) {
  const state = { leads, names: [] as string[], tell: () => {} }
  const part = createChecksInEffect({
    prober: { set: (checks) => (state.names = checks.map(({ name, target }) => `${name}${target === name ? '' : ` (${target})`}`)) },
    configured,
    discovered,
    hearsNodes: {
      now: () => state.leads,
      onChange(listener) {
        state.tell = listener
        return () => (state.tell = () => {})
      },
    },
  })
  await part.start(new AbortController().signal)
  return { state, part }
}

test('the checks of the file and those of the cluster are run, and one of the file takes the place of its namesake', async () => {
  const mine = { ...check('kubernetes', 'kubernetes'), target: 'mine' }
  const { state } = await inHand(source(check('a'), mine), source(check('kubernetes', 'kubernetes'), check('database/x/y', 'cratedb')))
  assert.deepEqual(state.names, ['a', 'kubernetes (mine)', 'database/x/y'])
})

test('what is new in the file or in the cluster is run from then on', async () => {
  const [file, cluster] = [source(check('a')), source(check('kubernetes', 'kubernetes'))]
  const { state, part } = await inHand(file, cluster)
  file.become(check('b'))
  assert.deepEqual(state.names, ['b', 'kubernetes'])
  cluster.become()
  assert.deepEqual(state.names, ['b'])
  await part.stop(0)
  file.become(check('c'))
  assert.deepEqual(state.names, ['b'])
})

test('checks of watched edge nodes are run by the replica that hears them, and by no other', async () => {
  const { state } = await inHand(source(check('a')), source(check('sparkplug-node/site/crane', 'sparkplug-node')), false)
  assert.deepEqual(state.names, ['a'])
  state.leads = true
  state.tell()
  assert.deepEqual(state.names, ['a', 'sparkplug-node/site/crane'])
})
