import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deadlines } from '../../../agent/operations/deadlines.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'

const hour = 3_600_000

function operationDueIn(ms: number) {
  const clock = createFakeClock()
  const deadlines = new Deadlines(clock)
  const status = { deadline: new Date(clock.now() + ms).toISOString() }
  const operation = { metadata: { name: 'tide-1', uid: 'u-1' }, status } as Parameters<Deadlines['havePassed']>[0]
  return { clock, deadlines, operation, isOver: () => deadlines.havePassed(operation) }
}

test('the time of an operation is up when it has passed', async () => {
  const { clock, isOver } = operationDueIn(hour)
  assert.equal(isOver(), false)
  await clock.advance(hour - 1)
  assert.equal(isOver(), false)
  await clock.advance(1)
  assert.equal(isOver(), true)
})

test('a clock that is set neither ends an operation nor lets it live on', async () => {
  const { clock, isOver } = operationDueIn(hour)
  assert.equal(isOver(), false)
  clock.jump(3 * hour)
  assert.equal(isOver(), false)
  clock.jump(-6 * hour)
  await clock.advance(hour)
  assert.equal(isOver(), true)
})

test('a process that takes over goes by what is written', async () => {
  const { clock, operation } = operationDueIn(hour)
  await clock.advance(2 * hour)
  assert.equal(new Deadlines(clock).havePassed(operation), true)
})

test('an operation that begins again with another deadline has its whole time', async () => {
  const { clock, deadlines, operation } = operationDueIn(hour)
  assert.equal(deadlines.havePassed(operation), false)
  await clock.advance(2 * hour)
  const again = { ...operation, status: { deadline: new Date(clock.now() + hour).toISOString() } } as typeof operation
  assert.equal(deadlines.havePassed(again), false)
})

test('an operation without a deadline has time', () => {
  const { deadlines, operation } = operationDueIn(hour)
  assert.equal(deadlines.havePassed({ metadata: operation.metadata }), false)
})
