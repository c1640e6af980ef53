import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { RegionModel } from '../../../monitor/region/model.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { edgeNodeInHand, proberInHand, silent } from './in-hand.ts'

const minute = 60_000

/** A monitor without a cluster, with the check `crane`; what its birth carries is not counted as a change. */
async function checking(t: TestContext) {
  const clock = createFakeClock()
  const edgeNode = edgeNodeInHand(clock)
  const prober = proberInHand()
  const seen = { state: 'up', since: 1, detail: 'It answered in 12 ms.', lastDuration: 0.02 } as const
  prober.add({ name: 'crane', severity: 'critical', group: 'quay', labels: { site: 'harbour', target: 'x' } }, seen)
  const model = new RegionModel({ prober, edgeNode, facts: { version: '0' }, clock, log: silent })
  await model.start()
  t.after(() => model.stop())
  edgeNode.recorded()
  /** A run of the check; what of it is to be sent. */
  const run = async (given: Parameters<typeof prober.see>[1]) => {
    prober.see('crane', given)
    await clock.advance(1_000)
    return edgeNode.recorded()
  }
  return { clock, edgeNode, run }
}

test('runs on a busy host, whose duration and numbers vary, are no changes', async (t) => {
  const { clock, run } = await checking(t)
  for (const [index, lastDuration] of [0.3, 0.01, 0.11, 0.9, 0.02].entries())
    assert.deepEqual(await run({ lastDuration, detail: `It answered in ${index} ms.` }), [])
  await clock.advance(5 * minute)
  assert.deepEqual(await run({ lastDuration: 0.9, detail: 'It answered in 900 ms.' }), ['crane/Detail', 'crane/Duration'])
  await clock.advance(5 * minute)
  // More than 0.1 s less, but not by more than half. (After ten minutes, the others are confirmed.)
  const after = await run({ lastDuration: 0.5, detail: 'It answered in 900 ms.' })
  assert.deepEqual(
    after.filter((name) => ['crane/Detail', 'crane/Duration'].includes(name)),
    [],
  )
})

test('a change of the state is sent with the detail and the duration, however soon after another one', async (t) => {
  const { run } = await checking(t)
  const all = ['State', 'Up', 'Since', 'Reason', 'Detail', 'Duration'].map((name) => `crane/${name}`)
  const summary = ['Summary/Up', 'Summary/Down', 'Cluster/Checks/Up', 'Cluster/Checks/Down']
  const down = await run({ state: 'down', since: 2, reason: 'timeout', detail: 'No answer.', lastDuration: 5 })
  assert.deepEqual(down.toSorted(), [...summary, ...all].toSorted())
  const up = await run({ state: 'up', since: 3, reason: undefined, detail: 'It answered.', lastDuration: 0.02 })
  assert.deepEqual(up.toSorted(), [...summary, ...all].toSorted())
})

test('another reason is sent with its detail', async (t) => {
  const { run } = await checking(t)
  await run({ state: 'down', since: 2, reason: 'timeout', detail: 'No answer.' })
  assert.deepEqual(await run({ reason: 'connection_refused', detail: 'Nothing listens there.' }), ['crane/Reason', 'crane/Detail'])
})

test('the birth of a check says what it is, what each metric means, and has its labels', async (t) => {
  const { edgeNode } = await checking(t)
  assert.deepEqual(edgeNode.properties('checks:quay', 'crane/State'), {
    ...{ documentation: 'up, degraded, down or unknown', check: 'crane', kind: 'tcp', target: 'host:1', severity: 'critical' },
    ...{ group: 'quay', label_site: 'harbour', label_target: 'x' },
  })
  assert.deepEqual(edgeNode.properties('checks:quay', 'crane/Duration'), {
    ...{ engUnit: 's', engLow: 0, documentation: 'Duration of the last run' },
  })
})
