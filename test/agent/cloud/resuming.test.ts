import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudFault } from '../../../agent/cloud/fault.ts'
import type { LinkStore } from '../../../agent/cloud/registration/state.ts'
import type { Content } from '../../cloud/memory-store.ts'
import { tokenWith, World } from '../../cloud/world.ts'

/** Dies at the nth write of a process, before or after it. */
class Death extends Error {}

function dyingStore(store: LinkStore, at: number, when: 'before' | 'after'): LinkStore {
  let writes = 0
  const dying =
    <A extends unknown[], R>(write: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      const isLast = writes++ === at
      if (isLast && when === 'before') throw new Death()
      const done = await write(...given)
      if (isLast) throw new Death()
      return done
    }
  return { ...store, create: dying(store.create), change: dying(store.change), remove: dying(store.remove), publish: dying(store.publish) }
}

/** Drives a region whose process dies at each of its writes in turn, until a process has nothing left to die at. @returns how many died */
async function dyingOn(world: World, state: string): Promise<number> {
  for (let deaths = 0; deaths < 40; deaths++) {
    const when = deaths % 2 === 0 ? 'before' : 'after'
    const link = world.link(world.content, (store) => dyingStore(store, Math.floor(deaths / 2), when))
    try {
      await world.until(link, state, { steps: 8 })
      return deaths
    } catch (error) {
      if (!(error instanceof Death)) throw error
    }
  }
  throw new Error('it dies again and again')
}

/**
 * As `dyingOn`, from each death to the next, until it is so and a process has nothing left to die at. What is awaited may hold for the state
 * before as well, so it is asked of the whole world.
 */
async function dyingUntil(world: World, isSo: () => boolean): Promise<void> {
  let died = 0
  for (let lives = 0; lives < 60; lives++) {
    const link = world.link(world.content, (store) => dyingStore(store, Math.floor(lives / 2), lives % 2 === 0 ? 'before' : 'after'))
    try {
      for (let step = 0; step < 8; step++) {
        const pauseMs = await link.step()
        if (isSo() && pauseMs !== 0) {
          assert.ok(died > 1, `it died ${died} times`)
          return
        }
        if (pauseMs === undefined) break
        await world.clock.advance(pauseMs)
      }
    } catch (error) {
      if (!(error instanceof Death)) throw error
      died++
    }
  }
  assert.fail(`it is not so: ${JSON.stringify(world.content.status)}`)
}

test('a region that dies at each write joins all the same, once', async () => {
  const world = new World()
  world.give(tokenWith({ id: 'abc' }))
  assert.ok((await dyingOn(world, 'Ready')) > 3)
  assert.equal(world.registered.length, 1)
})

test('a region that dies at each write of a renewal stays itself', async () => {
  const world = new World()
  world.give(tokenWith())
  await world.until(world.link(), 'Ready')
  const [before] = world.registered
  await world.clock.advance(30 * 86_400_000)
  world.content.status = { ...(world.content.status ?? assert.fail()), state: 'Recovering' }
  assert.ok((await dyingOn(world, 'Ready')) > 1)
  assert.equal(world.registered.length, 1)
  assert.equal(world.registered[0]?.id, before?.id)
  assert.equal(world.registered[0]?.state, 'approved')
})

test('a region that dies at each write of its way through an approval joins once it is approved, as one', async () => {
  const world = new World()
  world.cloud.registry.approves = false
  world.give(tokenWith({ id: 'abc' }))
  assert.ok((await dyingOn(world, 'AwaitingApproval')) > 2)
  for (const region of world.registered) region.state = 'approved'
  await world.clock.advance(3_600_000)
  assert.ok((await dyingOn(world, 'Ready')) > 1)
  assert.equal(world.registered.length, 1)
})

test('a region that dies at each write of a recovery, months later, stays itself', async () => {
  const world = new World()
  world.give(tokenWith())
  await world.until(world.link(), 'Ready')
  const [before = assert.fail()] = world.registered
  const { id, thumbprint, sequence } = before
  await world.clock.advance(200 * 86_400_000)
  await dyingUntil(world, () => world.content.status?.state === 'Ready' && (world.registered[0]?.sequence ?? 0) > sequence)
  assert.deepEqual(
    world.registered.map((region) => [region.id, region.thumbprint, region.state, region.sequence]),
    [[id, thumbprint, 'approved', sequence + 1]],
    'each death was answered with the same credential',
  )
})

test('a region that the cloud has lost, and that dies at each write while it joins with another token, keeps its key', async () => {
  const world = new World()
  world.give(tokenWith({ id: 'first' }))
  await world.until(world.link(), 'Ready')
  const key = world.content.state?.key
  world.cloud.registry.records = { regions: {}, tokens: {}, codes: {} }
  await world.clock.advance(2_500_000)
  await world.until(world.link(), 'Refused')
  world.give(tokenWith({ id: 'second' }))
  await dyingUntil(world, () => world.content.status?.state === 'Ready')
  assert.deepEqual(world.content.state?.key, key)
  assert.deepEqual(
    world.registered.map(({ id, state }) => [id, state]),
    [[world.content.status?.id, 'approved']],
  )
})

test('a region that dies at each write of its leaving has left in the end', async () => {
  const world = new World()
  world.give(tokenWith())
  await world.until(world.link(), 'Ready')
  world.content.wanted = { joined: false }
  await dyingUntil(world, () => world.content.status?.state === 'Deregistered' && world.content.state === undefined)
  assert.deepEqual(
    world.registered.map(({ state }) => state),
    ['deregistered'],
  )
})

test('a region that dies at each write of a change of trust trusts the other key in the end, and stays itself', async () => {
  const world = new World()
  world.give(tokenWith())
  await world.until(world.link(), 'Ready')
  const [before = assert.fail()] = world.registered
  const { id, sequence } = before
  await world.cloud.publish({ anchors: [], newKey: true })
  await world.clock.advance(2_500_000)
  await dyingUntil(world, () => world.content.status?.state === 'Ready' && (world.registered[0]?.sequence ?? 0) > sequence)
  assert.equal(world.content.state?.trust?.sequence, 1)
  assert.deepEqual(
    world.registered.map((region) => [region.id, region.state]),
    [[id, 'approved']],
  )
})

for (const told of [
  { state: 'Claiming', reason: 'Asking' },
  { state: 'Refused', reason: 'TokenExpired' },
] as const) {
  test(`a region that dies after it has joined, while it still says ${told.state}, says so at its next start, and asks nobody`, async () => {
    const world = new World()
    world.give(tokenWith())
    await world.until(world.link(), 'Ready')
    const { id: _id, credential: _credential, ...before } = world.content.status ?? assert.fail()
    world.content.status = { ...before, ...told }
    world.exchanges.length = 0
    const link = world.link()
    assert.equal(await link.step(), 0)
    assert.deepEqual([world.content.status.state, world.content.status.reason], ['Ready', 'Registered'])
    assert.ok((await link.step()) !== 0, 'and rests')
    assert.deepEqual(world.exchanges, [])
  })
}

test('an answer that is lost is no loss: neither that to a claim nor that to a renewal', async () => {
  const world = new World()
  world.give(tokenWith())
  const loseEachFirst = () => {
    let count = 0
    world.onTheWay = async (_sent, go) => {
      const answer = await go()
      if (count++ === 0) throw new CloudFault('unreachable', 'cut off')
      return answer
    }
  }
  loseEachFirst()
  await world.until(world.link(), 'Ready')
  loseEachFirst()
  await world.clock.advance(2_500_000)
  const link = world.link()
  await link.step()
  assert.equal(world.content.status?.state, 'Renewing')
  await world.until(link, 'Ready')
  assert.equal(world.registered.length, 1)
  assert.equal(world.registered[0]?.sequence, 2, 'the second answer was the first one again')
})

test('months without a network are one recovery', async () => {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  world.onTheWay = async () => {
    throw new CloudFault('unreachable', 'no network')
  }
  await world.clock.advance(2_500_000)
  // Attempt by attempt for the first hours, until the pauses are as long as they get; then one attempt a day.
  const end = world.clock.now() + 365 * 86_400_000
  for (let attempts = 0; world.clock.now() < end; attempts++) {
    const pauseMs = await link.step()
    const longest = 15 * 60_000
    assert.ok(pauseMs !== undefined && pauseMs > 0 && pauseMs <= longest, `${pauseMs}`)
    // Half of it: that is the chance of this world.
    if (attempts > 30) assert.equal(pauseMs, longest / 2)
    await world.clock.advance(attempts < 60 ? pauseMs : 86_400_000)
  }
  assert.equal(world.content.status?.state, 'Recovering')
  assert.ok(world.content.status?.attempts > 300)
  world.onTheWay = (_sent, go) => go()
  await world.until(link, 'Ready')
  assert.equal(world.registered.length, 1)
})

test('of two leaders, the one that was replaced changes nothing', async () => {
  const world = new World()
  world.give(tokenWith())
  const [old, present] = [world.link(), world.link()]
  await old.step()
  const [answered, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  world.onTheWay = async (_sent, go) => {
    world.onTheWay = (_other, pass) => pass()
    const answer = await go()
    answered.resolve()
    await held.promise
    return answer
  }
  const late = old.step()
  await answered.promise
  await world.until(present, 'Ready')
  const state = structuredClone(world.content.state)
  held.resolve()
  await assert.rejects(late, /conflict/)
  assert.deepEqual(world.content.state, state)
  assert.equal(world.registered.length, 1)
})

test('an etcd from yesterday is taken for a clone, and a person brings it back', async () => {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const yesterday = structuredClone(world.content)
  await world.clock.advance(2_500_000)
  await world.until(link, 'Ready')
  for (const region of world.registered) region.isUsed = true
  Object.assign(world.content, yesterday)
  await world.clock.advance(2_500_000)
  const restored = world.link()
  await world.until(restored, 'Refused')
  assert.equal(world.content.status?.reason, 'Cloned')
  world.cloud.registry.unlock(world.registered[0]?.id ?? '')
  assert.equal(await restored.step(), undefined, 'nothing by itself')
  world.content.wanted = { joined: true, askAgain: 'looked, there is only one' }
  await world.until(restored, 'Ready')
})

test('a cloud that was restored from last night takes the region for what it is', async () => {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const lastNight = world.cloud.registry.backup()
  for (let hour = 0; hour < 3; hour++) {
    await world.clock.advance(2_500_000)
    await world.until(link, 'Ready')
  }
  world.cloud.registry.records = lastNight
  await world.clock.advance(2_500_000)
  await world.until(link, 'Ready')
  assert.equal(world.registered[0]?.sequence, 5)
})

test('a region leaves on the word of the site, and comes back as another one', async () => {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const key = world.content.state?.key
  world.content.wanted = { joined: false }
  await world.until(link, 'Deregistered')
  assert.equal(world.content.state, undefined)
  assert.equal(world.registered[0]?.state, 'deregistered')
  assert.equal(await link.step(), undefined)
  world.content.wanted = { joined: true }
  world.give(tokenWith({ id: 'second' }))
  await world.until(link, 'Ready')
  assert.notDeepEqual((world.content as Content).state?.key, key)
})
