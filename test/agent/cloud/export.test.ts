import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { regionFile } from '../../../agent/cloud/contract/export.ts'
import { failures } from '../../../agent/cloud/contract/failures.ts'
import { createFileSender } from '../../../agent/cloud/file-sender.ts'
import type { Sent } from '../../../agent/cloud/transport.ts'
import { cloudPlace } from '../../../agent/export/places/cloud.ts'
import { PlaceFault } from '../../../agent/export/places/place.ts'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
import type { LinkProfile } from '../../../shared/link/index.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import { tokenWith, World } from '../../cloud/world.ts'
import { regionContent } from '../region-file/region-sample.ts'

const never = new AbortController().signal

/** A region that has joined, and its cloud as a place for its file. */
async function joined({ profile = 'normal' }: { profile?: LinkProfile } = {}) {
  const world = new World()
  world.give(tokenWith())
  const link = world.link()
  await world.until(link, 'Ready')
  const key = world.content.state?.key ?? assert.fail('it has no key')
  const doubts: string[] = []
  const place = cloudPlace({
    sender: createFileSender({ session: () => link.session(), refused: () => void doubts.push('refused') }),
    meter: { profile },
  })
  const file = async (by = key) => ({
    ...(await writeRegionFile(regionContent(), { key: by })),
    region: 'harbour-1',
    createdAt: '2026-01-31T12:00:00.000Z',
    isEmpty: false,
  })
  return { world, link, place, file, doubts }
}

const faultOf = (work: Promise<void>) =>
  work.then(
    () => assert.fail('it was written'),
    (error: unknown) => (error instanceof PlaceFault ? error : assert.fail(String(error))),
  )

test('the cloud gets the file compressed, stores it, and gives back what was sent', async () => {
  const { world, place, file } = await joined()
  const sent: Sent[] = []
  world.onTheWay = (request, go) => {
    sent.push(request)
    return go()
  }
  const made = await file()
  await place.write(made, never)
  const [{ method, path, headers, body } = assert.fail('nothing was sent')] = sent
  assert.deepEqual([method, path.replace(/r-\w+/, 'ID'), headers['content-encoding']], ['PUT', '/v1/regions/ID/export', 'gzip'])
  const said = JSON.parse(gunzipSync(body as Buffer).toString())
  assert.deepEqual(regionFile.parse(said), said, 'it sends what the contract says')
  const stored = world.registered[0]?.file ?? assert.fail('nothing was stored')
  const read = await readRegionFile(stored.bytes)
  assert.ok(read.ok)
  assert.equal(read.digest, made.digest)
})

test('export-refused: the region stays registered, and its people read where else the file can be', async () => {
  const { world, place, file, doubts } = await joined()
  // Signed with a key that is not that of this region.
  const fault = await faultOf(place.write(await file(makeKey()), never))
  const { message, action } = failures['export-refused']
  assert.equal(fault.message, `${message} ${action}`)
  assert.match(action, /recovery\.export\.bucket/)
  assert.deepEqual(doubts, [])
  assert.equal(world.registered[0]?.file, undefined)
})

test('any other refusal is one of the region, whose registration is looked at', async () => {
  const { world, place, file, doubts } = await joined()
  for (const region of world.registered) region.state = 'revoked'
  assert.equal((await faultOf(place.write(await file(), never))).message, failures.revoked.message)
  assert.deepEqual(doubts, ['refused'])
})

test('a cloud that says it has stored another file is not believed', async () => {
  const { world, place, file } = await joined()
  world.onTheWay = async (_sent, go) => {
    const answer = await go()
    return { ...answer, body: JSON.stringify({ ...JSON.parse(answer.body), stored: '0'.repeat(64) }) }
  }
  assert.match((await faultOf(place.write(await file(), never))).message, /stored another file/)
})

test('a cloud that asks for patience says for how long', async () => {
  const { world, place, file } = await joined()
  world.onTheWay = async () => ({ status: 503, headers: { 'retry-after': '600' }, body: '' })
  assert.equal((await faultOf(place.write(await file(), never))).retryAfterMs, 600_000)
})

test('an older cloud, which knows of no files, is named', async () => {
  const { world, place, file, doubts } = await joined()
  world.onTheWay = async () => ({ status: 404, headers: { 'content-type': 'text/plain' }, body: '404 Not Found' })
  assert.match((await faultOf(place.write(await file(), never))).message, /^The cloud answered 404 without a class/)
  assert.deepEqual(doubts, [])
})

test('a region without a credential waits, and a stop waits for no answer', async () => {
  const { world, place, file } = await joined()
  assert.equal(place.waits(), undefined)
  const ending = new AbortController()
  world.onTheWay = () => new Promise(() => {})
  const writing = place.write(await file(), ending.signal)
  ending.abort(new Error('stopping'))
  await assert.rejects(writing, /stopping/)
  await world.clock.advance(3_600_000)
  assert.match(place.waits() ?? '', /has not joined its cloud, or has no credential/)
})

test('the tighter the link, the rarer the file', async () => {
  const pauses = await Promise.all(
    (['normal', 'metered', 'critical'] as const).map(async (profile) => (await joined({ profile })).place.pauseMs()),
  )
  assert.deepEqual(pauses, [0, 3_600_000, 86_400_000])
})
