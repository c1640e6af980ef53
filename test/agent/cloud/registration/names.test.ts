import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inForce, type Said, saidAfter } from '../../../../agent/cloud/registration/names.ts'
import type { RegistrationStatus } from '../../../../agent/cloud/registration/status.ts'
import { occasionOf } from '../../../../agent/cloud/registration/story.ts'
import { statusAfter, statusHeard, underWay } from '../../../../agent/cloud/registration/telling.ts'
import { World } from '../../../cloud/world.ts'
import { fc } from '../../../shared/property.ts'

const tags = fc.dictionary(fc.constantFrom('coast', 'berth', 'pier', 'constructor'), fc.string({ maxLength: 3 }))
const said: fc.Arbitrary<Said> = fc.record({ name: fc.string({ maxLength: 3 }), tags }, { requiredKeys: [] })
const ofBoth = fc.tuple(said, said)

test('the word of the site takes precedence, tag by tag, and what only one side says counts', () => {
  fc.assert(
    fc.property(ofBoth, ([site, cloud]) => {
      const { name, tags = {} } = inForce(site, cloud)
      assert.equal(name, site.name ?? cloud.name)
      const names = new Set([...Object.keys(site.tags ?? {}), ...Object.keys(cloud.tags ?? {})])
      assert.deepEqual(new Set(Object.keys(tags)), names)
      for (const tag of names) assert.equal(tags[tag], Object.hasOwn(site.tags ?? {}, tag) ? site.tags?.[tag] : cloud.tags?.[tag], tag)
    }),
  )
})

test('what the site takes back lets the word of the cloud count again, and the order of changes does not matter', () => {
  fc.assert(
    fc.property(ofBoth, said, ([site, cloud], other) => {
      assert.deepEqual(inForce({}, cloud), inForce(cloud, {}))
      assert.deepEqual(saidAfter(saidAfter(cloud, other), {}), saidAfter(cloud, other), 'silence changes nothing')
      const after = saidAfter(cloud, other)
      assert.deepEqual(inForce(site, after), inForce(inForce(site, {}), after))
    }),
  )
})

const facts = {
  ...{ cloud: 'https://cloud.example.org', thumbprint: 'kPrK', joined: undefined, askAgain: undefined },
  ...{ now: Date.UTC(2026, 0, 1), aheadMs: 0 },
}
const heard = { name: 'Harbour', tags: { coast: 'west', berth: '7' } }
const ready = statusAfter(undefined, { ...underWay.ready('r-1'), heard }, { ...facts, site: { tags: { berth: '8' } } })

test('a status shows what counts, and keeps the word of the cloud beside it', () => {
  assert.equal(ready.name, 'Harbour')
  assert.deepEqual(ready.tags, { coast: 'west', berth: '8' })
  assert.deepEqual(ready.cloudSays, heard)
})

test('a change at either end is taken between the steps of the registration', () => {
  const site = { name: 'Old Harbour', tags: {} }
  const changed = statusHeard(ready, { site, heard: undefined }) ?? assert.fail()
  assert.deepEqual([changed.name, changed.tags], ['Old Harbour', heard.tags], 'the site has said another name, and taken its tag back')
  const again = statusHeard(changed, { site, heard: { name: 'Port', tags: { coast: 'east' }, at: facts.now + 1_000 } }) ?? assert.fail()
  assert.deepEqual([again.name, again.tags], ['Old Harbour', { coast: 'east' }])
  assert.equal(again.lastHeard, ready.lastHeard, 'that it was heard is not worth a write each time')
})

test('that the cloud is heard is written down every five minutes', () => {
  const site = { tags: { berth: '8' } }
  assert.equal(statusHeard(ready, { site, heard: { at: facts.now + 299_000 } }), undefined)
  assert.equal(statusHeard(ready, { site, heard: { at: facts.now + 300_000 } })?.lastHeard, '2026-01-01T00:05:00Z')
})

test('how much of the ledger the cloud knows is written with that, and at once where it is less than before', () => {
  const site = { tags: { berth: '8' } }
  const known = (status: RegistrationStatus, ledgerKnown: number, afterMs: number) =>
    statusHeard(status, { site, heard: { at: facts.now + afterMs, ledgerKnown } })
  const first = known(ready, 57, 300_000) ?? assert.fail()
  assert.equal(first.ledgerKnown, 57)
  assert.equal(known(first, 58, 360_000), undefined)
  const restored = known(first, 41, 360_000) ?? assert.fail()
  assert.deepEqual([restored.ledgerKnown, restored.lastHeard], [41, '2026-01-01T00:06:00Z'])
  assert.equal(statusAfter(restored, underWay.Renewing, { ...facts, site }).ledgerKnown, 41)
  assert.equal(occasionOf(first, ready), undefined)
  assert.deepEqual(occasionOf(restored, first), {
    ...{ type: 'Warning', reason: 'LedgerBehind', at: '2026-01-01T00:06:00Z' },
    message: 'The cloud knows operations up to 41, and knew them up to 57: it may have been restored from a backup.',
  })
})

test('a cloud that has forgotten operations is written down with the next step, and one that has read some every five minutes', async () => {
  const world = new World()
  const link = world.link()
  await world.pair(link)
  const hear = async (ledgerKnown: number) => {
    const isDue = link.heard({ ledgerKnown })
    if (isDue) await link.step()
    return world.content.status?.ledgerKnown
  }
  assert.equal(await hear(57), undefined, 'the region has been heard a moment ago')
  await world.clock.advance(300_000)
  assert.equal(await hear(58), 58)
  assert.equal(await hear(59), 58)
  assert.equal(await hear(41), 41)
})

test('what another cloud has said does not count', () => {
  const elsewhere = statusAfter(ready, underWay.awaiting, { ...facts, site: {}, cloud: 'https://another.example.org' })
  assert.deepEqual([elsewhere.name, elsewhere.tags, elsewhere.cloudSays, elsewhere.lastHeard], Array(4).fill(undefined))
})
