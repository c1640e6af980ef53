import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type BucketPlace, type BucketTools, openBucket, probeBucket } from '../../../agent/bucket/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { startSwift } from '../../peers/swift.ts'
import { resolving, tools } from './stand-in.ts'

const signal = new AbortController().signal

async function start(t: TestContext): Promise<{ place: BucketPlace; swift: Awaited<ReturnType<typeof startSwift>> }> {
  const swift = await startSwift(t)
  const { bucket, region, owner, port } = swift
  return { swift, place: { bucket, region, endpointUrl: `http://127.0.0.1:${port}`, basePath: 'harbour/tidal-gauge', ...owner } }
}

test('a bucket of Swift is usable, in the path and before the name of the store, and nothing is left of the trial', async (t) => {
  const { place, swift } = await start(t)
  assert.deepEqual(await probeBucket(place, tools, signal), [])
  const named: BucketPlace = { ...place, endpointUrl: `http://${swift.domain}:${swift.port}`, pathStyle: false }
  assert.deepEqual(await probeBucket(named, { ...tools, lookup: resolving(['127.0.0.1']) }, signal), [])
  const { objects } = await openBucket({ ...place, basePath: undefined }, tools).list('', { max: 10 }, signal)
  assert.deepEqual(objects, [])
})

test('objects of Swift are written, listed in parts, read and deleted, whatever is in their keys', async (t) => {
  const { place } = await start(t)
  const bucket = openBucket(place, tools)
  const keys = ['a b+c', "d'(e)!*", 'f/g%2Fh', 'i&j=k?l#m', 'x<y>"z"', 'ä€😀'].sort()
  for (const key of keys) await bucket.put(key, Buffer.from(`this is ${key}`), signal)
  for (const key of keys) assert.equal((await bucket.get(key, signal)).toString(), `this is ${key}`)
  const { objects } = await bucket.list('', { max: 100 }, signal)
  assert.deepEqual(objects.map(({ key }) => key).sort(), keys)
  const some = await bucket.list('', { max: 2 }, signal)
  assert.deepEqual([some.objects.length, some.isTruncated], [2, true])
  for (const key of keys) await bucket.delete(key, signal)
  await bucket.delete(keys[0] ?? '', signal)
  await assert.rejects(bucket.get(keys[0] ?? '', signal), { code: 'NoSuchKey' })
})

test('what is wrong with a bucket of Swift is told apart', async (t) => {
  const { place, swift } = await start(t)
  const late = { now: () => systemClock.now() - 20 * 60_000 }
  const cases: { name: string; given?: Partial<BucketPlace>; with?: Partial<BucketTools>; codes: string[] }[] = [
    { name: 'another secret', given: { secretAccessKey: 'another' }, codes: ['SignatureDoesNotMatch'] },
    // tempauth says no more than that.
    { name: 'an unknown key', given: { accessKeyId: 'test:nobody' }, codes: ['SignatureDoesNotMatch'] },
    { name: 'another region', given: { region: 'eu-west-1' }, codes: ['WrongRegion'] },
    { name: 'another bucket', given: { bucket: 'elsewhere' }, codes: ['NoSuchBucket'] },
    { name: 'a wrong clock', with: { clock: late }, codes: ['RequestTimeTooSkewed'] },
    { name: 'a quota that is used up', given: { bucket: 'full' }, codes: ['StoreFull'] },
    { name: 'a key without rights', given: swift.stranger, codes: ['MayNotList', 'MayNotWrite', 'MayNotDelete'] },
    { name: 'a store that takes nothing', given: { endpointUrl: `http://127.0.0.1:${swift.readOnlyPort}` }, codes: ['ReadOnly'] },
  ]
  for (const { name, given, with: more, codes } of cases) {
    const found = await probeBucket({ ...place, ...given }, { ...tools, ...more }, signal)
    assert.deepEqual(
      found.map(({ code }) => code),
      codes,
      `${name}: ${JSON.stringify(found)}`,
    )
  }
})
