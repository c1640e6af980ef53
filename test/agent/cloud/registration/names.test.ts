import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inForce, type Said, saidAfter } from '../../../../agent/cloud/registration/names.ts'
import { statusAfter, statusHeard, underWay } from '../../../../agent/cloud/registration/telling.ts'
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

test('what another cloud has said does not count', () => {
  const elsewhere = statusAfter(ready, underWay.awaiting, { ...facts, site: {}, cloud: 'https://another.example.org' })
  assert.deepEqual([elsewhere.name, elsewhere.tags, elsewhere.cloudSays, elsewhere.lastHeard], Array(4).fill(undefined))
})
