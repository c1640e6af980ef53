import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FairQueue } from '../../../monitor/metrics/fair-queue.ts'

const { signal: nobodyGone } = new AbortController()

/** A queue whose first piece of work waits until `begin` is called, and the names of the pieces in the order in which they were done. */
function queueInHand(most: number, random = () => 0) {
  const queue = new FairQueue<string>({ most, random })
  const done: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = queue.run('nobody', () => gate.promise.then(() => ''), nobodyGone)
  const ask = (from: string, name: string, gone: AbortSignal = nobodyGone) => {
    const work = async () => {
      done.push(name)
      return name
    }
    return queue.run(from, work, gone)
  }
  const begin = async () => {
    gate.resolve()
    await first
  }
  return { ask, done, begin }
}

test('those who ask take turns by where they ask from', async () => {
  const { ask, done, begin } = queueInHand(10)
  const all = [ask('a', 'a1'), ask('a', 'a2'), ask('a', 'a3'), ask('b', 'b1'), ask('c', 'c1')]
  await begin()
  await Promise.all(all)
  assert.deepEqual(done, ['a1', 'b1', 'c1', 'a2', 'a3'])
})

test('whoever floods it is turned away, and nobody else', async () => {
  const { ask, begin } = queueInHand(4)
  const flood = Array.from({ length: 100 }, (_, index) => ask('flood', String(index)))
  const other = ask('other', 'mine')
  const more = Array.from({ length: 100 }, (_, index) => ask('flood', String(index)))
  await begin()
  assert.equal(await other, 'mine')
  const answers = await Promise.all([...flood, ...more])
  assert.equal(answers.filter((each) => each !== 'busy').length, 3)
})

test('of those who ask from one place, the last one has the same chance as the others', async () => {
  let calls = 0
  const { ask, begin } = queueInHand(2, () => [0.1, 0.9][calls++ % 2] as number)
  const all = Array.from({ length: 5 }, (_, index) => ask('nat', String(index)))
  await begin()
  assert.deepEqual((await Promise.all(all)).filter((each) => each !== 'busy').length, 2)
})

test('work that nobody waits for any more is not done, and failed work fails for whoever asked', async () => {
  const { ask, done, begin } = queueInHand(10)
  const gone = new AbortController()
  const left = ask('a', 'left', gone.signal)
  const stays = ask('a', 'stays')
  gone.abort()
  await begin()
  assert.deepEqual([await left, await stays, done], ['busy', 'stays', ['stays']])
  const queue = new FairQueue<string>({ most: 1 })
  await assert.rejects(
    queue.run('a', () => Promise.reject(new Error('no')), nobodyGone),
    /no/,
  )
  assert.equal(await queue.run('a', async () => 'yes', nobodyGone), 'yes')
})
