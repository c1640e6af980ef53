import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { decoded } from '../../../monitor/wire/content-coding.ts'
import { CheckFailure } from '../../../monitor/wire/reasons.ts'

const text = 'the quay is open\n'.repeat(2_000)
const { signal } = new AbortController()

const codings: [name: string, contentEncoding: string, coded: Buffer][] = [
  ['gzip', 'gzip', gzipSync(text)],
  ['the old name of gzip, in capitals', 'X-GZIP', gzipSync(text)],
  ['deflate', 'deflate', deflateSync(text)],
  ['deflate without the header of zlib', 'deflate', deflateRawSync(text)],
  ['br', 'br', brotliCompressSync(text)],
  ['zstd', 'zstd', zstdCompressSync(text)],
  ['one coding within another', 'br, identity, gzip', gzipSync(brotliCompressSync(text))],
  ['no coding', 'identity', Buffer.from(text)],
]

for (const [name, contentEncoding, coded] of codings) {
  test(`a body is read through ${name}`, async () => {
    assert.equal((await decoded(coded, contentEncoding, { signal })).toString(), text)
  })
}

for (const [name, contentEncoding, coded] of codings.slice(0, -2)) {
  test(`a body in ${name} that was cut off is read as far as it goes, and is a fault where it should be whole`, async () => {
    const half = coded.subarray(0, Math.ceil(coded.length * 0.8))
    const found = (await decoded(half, contentEncoding, { isPart: true, signal })).toString()
    assert.ok(text.startsWith(found))
    await assert.rejects(decoded(half, contentEncoding, { signal }), { reason: 'protocol' })
  })
}

test('a small body that expands to much is cut or refused at its bound, through one coding and two', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
  for (const [coded, contentEncoding] of [
    [bomb, 'gzip'],
    [gzipSync(bomb), 'gzip, gzip'],
  ] as const) {
    assert.equal((await decoded(coded, contentEncoding, { maxBytes: 100_000, cut: true, signal })).length, 100_000)
    await assert.rejects(decoded(coded, contentEncoding, { maxBytes: 100_000, signal }), { reason: 'too_large' })
  }
})

test('a body whose outer coding was cut at the bound is still read as far as it goes', async () => {
  const coded = gzipSync(gzipSync(Buffer.from(Array.from({ length: 50_000 }, (_, at) => String(at)).join(' '))))
  const found = await decoded(coded, 'gzip, gzip', { maxBytes: 1_000, cut: true, signal })
  assert.ok(found.length > 0 && found.length <= 1_000)
})

test('a coding that is unknown, or of which there are too many, is named', async () => {
  await assert.rejects(decoded(Buffer.from('x'), 'compress', { signal }), /content coding compress/)
  await assert.rejects(decoded(Buffer.from('x'), 'constructor', { signal }), CheckFailure)
  await assert.rejects(decoded(Buffer.from('x'), 'gzip, gzip, gzip', { signal }), /3 content codings/)
})

test('a body that is not in its coding is a fault of the protocol', async () => {
  for (const contentEncoding of ['gzip', 'deflate', 'br', 'zstd'])
    await assert.rejects(decoded(Buffer.from('plain text'), contentEncoding, { signal }), { reason: 'protocol' })
})

test('an empty body has no coding to read, as after HEAD', async () => {
  assert.equal((await decoded(Buffer.alloc(0), 'gzip', { signal })).length, 0)
})

test('decoding ends when the check is aborted', async () => {
  await assert.rejects(decoded(gzipSync(text), 'gzip', { signal: AbortSignal.abort(new Error('stop')) }), /stop/)
})
