import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CloudFault } from '../../../agent/cloud/fault.ts'
import { World } from '../../cloud/world.ts'

test('a region that no cloud has ever answered leaves too: it asks no more, and its code is no longer shown', async () => {
  const world = new World()
  world.onTheWay = async () => {
    throw new CloudFault('unreachable', 'There is no network.')
  }
  const link = world.link()
  for (let step = 0; step < 3; step++) await link.step()
  assert.deepEqual([world.content.status?.state, world.content.status?.reason], ['Unpaired', 'Unreachable'])

  world.content.wanted = { joined: false }
  assert.equal(await link.step(), undefined)
  const { status } = world.content
  assert.deepEqual([status?.state, status?.reason, status?.pairing, status?.nextAttempt], ['Deregistered', 'Left', undefined, undefined])
  assert.equal(world.content.state, undefined)
  await world.clock.advance(60_000)
  assert.equal(await link.step(), undefined, 'and it rests')
  assert.equal(world.content.state, undefined)
})

test('a region that waits for its code to be typed leaves: the cloud is told, and the code is good for nothing', async () => {
  const world = new World()
  const link = world.link()
  await world.until(link, 'Unpaired')
  world.content.wanted = { joined: false }
  await world.until(link, 'Deregistered')
  assert.deepEqual(
    world.registered.map(({ state }) => state),
    ['deregistered'],
  )
  assert.equal(world.content.status?.pairing, undefined)
})

test('a region that has joined leaves: it tells of no credential, and of no renewal', async () => {
  const world = new World()
  const link = world.link()
  await world.pair(link)
  assert.ok(world.content.status?.credential)

  world.content.wanted = { joined: false }
  await world.until(link, 'Deregistered')
  assert.equal(world.content.status?.credential, undefined)
})

test('a region whose key somebody has deleted has left as soon as the site says so, whatever its status said', async () => {
  const world = new World()
  const link = world.link()
  await world.pair(link)

  delete world.content.state
  world.content.wanted = { joined: false }
  const exchanges = world.exchanges.length
  assert.equal(await link.step(), undefined)
  const { status } = world.content
  assert.deepEqual([status?.state, status?.reason, status?.credential, status?.nextAttempt], ['Deregistered', 'Left', undefined, undefined])
  assert.deepEqual([world.content.state, world.exchanges.length], [undefined, exchanges], 'no key is made, and nobody is asked')
})
