import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { type BucketPlace, type BucketTools, openBucket, probeBucket } from '../../../agent/bucket/index.ts'
import { systemClock } from '../../../shared/clock.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { type S3Peer, startS3 } from '../../peers/s3.ts'

const rules = { allowed: ['127.0.0.0/8', '.harbour.example', 's3.harbour.example'], clusterNetworks: () => [], namespaces: [] }
const tools: BucketTools = { rules, clock: systemClock, proxies: {} }
const signal = new AbortController().signal

const placeIn = ({ url, bucket, accessKeyId, secretAccessKey }: S3Peer, more: Partial<BucketPlace> = {}): BucketPlace => ({
  bucket,
  endpointUrl: url,
  accessKeyId,
  secretAccessKey,
  ...more,
})

test('a bucket of a real store is usable, and nothing is left of the trial', async (t) => {
  const store = await startS3(t)
  const place = placeIn(store, { basePath: 'harbour/tidal-gauge' })
  assert.deepEqual(await probeBucket(place, tools, signal), [])
  assert.deepEqual(await openBucket(placeIn(store), tools).list('', { max: 10 }, signal), { objects: [], isTruncated: false })
})

test('objects are written, listed, read and deleted, whatever is in their keys', async (t) => {
  const bucket = openBucket(placeIn(await startS3(t), { basePath: 'regions' }), tools)
  const keys = ['a b+c', 'd(e)!*', 'f/g%2Fh', 'ä€😀', 'j=k?l#m'].sort()
  for (const key of keys) await bucket.put(key, Buffer.from(`this is ${key}`), signal)
  for (const key of keys) assert.equal((await bucket.get(key, signal)).toString(), `this is ${key}`)
  const all = await bucket.list('', { max: 100 }, signal)
  assert.deepEqual(all.objects.map(({ key }) => key).sort(), keys)
  assert.deepEqual((await bucket.list('d', { max: 2 }, signal)).objects, [{ key: 'd(e)!*', bytes: 14 }])
  for (const key of keys) await bucket.delete(key, signal)
  await bucket.delete('a b+c', signal)
  await assert.rejects(bucket.get('a b+c', signal), { name: 'BucketFault', code: 'NoSuchKey' })
})

test('a large object arrives whole', async (t) => {
  const bucket = openBucket(placeIn(await startS3(t)), tools)
  const bytes = Buffer.alloc(9 << 20, 'skerry')
  await bucket.put('large', bytes, signal)
  assert.ok((await bucket.get('large', signal)).equals(bytes))
})

test('a bucket in the name of the host is found with TLS by the CA of the site', async (t) => {
  const certificate = await createCertificate({ name: '*.s3.harbour.example' })
  const store = await startS3(t, { certificate, virtualHosts: true })
  const lookup: LookupFunction = (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }])
  const place = placeIn(store, { endpointUrl: `https://s3.harbour.example:${store.port}`, pathStyle: false })
  assert.deepEqual(await probeBucket(place, { ...tools, ca: certificate.ca, lookup }, signal), [])
  const [untrusted] = await probeBucket(place, { ...tools, lookup }, signal)
  assert.equal(untrusted?.code, 'TlsUntrusted')
})

const mistakes: { name: string; given: Partial<BucketPlace>; code: string }[] = [
  { name: 'another secret', given: { secretAccessKey: 'another' }, code: 'SignatureDoesNotMatch' },
  { name: 'an unknown access key', given: { accessKeyId: 'AKIAEXAMPLE' }, code: 'InvalidAccessKeyId' },
  { name: 'a bucket that is not there', given: { bucket: 'elsewhere' }, code: 'NoSuchBucket' },
]
test('mistakes in a place are told apart', async (t) => {
  const store = await startS3(t)
  for (const { name, given, code } of mistakes) {
    const found = await probeBucket(placeIn(store, given), tools, signal)
    assert.deepEqual(
      found.map((each) => each.code),
      [code],
      name,
    )
  }
})
