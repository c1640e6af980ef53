import assert from 'node:assert/strict'
import type { LookupFunction } from 'node:net'
import { test } from 'node:test'
import { type BucketPlace, openBucket, probeBucket } from '../../../agent/bucket/index.ts'
import { failing, type Reply, refusal, resolving, startStore, tools, xml } from './stand-in.ts'

const signal = AbortSignal.timeout(60_000)
const everywhere = resolving(['127.0.0.1'])

/** Knows the store alone, not the names of its buckets. */
const storeAlone: LookupFunction = (name, options, callback) =>
  name === 's3.harbour.example' ? everywhere(name, options, callback) : failing('ENOTFOUND')(name, options, callback)

const styles: { name: string; given: Partial<BucketPlace>; host: RegExp; path: string }[] = [
  {
    name: 'before the name of the store',
    given: { pathStyle: false },
    host: /^harbour-snapshots\.s3\.harbour\.example:\d+$/,
    path: '/tidal-gauge/a b',
  },
  { name: 'in the path', given: { pathStyle: true }, host: /^s3\.harbour\.example:\d+$/, path: '/harbour-snapshots/tidal-gauge/a b' },
  { name: "in the path of any store but Amazon's", given: {}, host: /^s3\.harbour/, path: '/harbour-snapshots/tidal-gauge/a b' },
  { name: 'without a folder', given: { basePath: undefined }, host: /^s3\.harbour/, path: '/harbour-snapshots/a b' },
  { name: 'with slashes around the folder', given: { basePath: '/a/b/' }, host: /^s3\.harbour/, path: '/harbour-snapshots/a/b/a b' },
]
for (const { name, given, host, path } of styles) {
  test(`a bucket is asked for ${name}`, async (t) => {
    const store = await startStore(t, { answer: () => ({ status: 200 }) })
    const place = { ...store.place, endpointUrl: `http://s3.harbour.example:${store.port}`, ...given }
    await openBucket(place, { ...tools, lookup: everywhere }).put('a b', Buffer.from('x'), signal)
    assert.match(store.seen[0]?.host ?? '', host)
    assert.equal(store.seen[0]?.path, path)
  })
}

test('a path of the endpoint stays before the bucket', async (t) => {
  const store = await startStore(t, { answer: () => ({ status: 200 }) })
  await openBucket({ ...store.place, endpointUrl: `${store.place.endpointUrl}/s3/` }, tools).put('a', Buffer.from('x'), signal)
  assert.equal(store.seen[0]?.path, '/s3/harbour-snapshots/tidal-gauge/a')
})

test('a store that has no names for its buckets is told from one that is not there', async (t) => {
  const store = await startStore(t)
  const place = { ...store.place, endpointUrl: `http://s3.harbour.example:${store.port}`, pathStyle: false }
  const [found] = await probeBucket(place, { ...tools, lookup: storeAlone }, signal)
  assert.deepEqual([found?.code, found?.field], ['WrongAddressing', 'pathStyle'])
  assert.match(`${found?.message} ${found?.action}`, /harbour-snapshots\.s3\.harbour\.example is not known.*Set pathStyle to true/)
  const absent = { ...place, endpointUrl: `http://s4.harbour.example:${store.port}` }
  const [nobody] = await probeBucket(absent, { ...tools, lookup: storeAlone }, signal)
  assert.equal(nobody?.code, 'NameUnknown')
})

const misunderstood: { name: string; pathStyle: boolean; answer: Reply; code: string; says: RegExp }[] = [
  {
    name: 'a store that lists its buckets does not see the one before its name',
    pathStyle: false,
    answer: xml(200, '<ListAllMyBucketsResult><Owner><ID>a</ID></Owner><Buckets/></ListAllMyBucketsResult>'),
    code: 'WrongAddressing',
    says: /Set pathStyle to true/,
  },
  {
    name: 'a store that misses the first folder does not see the bucket before its name',
    pathStyle: false,
    answer: refusal(404, 'NoSuchBucket', 'The specified bucket does not exist', '<BucketName>tidal-gauge</BucketName>'),
    code: 'WrongAddressing',
    says: /Set pathStyle to true/,
  },
  {
    name: 'a store that misses an object called like the bucket is that bucket',
    pathStyle: true,
    answer: refusal(404, 'NoSuchKey', 'The specified key does not exist.'),
    code: 'EndpointInvalid',
    says: /Leave the bucket out of endpointUrl/,
  },
  {
    name: 'a server that speaks TLS alone is told by its words',
    pathStyle: true,
    answer: { status: 400, headers: { 'content-type': 'text/plain' }, body: 'Client sent an HTTP request to an HTTPS server.\n' },
    code: 'EndpointInvalid',
    says: /Write https:\/\//,
  },
  {
    name: 'a server that redirects to TLS is told by where it redirects to',
    pathStyle: true,
    answer: { status: 301, headers: { location: 'https://s3.harbour.example/' } },
    code: 'Redirected',
    says: /Write https:\/\//,
  },
]
for (const { name, pathStyle, answer, code, says } of misunderstood) {
  test(name, async (t) => {
    const store = await startStore(t, { answer: ({ method }) => (method === 'HEAD' ? { status: 404 } : answer) })
    const place = { ...store.place, endpointUrl: `http://s3.harbour.example:${store.port}`, pathStyle }
    const [found, ...others] = await probeBucket(place, { ...tools, lookup: everywhere }, signal)
    assert.deepEqual([found?.code, others], [code, []])
    assert.match(`${found?.message} ${found?.action}`, says)
    assert.ok(store.seen.every(({ method }) => method !== 'PUT' && method !== 'DELETE'))
  })
}

const regions: { name: string; given: Partial<BucketPlace>; host: string }[] = [
  { name: "Amazon's of a region", given: { region: 'eu-north-1' }, host: 's3.eu-north-1.amazonaws.com' },
  { name: "Amazon's of China", given: { region: 'cn-north-1' }, host: 's3.cn-north-1.amazonaws.com.cn' },
  { name: "Amazon's, when no region is given", given: {}, host: 's3.amazonaws.com' },
]
for (const { name, given, host } of regions) {
  test(`the store is ${name}`, async () => {
    const asked: string[] = []
    const lookup: LookupFunction = (looked, options, callback) => {
      asked.push(looked)
      failing('ENOTFOUND')(looked, options, callback)
    }
    const place = { bucket: 'harbour-snapshots', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'example', ...given }
    await assert.rejects(openBucket(place, { ...tools, lookup }).head(signal), { code: 'NameUnknown' })
    assert.deepEqual(asked, [`harbour-snapshots.${host}`])
  })
}

const scopes: { name: string; given: Partial<BucketPlace>; scope: string }[] = [
  { name: 'that is given', given: { region: 'eu-north-1', endpointUrl: 'http://s3.eu-west-1.amazonaws.com' }, scope: 'eu-north-1' },
  { name: 'that the endpoint names', given: { endpointUrl: 'http://s3.eu-west-1.amazonaws.com' }, scope: 'eu-west-1' },
  { name: 'us-east-1 where nobody names one', given: { endpointUrl: 'http://s3.harbour.example' }, scope: 'us-east-1' },
]
for (const { name, given, scope } of scopes) {
  test(`requests are signed for the region ${name}`, async (t) => {
    const store = await startStore(t)
    const endpointUrl = `${given.endpointUrl}:${store.port}`
    await openBucket({ ...store.place, ...given, endpointUrl }, { ...tools, lookup: everywhere }).head(signal)
    assert.match(store.seen[0]?.authorization ?? '', new RegExp(`/${scope}/s3/aws4_request,`))
  })
}

test('where no region is given, the one that the store names is tried', async (t) => {
  const store = await startStore(t, {
    answer: ({ method, authorization }) =>
      authorization.includes('/eu-north-1/')
        ? undefined
        : method === 'HEAD'
          ? { status: 400, headers: { 'x-amz-bucket-region': 'eu-north-1' } }
          : refusal(400, 'AuthorizationHeaderMalformed', "the region is wrong; expecting 'eu-north-1'"),
  })
  assert.deepEqual(await probeBucket(store.place, tools, signal), [])
  const [given] = await probeBucket({ ...store.place, region: 'eu-central-1' }, tools, signal)
  assert.match(`${given?.code} ${given?.action}`, /WrongRegion Set region to eu-north-1, and endpointUrl/)
})
