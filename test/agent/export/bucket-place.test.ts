import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { openBucket } from '../../../agent/bucket/index.ts'
import { bucketPlace } from '../../../agent/export/places/bucket.ts'
import { PlaceFault } from '../../../agent/export/places/place.ts'
import { type Reply, type Seen, startStore, tools } from '../bucket/stand-in.ts'

const never = new AbortController().signal
const made = (createdAt: string) => ({
  ...{
    bytes: Buffer.from(`made at ${createdAt}`),
    digest: '8f'.repeat(32),
    content: '02'.repeat(32),
    region: 'harbour-1',
    createdAt,
    isEmpty: false,
  },
})
const hour = (number: number) => `2026-01-31T${String(number).padStart(2, '0')}:00:00.123Z`
const nameOf = (number: number) => `skerry-region-harbour-1-20260131T${String(number).padStart(2, '0')}0000Z.json`

async function start(t: TestContext, answer?: (seen: Seen) => Reply | undefined) {
  const store = await startStore(t, answer && { answer })
  const warnings: string[] = []
  const place = bucketPlace(async () => openBucket({ ...store.place, basePath: 'site' }, tools), {
    keep: 3,
    warn: (message) => void warnings.push(message),
  })
  const names = () => [...store.objects.keys()].map((key) => key.split('/regions/harbour-1/')[1]).sort()
  return { place, store, names, warnings }
}

test('a bucket has each file under its time, the last one as latest.json too, and as many as are to stay', async (t) => {
  const { place, store, names, warnings } = await start(t)
  for (const number of [1, 2, 3, 4, 5]) await place.write(made(hour(number)), never)
  assert.deepEqual(names(), ['latest.json', nameOf(3), nameOf(4), nameOf(5)])
  const [latest] = [...store.objects].find(([key]) => key.endsWith('/regions/harbour-1/latest.json')) ?? []
  assert.match(latest ?? '', /site\/regions\/harbour-1\/latest\.json$/)
  assert.equal(store.objects.get(latest ?? '')?.toString(), `made at ${hour(5)}`)
  assert.deepEqual(warnings, [])
})

test('the last file of an earlier cluster stays under another name, where the key may read it', async (t) => {
  const { place, store, names } = await start(t)
  await place.write(made(hour(1)), never, true)
  for (const number of [2, 3, 4, 5, 6]) await place.write(made(hour(number)), never, number === 2)
  assert.deepEqual(names(), [`before-${nameOf(2)}`, 'latest.json', nameOf(4), nameOf(5), nameOf(6)])
  const [, bytes] = [...store.objects].find(([key]) => key.includes('before-')) ?? []
  assert.equal(bytes?.toString(), `made at ${hour(1)}`)
})

test('what somebody else has put beside the files stays', async (t) => {
  const { place, store, names } = await start(t)
  await place.write(made(hour(1)), never)
  const [key = ''] = store.objects.keys()
  const folder = key.slice(0, key.lastIndexOf('/'))
  for (const name of ['skerry-region-harbour-1-before-the-flood.json', 'notes.txt'])
    store.objects.set(`${folder}/${name}`, Buffer.from('x'))
  for (const number of [2, 3, 4, 5]) await place.write(made(hour(number)), never)
  assert.deepEqual(names(), ['latest.json', 'notes.txt', nameOf(3), nameOf(4), nameOf(5), 'skerry-region-harbour-1-before-the-flood.json'])
})

test('a key that may not delete keeps all files, and says so without failing', async (t) => {
  const refusal = { status: 403, headers: { 'content-type': 'application/xml' }, body: '<Error><Code>AccessDenied</Code></Error>' }
  const { place, names, warnings } = await start(t, ({ method }) => (method === 'DELETE' ? refusal : undefined))
  for (const number of [1, 2, 3, 4]) await place.write(made(hour(number)), never)
  assert.equal(names().length, 5)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /delete/i)
})

test('a bucket that cannot be written says why and what to do, and latest.json stays the last whole file', async (t) => {
  const full = { status: 507, headers: { 'content-type': 'application/xml' }, body: '<Error><Code>InsufficientStorage</Code></Error>' }
  let isFull = false
  const { place, store } = await start(t, ({ method }) => (isFull && method === 'PUT' ? full : undefined))
  await place.write(made(hour(1)), never)
  isFull = true
  await assert.rejects(place.write(made(hour(2)), never), (error: unknown) => {
    assert.ok(error instanceof PlaceFault)
    assert.match(error.message, /Make room in the store/)
    assert.doesNotMatch(error.message, /AKIAEXAMPLE/)
    return true
  })
  const latest = [...store.objects].find(([key]) => key.endsWith('latest.json'))
  assert.equal(latest?.[1].toString(), `made at ${hour(1)}`)
})

test('a store that never answers holds up no stop', async (t) => {
  const { place } = await start(t, () => 'hang')
  const ending = new AbortController()
  const writing = place.write(made(hour(1)), ending.signal)
  ending.abort(new Error('stopping'))
  await assert.rejects(writing, /stopping/)
})
