import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { type BucketTools, openBucket, probeBucket } from '../../../agent/bucket/index.ts'
import { freePort } from '../../cluster/index.ts'
import { failing, resolving, startStore, tools } from './stand-in.ts'

const signal = new AbortController().signal
const name = 'http://s3.harbour.example'

const inner = [
  '127.0.0.2',
  '0.0.0.0',
  '::1',
  '::',
  '::ffff:127.0.0.2',
  '64:ff9b::7f00:2',
  '169.254.169.254',
  '64:ff9b::169.254.169.254',
  'fe80::1',
  'fd00:ec2::254',
  '100.100.100.200',
  '224.0.0.1',
  '255.255.255.255',
  'ff02::1',
  '10.244.3.7',
  '::ffff:10.244.3.7',
  'fd20:ce::254',
  '192.0.0.192',
  '::169.254.169.254',
  '2002:a9fe:a9fe::1',
  '2001:0:1::1',
  '64:ff9b:1::a9fe:a9fe',
]
for (const address of inner) {
  test(`a name that resolves to ${address} is refused before anything is sent`, async (t) => {
    const store = await startStore(t)
    const place = { ...store.place, endpointUrl: `${name}:${store.port}` }
    // One of its addresses is enough: the pods of the backup may choose that one.
    const found = await probeBucket(place, { ...tools, lookup: resolving(['127.0.0.1', address]) }, signal)
    assert.deepEqual(
      found.map(({ code, field }) => [code, field]),
      [['EndpointInside', 'endpointUrl']],
    )
    assert.match(found[0]?.message ?? '', new RegExp(`"s3\\.harbour\\.example" resolves to ${address.replaceAll('.', '\\.')}, which is `))
    assert.deepEqual(store.seen, [])
  })
}

test('an address of a name is refused by its rule, and not one that the site allows', async (t) => {
  const store = await startStore(t)
  const place = { ...store.place, endpointUrl: `${name}:${store.port}` }
  const allowing = (allowed: string[]): BucketTools => ({ ...tools, rules: { ...tools.rules, allowed }, lookup: resolving(['127.0.0.1']) })
  for (const allowed of [['127.0.0.0/8'], ['s3.harbour.example'], ['.harbour.example'], ['::ffff:127.0.0.1/128']])
    assert.deepEqual(await probeBucket(place, allowing(allowed), signal), [], allowed.join())
  for (const allowed of [[], ['127.0.0.2/32'], ['harbour.example'], ['.storage.svc']])
    assert.equal((await probeBucket(place, allowing(allowed), signal))[0]?.code, 'EndpointInside', allowed.join())
})

test('a name that resolves to another address a moment later gains nothing', async (t) => {
  const store = await startStore(t)
  const bucket = openBucket(
    { ...store.place, endpointUrl: `${name}:${store.port}` },
    { ...tools, lookup: resolving(['127.0.0.1'], ['127.0.0.2'], ['127.0.0.1']) },
  )
  await bucket.head(signal)
  await assert.rejects(bucket.head(signal), { code: 'EndpointInside' })
  await bucket.head(signal)
  assert.equal(store.seen.length, 2)
})

test('an endpoint that says itself that it is inside the cluster, and a bucket that is no name, are found without a request', async () => {
  const place = { bucket: 'a/../b', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example' }
  for (const endpointUrl of ['http://[::1]:9000', 'http://2130706433', 'http://minio.storage.svc', 'http://169.254.169.254/latest']) {
    const found = await probeBucket({ ...place, endpointUrl }, { ...tools, rules: { ...tools.rules, allowed: [] } }, signal)
    assert.deepEqual(
      found.map(({ code }) => code),
      ['InvalidBucketName', 'EndpointInside'],
    )
  }
  for (const endpointUrl of [
    'ftp://s3.harbour.example',
    'https://user:word@s3.harbour.example',
    'https://s3.harbour.example/?a=b',
    'harbour',
  ])
    assert.equal((await probeBucket({ ...place, endpointUrl }, tools, signal))[1]?.code, 'EndpointInvalid')
})

test('an endpoint that is inside the cluster with the bucket before it is found without a request', async () => {
  const asked: string[] = []
  const lookup: LookupFunction = (looked, options, callback) => {
    asked.push(looked)
    failing('ENOTFOUND')(looked, options, callback)
  }
  const place = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example', pathStyle: false }
  for (const [bucket, endpointUrl] of [
    ['kubernetes.default.svc', 'http://cluster.local'],
    ['minio.storage.svc', 'http://site.example:9000'],
    ['metadata', 'http://google.internal'],
    ['10-0-0-1.default.pod', 'http://site.example'],
  ] as const) {
    const found = await probeBucket({ ...place, bucket, endpointUrl }, { ...tools, lookup, rules: { ...tools.rules, allowed: [] } }, signal)
    assert.deepEqual(
      found.map(({ code }) => code),
      ['EndpointInside'],
      bucket,
    )
  }
  assert.deepEqual(asked, [])
  const allowing = { ...tools.rules, allowed: ['minio.storage.svc'] }
  await probeBucket(
    { ...place, bucket: 'snapshots', endpointUrl: 'http://minio.storage.svc' },
    { ...tools, lookup, rules: allowing },
    signal,
  )
  assert.equal(asked[0], 'snapshots.minio.storage.svc')
})

test('what the resolver says is told apart', async () => {
  const place = { bucket: 'harbour-snapshots', endpointUrl: name, accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example', pathStyle: true }
  const codeOf = async (lookup: LookupFunction) => (await probeBucket(place, { ...tools, lookup }, signal)).map(({ code }) => code)
  assert.deepEqual(await codeOf(failing('ENOTFOUND')), ['NameUnknown'])
  assert.deepEqual(await codeOf(failing('EAI_AGAIN')), ['NameServerFailed'])
  const [silent] = await probeBucket(place, { ...tools, timeoutMs: 50, lookup: () => {} }, signal)
  assert.equal(silent?.code, 'TimedOut')
})

test('a port where nobody listens, and one where nobody answers, or not to the end, are told apart', async (t) => {
  const store = await startStore(t, { answer: () => 'hang' })
  const [silent] = await probeBucket(store.place, { ...tools, timeoutMs: 50 }, signal)
  assert.deepEqual([silent?.code, silent?.message], ['TimedOut', `127.0.0.1:${store.port} does not answer within 1 s.`])
  const stalling = await startStore(t, { answer: ({ method }) => (method === 'GET' ? 'stall' : undefined) })
  await assert.rejects(openBucket(stalling.place, { ...tools, timeoutMs: 50, maxBytes: 1024 }).get('a', signal), { code: 'TimedOut' })
  const [refused] = await probeBucket({ ...store.place, endpointUrl: `http://127.0.0.1:${await freePort()}` }, tools, signal)
  assert.equal(refused?.code, 'ConnectionRefused')
})
