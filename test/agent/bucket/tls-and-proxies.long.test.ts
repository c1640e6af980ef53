import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { type BucketTools, probeBucket } from '../../../agent/bucket/index.ts'
import { createCertificate } from '../../peers/certificates.ts'
import { failing, resolving, startStore, tools } from './stand-in.ts'

const signal = new AbortController().signal
const everywhere = resolving(['127.0.0.1'])

test('a store whose certificate has no names for its buckets is told from one with a wrong certificate', async (t) => {
  const certificate = await createCertificate({ name: 's3.harbour.example' })
  const store = await startStore(t, { certificate })
  const trusting = { ...tools, ca: certificate.ca, lookup: everywhere }
  const place = { ...store.place, endpointUrl: `https://s3.harbour.example:${store.port}`, pathStyle: false }
  const [found] = await probeBucket(place, trusting, signal)
  assert.equal(found?.code, 'WrongAddressing')
  assert.match(found?.message ?? '', /its certificate is not valid for harbour-snapshots\.s3/)
  const [wrong] = await probeBucket({ ...place, endpointUrl: `https://s3.elsewhere.example:${store.port}` }, trusting, signal)
  assert.equal(wrong?.code, 'TlsWrongName')
  assert.match(wrong?.message ?? '', /not valid for harbour-snapshots\.s3\.elsewhere\.example, but for: DNS:s3\.harbour\.example/)
})

test('what is wrong with the certificate of a store is told apart', async (t) => {
  const [good, expired] = await Promise.all([createCertificate(), createCertificate({ days: -1 })])
  const secure = await startStore(t, { certificate: good })
  const codeOf = async (endpointUrl: string, more: Partial<BucketTools>) =>
    (await probeBucket({ ...secure.place, endpointUrl }, { ...tools, ...more }, signal))[0]?.code
  assert.equal(await codeOf(secure.place.endpointUrl ?? '', { ca: good.ca }), undefined)
  assert.equal(await codeOf(secure.place.endpointUrl ?? '', {}), 'TlsUntrusted')
  const old = await startStore(t, { certificate: expired })
  assert.equal(await codeOf(old.place.endpointUrl ?? '', { ca: expired.ca }), 'TlsExpired')
  const plain = await startStore(t)
  assert.equal(await codeOf(`https://127.0.0.1:${plain.port}`, { ca: good.ca }), 'TlsFailed')
  assert.equal(await codeOf(`http://127.0.0.1:${secure.port}`, {}), 'ConnectionCut')
})

test('a store with a CA of the site is one for the agent, and none for CrateDB', async (t) => {
  const certificate = await createCertificate()
  const store = await startStore(t, { certificate })
  const before = getCACertificates('default')
  t.after(() => setDefaultCACertificates(before))
  setDefaultCACertificates([...before, certificate.ca])
  assert.deepEqual(await probeBucket(store.place, tools, signal), [])
  const [found] = await probeBucket(store.place, { ...tools, user: 'database' }, signal)
  assert.equal(found?.code, 'TlsUntrusted')
  assert.match(`${found?.message} ${found?.action}`, /CrateDB trusts no other.*public authority/)
})

test('for CrateDB a store is tried past the proxy of the agent', async (t) => {
  const store = await startStore(t)
  const proxy = await startProxy(t, 1, 403)
  assert.deepEqual(await probeBucket(store.place, { ...tools, user: 'database', proxies: { HTTP_PROXY: proxy.url } }, signal), [])
  assert.deepEqual(proxy.asked, [])
})

/** A proxy for CONNECT and for requests without TLS that leads everything to one port. It refuses with `status` if there is one. */
async function startProxy(t: TestContext, port: number, status?: number): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    response.writeHead(status ?? 200).end()
  })
  server.on('connect', ({ url }, socket, head) => {
    asked.push(`CONNECT ${url}`)
    if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} Forbidden\r\ncontent-length: 0\r\n\r\n`)
    const upstream = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    for (const each of [socket, upstream]) each.on('error', () => upstream.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

test('a store is reached through the proxy of the environment, which resolves its name', async (t) => {
  const certificate = await createCertificate({ name: 's3.harbour.example' })
  const store = await startStore(t, { certificate })
  const proxy = await startProxy(t, store.port)
  const place = { ...store.place, endpointUrl: `https://s3.harbour.example:${store.port}`, pathStyle: true }
  const through: BucketTools = { ...tools, ca: certificate.ca, lookup: failing('ENOTFOUND'), proxies: { https_proxy: proxy.url } }
  assert.deepEqual(await probeBucket(place, through, signal), [])
  assert.deepEqual([...new Set(proxy.asked)], [`CONNECT s3.harbour.example:${store.port}`])
  const around = { ...through, lookup: resolving(['127.0.0.1']), proxies: { HTTPS_PROXY: proxy.url, NO_PROXY: '.harbour.example' } }
  proxy.asked.length = 0
  assert.deepEqual(await probeBucket(place, around, signal), [])
  assert.deepEqual(proxy.asked, [])
})

test('a proxy does not lead inside the cluster by a name that says so', async (t) => {
  const store = await startStore(t)
  const proxy = await startProxy(t, store.port)
  const proxies = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }
  for (const endpointUrl of ['http://169.254.169.254', 'https://minio.storage.svc'])
    assert.equal((await probeBucket({ ...store.place, endpointUrl }, { ...tools, proxies }, signal))[0]?.code, 'EndpointInside')
  assert.deepEqual(proxy.asked, [])
})

test('a proxy that refuses, and one whose address is none, are said to be at fault, without their passwords', async (t) => {
  const proxy = await startProxy(t, 1, 403)
  const place = {
    bucket: 'harbour-snapshots',
    endpointUrl: 'https://s3.harbour.example',
    accessKeyId: 'AKIAEXAMPLE',
    secretAccessKey: 'example',
  }
  const [refused] = await probeBucket(place, { ...tools, proxies: { HTTPS_PROXY: proxy.url } }, signal)
  assert.equal(refused?.code, 'ProxyFailed')
  const [odd] = await probeBucket(place, { ...tools, proxies: { HTTPS_PROXY: 'http://site:hunter2@[proxy' } }, signal)
  assert.equal(odd?.code, 'ProxyFailed')
  assert.doesNotMatch(odd?.message ?? '', /hunter2/)
})
