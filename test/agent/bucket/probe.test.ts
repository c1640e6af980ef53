import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBucket, probeBucket } from '../../../agent/bucket/index.ts'
import { type Reply, refusal, type Seen, startStore, tools, xml } from './stand-in.ts'

const signal = new AbortController().signal
const denied = refusal(403, 'AccessDenied', 'Access Denied')
const isList = ({ query }: Seen) => query.has('list-type')
const isProbe = ({ path }: Seen) => path.includes('/tidal-gauge/.skerry-probe-')
const html: Reply = { status: 200, headers: { 'content-type': 'text/html' }, body: '<!DOCTYPE html><html><body>Welcome!<br></body></html>' }

test('a bucket that does what it says is usable, and has nothing of the trial afterwards', async (t) => {
  const store = await startStore(t)
  assert.deepEqual(await probeBucket(store.place, tools, signal), [])
  assert.equal(store.objects.size, 0)
  assert.deepEqual(
    store.seen.map(({ method }) => method),
    ['HEAD', 'GET', 'PUT', 'GET', 'DELETE', 'GET'],
  )
})

test('the rights that are missing are found all at once, and nothing is left behind', async (t) => {
  const store = await startStore(t, { answer: (seen) => (isList(seen) || isProbe(seen) || seen.method === 'HEAD' ? denied : undefined) })
  const found = await probeBucket(store.place, tools, signal)
  // Without the right to list, S3 says so of an object that is not there too: whether it may be read is not known.
  assert.deepEqual(
    found.map(({ code }) => code),
    ['MayNotList', 'MayNotWrite', 'MayNotDelete'],
  )
})

test('a key that may list alone is told the three other rights that it lacks', async (t) => {
  const store = await startStore(t, { answer: (seen) => (isProbe(seen) ? denied : undefined) })
  const found = await probeBucket(store.place, tools, signal)
  assert.deepEqual(
    found.map(({ code }) => code),
    ['MayNotWrite', 'MayNotRead', 'MayNotDelete'],
  )
})

test('a full store whose key may not delete has both faults', async (t) => {
  const full = refusal(507, 'XMinioStorageFull', 'Storage backend has reached its minimum free drive threshold.')
  const store = await startStore(t, {
    answer: (seen) => (!isProbe(seen) ? undefined : seen.method === 'PUT' ? full : seen.method === 'DELETE' ? denied : undefined),
  })
  const found = await probeBucket(store.place, tools, signal)
  assert.deepEqual(
    found.map(({ code }) => code),
    ['StoreFull', 'MayNotDelete'],
  )
})

test('a probe that may not be deleted is named', async (t) => {
  const store = await startStore(t, { answer: ({ method }) => (method === 'DELETE' ? denied : undefined) })
  const [found, ...others] = await probeBucket(store.place, tools, signal)
  assert.deepEqual(others, [])
  const [left] = [...store.objects.keys()]
  assert.equal(found?.message, `The access key may not delete in the bucket harbour-snapshots. The probe ${left} is left behind.`)
})

const lies: { name: string; answer: (seen: Seen) => Reply | undefined; code: string }[] = [
  {
    name: 'returns other bytes',
    answer: (seen) => (isProbe(seen) && seen.method === 'GET' ? { status: 200, body: 'something' } : undefined),
    code: 'OtherBytes',
  },
  {
    name: 'returns far more bytes',
    answer: (seen) => (isProbe(seen) && seen.method === 'GET' ? { status: 200, body: Buffer.alloc(1 << 20) } : undefined),
    code: 'AnswerTooLarge',
  },
  {
    name: 'takes an object and has it not',
    answer: (seen) => (isProbe(seen) && seen.method === 'PUT' ? { status: 200 } : undefined),
    code: 'OtherBytes',
  },
  {
    name: 'deletes an object and keeps it',
    answer: (seen) => (seen.method === 'DELETE' ? { status: 204 } : undefined),
    code: 'DeletionWithoutEffect',
  },
  { name: 'answers a list with a web page', answer: () => html, code: 'NotS3' },
  {
    name: 'answers a list with the web page of a login, and an error',
    answer: () => ({ ...(html as object), status: 511 }) as Reply,
    code: 'NotS3',
  },
  { name: 'answers a list with JSON', answer: (seen) => (isList(seen) ? { status: 200, body: '{}' } : undefined), code: 'NotS3' },
  { name: 'answers a list with nothing', answer: (seen) => (isList(seen) ? { status: 200 } : undefined), code: 'NotS3' },
  {
    name: 'lists an object without a size',
    answer: (seen) => (isList(seen) ? xml(200, '<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>') : undefined),
    code: 'NotS3',
  },
  {
    name: 'lists what was not asked for',
    answer: (seen) =>
      isList(seen) ? xml(200, '<ListBucketResult><Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>') : undefined,
    code: 'OtherBytes',
  },
  {
    name: 'lists more than 4 MiB',
    answer: (seen) => (isList(seen) ? xml(200, `<ListBucketResult>${' '.repeat(5 << 20)}</ListBucketResult>`) : undefined),
    code: 'AnswerTooLarge',
  },
  { name: 'cuts its list', answer: (seen) => (isList(seen) ? 'cut' : undefined), code: 'AnswerCut' },
  {
    name: 'ends its list in the middle',
    answer: (seen) => (isList(seen) ? xml(200, '<ListBucketResult><Contents><Key>a') : undefined),
    code: 'AnswerCut',
  },
  { name: 'cuts the object', answer: (seen) => (isProbe(seen) && seen.method === 'GET' ? 'cut' : undefined), code: 'AnswerCut' },
  { name: 'closes the connection', answer: () => 'close', code: 'ConnectionCut' },
  {
    name: 'closes the connection at an object',
    answer: (seen) => (isProbe(seen) && seen.method === 'PUT' ? 'close' : undefined),
    code: 'ConnectionCut',
  },
  { name: 'speaks another protocol', answer: () => 'garbage', code: 'NotS3' },
  {
    name: 'has endless headers',
    answer: () => ({ status: 200, headers: { 'x-amz-meta-a': 'a'.repeat(40_000) } }),
    code: 'NotS3',
  },
]
for (const { name, answer, code } of lies) {
  test(`a store that ${name} is not used`, async (t) => {
    const store = await startStore(t, { answer })
    const found = await probeBucket(store.place, tools, signal)
    assert.deepEqual(
      found.map((each) => each.code),
      [code],
      JSON.stringify(found),
    )
  })
}

test('a redirect is not followed: nothing is sent to where it leads', async (t) => {
  const elsewhere = await startStore(t)
  const location = `http://127.0.0.1:${elsewhere.port}/harbour-snapshots`
  for (const status of [301, 302, 303, 307, 308]) {
    const store = await startStore(t, { answer: () => ({ status, headers: { location } }) })
    const [found, ...others] = await probeBucket(store.place, tools, signal)
    assert.deepEqual([found?.code, others], ['Redirected', []])
    assert.equal(found?.message, `127.0.0.1:${store.port} redirects to http://127.0.0.1:${elsewhere.port} (${status}).`)
  }
  assert.deepEqual(elsewhere.seen, [])
})

test('an answer cannot write over a line of the log: what it says is one short line of visible text', async (t) => {
  const said = `\u001b[2J\u202e${'x'.repeat(5_000)}\r\nnext line`
  const store = await startStore(t, { answer: () => refusal(400, 'Odd', said.replace('\u001b', '')) })
  const [found] = await probeBucket(store.place, tools, signal)
  assert.equal(found?.code, 'Refused')
  assert.ok((found?.message.length ?? 0) < 700)
  assert.doesNotMatch(found?.message ?? '', /[\p{Cc}\p{Cf}]/u)
})

test('the versions of the probe are removed where a bucket keeps them, as far as the key may', async (t) => {
  const removed: (string | null)[] = []
  const store = await startStore(t, {
    answer: (seen) => {
      if (!isProbe(seen)) return undefined
      if (seen.method === 'PUT') return { status: 200, headers: { 'x-amz-version-id': 'v1' } }
      if (seen.method === 'GET') return { status: 200, body: store.seen.find(({ method }) => method === 'PUT')?.body ?? '' }
      removed.push(seen.query.get('versionId'))
      return seen.query.has('versionId') ? denied : { status: 204, headers: { 'x-amz-version-id': 'v2', 'x-amz-delete-marker': 'true' } }
    },
  })
  assert.deepEqual(await probeBucket(store.place, tools, signal), [])
  assert.deepEqual(removed, [null, 'v1', 'v2'])
})

test('a trial that is aborted after it has written removes its probe, and rejects with the reason', async (t) => {
  const stopping = new AbortController()
  const store = await startStore(t, {
    answer: (seen) => {
      if (!isProbe(seen) || seen.method !== 'GET') return undefined
      stopping.abort(new Error('the agent stops'))
      return 'hang'
    },
  })
  await assert.rejects(probeBucket(store.place, tools, stopping.signal), /the agent stops/)
  assert.equal(store.objects.size, 0)
  assert.equal(store.seen.at(-1)?.method, 'DELETE')
})

test('a store that is too slow for the deadline of the trial is a finding, and keeps no probe', async (t) => {
  const deadline = new AbortController()
  const store = await startStore(t, {
    answer: (seen) => {
      if (!isProbe(seen) || seen.method !== 'GET') return undefined
      // As AbortSignal.timeout does.
      deadline.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
      return 'hang'
    },
  })
  const found = await probeBucket(store.place, tools, deadline.signal)
  assert.deepEqual(
    found.map(({ code }) => code),
    ['TimedOut'],
  )
  assert.equal(store.objects.size, 0)
})

test('what is aborted before it begins asks nobody', async (t) => {
  const store = await startStore(t)
  const reason = new Error('the agent stops')
  await assert.rejects(probeBucket(store.place, tools, AbortSignal.abort(reason)), reason)
  assert.deepEqual(store.seen, [])
})

test('a list is read in the words of its store, without the base path', async (t) => {
  const store = await startStore(t)
  const bucket = openBucket(store.place, tools)
  const keys = ['a b+c', 'd/e&f<g>"\'', 'h\u0001', 'ä😀']
  for (const key of [...keys, 'other']) await bucket.put(key, Buffer.from('x'), signal)
  store.objects.set('elsewhere/a', Buffer.from('y'))
  const { objects, isTruncated } = await bucket.list('', { max: 4 }, signal)
  assert.deepEqual([objects.map(({ key }) => key), isTruncated], [keys.slice(0, 3).concat('other'), true])
  assert.deepEqual((await bucket.list('d/', { max: 4 }, signal)).objects, [{ key: 'd/e&f<g>"\'', bytes: 1 }])
})

test('an object that is longer than it may be is not read to its end', async (t) => {
  const store = await startStore(t)
  const bucket = openBucket(store.place, { ...tools, maxBytes: 1024 })
  await bucket.put('long', Buffer.alloc(1025), signal)
  await assert.rejects(bucket.get('long', signal), { code: 'AnswerTooLarge', message: /more than 1 KiB/ })
})
