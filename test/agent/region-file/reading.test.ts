import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import type { RegionContent, RegionFile } from '../../../agent/region-file/schema.ts'
import { originSentence } from '../../../agent/region-file/signature.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
import { makeKey, thumbprintOf } from '../../../shared/signing/key.ts'
import { csiVolume, exportedDatabase, regionContent } from './region-sample.ts'

const key = makeKey()

async function readBack(document: RegionContent) {
  return readRegionFile((await writeRegionFile(document, { key })).bytes)
}

/** The file with an edit, as if somebody had changed it by hand. */
async function edited(edit: (file: RegionFile) => unknown): Promise<Buffer> {
  const file = JSON.parse((await writeRegionFile(regionContent(), { key })).bytes.toString()) as RegionFile
  const result = edit(file)
  return Buffer.from(JSON.stringify(result ?? file))
}

test('a region file reads as it was written, and says whose key signed it', async () => {
  const document = regionContent()
  const read = await readBack(document)
  assert.ok(read.ok, JSON.stringify(read))
  assert.deepEqual(JSON.parse(JSON.stringify(read.document)), JSON.parse(JSON.stringify(document)))
  assert.deepEqual(read.origin, { by: 'key', thumbprint: thumbprintOf(key) })
  assert.match(originSentence(read.origin), new RegExp(thumbprintOf(key)))
})

test('a region file without a signature says that its digest proves no origin', async () => {
  const read = await readRegionFile((await writeRegionFile(regionContent())).bytes)
  assert.ok(read.ok)
  assert.deepEqual(read.origin, { by: 'digest' })
  assert.match(originSentence(read.origin), /not where it comes from/)
})

test('a region file that an editor has formatted anew still fits its digest', async () => {
  const file = JSON.parse((await writeRegionFile(regionContent(), { key })).bytes.toString()) as object
  const members = Object.entries(file).toReversed()
  const read = await readRegionFile(Buffer.from(JSON.stringify(Object.fromEntries(members), null, 4)))
  assert.ok(read.ok, JSON.stringify(read))
})

test('the same region has the same digest, in whatever order its members are given', async () => {
  const one = await writeRegionFile(regionContent(), { key })
  const members = Object.entries(regionContent()).toReversed()
  const other = await writeRegionFile(Object.fromEntries(members) as RegionContent)
  assert.equal(other.digest, one.digest)
})

test('a database of another tool is not judged by what the API can express', async () => {
  const database = exportedDatabase('harbour', 'tidal-gauge')
  database.body.version = '4.1.0'
  const refused = await readBack(regionContent([database]))
  assert.deepEqual(refused.ok ? [] : refused.faults.map(({ path }) => path), ['/document/databases/0/body/version'])
  const cratedb = { labels: {}, annotations: {}, spec: { cluster: { version: '4.1.0' } } }
  const read = await readBack(regionContent([{ ...database, cratedb }]))
  assert.ok(read.ok, JSON.stringify(read))
})

test('every fault of a region file is told at once, with its path', async () => {
  const read = await readRegionFile(
    await edited(({ document }) => {
      const given = document as unknown as Record<string, unknown> & { databases: { body: object; volumes: object[] }[] }
      given.ledger = { sequence: -1 }
      given.harbour = true
      Object.assign(given.databases[0]?.body ?? {}, { version: 'newest' })
      Object.assign(given.databases[0]?.volumes[1] ?? {}, { kind: 'Pod' })
    }),
  )
  assert.equal(read.ok, false)
  assert.deepEqual(read.ok ? [] : read.faults.map(({ path }) => path).sort(), [
    '/document/databases/0/body/version',
    '/document/databases/0/volumes/1/kind',
    '/document/harbour',
    '/document/ledger/hash',
    '/document/ledger/sequence',
  ])
})

const deep = (levels: number): unknown => (levels === 0 ? 'bottom' : { in: deep(levels - 1) })

const hostile: { name: string; bytes: () => Promise<Uint8Array>; path: string; says: RegExp }[] = [
  {
    name: 'that was cut',
    bytes: async () => (await edited(() => undefined)).subarray(0, 1_000),
    path: '',
    says: /ends in the middle: the file was cut/,
  },
  { name: 'that is empty', bytes: async () => Buffer.from(' \n'), path: '', says: /is empty/ },
  { name: 'that is no JSON', bytes: async () => Buffer.from('kind: SkerryRegion\n'), path: '', says: /is not JSON/ },
  {
    name: 'that is JavaScript',
    bytes: async () => Buffer.from('{document: {kind: "x", version: 1}, digest: 0}'),
    path: '',
    says: /is not JSON/,
  },
  { name: 'that is no text', bytes: async () => Buffer.from([0x7b, 0xff, 0xfe]), path: '', says: /is not UTF-8/ },
  { name: 'that is something else', bytes: async () => Buffer.from('{"kind":"List"}'), path: '', says: /is no region file/ },
  { name: 'that is null', bytes: async () => Buffer.from('null'), path: '', says: /is no region file/ },
  {
    name: 'of a newer version',
    bytes: () => edited(({ document }) => void Object.assign(document, { version: 2, skerry: { version: '9.0.0' }, more: [] })),
    path: '/document/version',
    says: /is 2: a newer Skerry \(9\.0\.0\) wrote the file, and this one reads version 1/,
  },
  {
    name: 'of a version that there never was',
    bytes: () => edited(({ document }) => void Object.assign(document, { version: 0 })),
    path: '/document/version',
    says: /which no Skerry has written/,
  },
  {
    name: 'in which a size was changed',
    bytes: () => edited(({ document }) => void Object.assign(document.databases[0]?.body.nodes.disk ?? {}, { size: '32Gi' })),
    path: '/digest',
    says: /damaged, or changed by hand/,
  },
  {
    name: 'with the signature of another document',
    bytes: async () => {
      const other = JSON.parse((await writeRegionFile(regionContent([]), { key })).bytes.toString()) as RegionFile
      return edited((file) => ({ ...file, signature: other.signature }))
    },
    path: '/signature',
    says: /has not signed this document/,
  },
  {
    name: 'that names another key than the one that signed',
    bytes: () =>
      edited((file) => ({ ...file, signature: { jws: file.signature?.jws, jwk: { kty: 'OKP', crv: 'Ed25519', x: makeKey().x } } })),
    path: '/signature',
    says: /has not signed/,
  },
  {
    name: 'with a key that is no point of the curve',
    bytes: () =>
      edited((file) => ({ ...file, signature: { jws: file.signature?.jws, jwk: { kty: 'OKP', crv: 'Ed25519', x: '_'.repeat(43) } } })),
    path: '/signature',
    says: /has not signed/,
  },
  {
    name: 'as deep as a well',
    bytes: () => edited(({ document }) => void Object.assign(document, { tunnel: deep(100) })),
    path: `/document/tunnel${'/in'.repeat(30)}`,
    says: /more than 32 levels/,
  },
  {
    name: 'with a number that is none',
    bytes: async () => Buffer.from((await edited(() => undefined)).toString().replace('"fsType":"ext4"', '"fsType":1e400')),
    path: '/document/databases/0/volumes/0/spec/csi/fsType',
    says: /is larger than any number/,
  },
  {
    name: 'with a list that no file has',
    bytes: () => edited(({ document }) => void Object.assign(document, { backups: Array.from({ length: 20_001 }, () => ({})) })),
    path: '/document/backups',
    says: /has more than 20,000 members/,
  },
  {
    name: 'with a member twice',
    bytes: async () =>
      Buffer.from((await edited(() => undefined)).toString().replace('"fsType":"ext4"', '"fsType":"xfs","a":{"fsType":1},"fsType":"ext4"')),
    path: '/document/databases/0/volumes/0/spec/csi/fsType',
    says: /is given twice/,
  },
  {
    name: 'with a member twice, once in another spelling',
    bytes: async () => Buffer.from((await edited(() => undefined)).toString().replace('"digest":', '"\\u0064igest":"","digest":')),
    path: '/digest',
    says: /is given twice/,
  },
  {
    name: 'with a prototype',
    bytes: async () => Buffer.from((await edited(() => undefined)).toString().replace('"csi":{', '"csi":{"__proto__":{"driver":"x"},')),
    path: '/document/databases/0/volumes/0/spec/csi/__proto__',
    says: /is not allowed as a name/,
  },
  {
    name: 'with a volume for the claim of another database',
    bytes: async () => {
      const database = exportedDatabase('harbour', 'tidal-gauge')
      Object.assign(database.volumes[0]?.spec.claimRef ?? {}, { name: 'data0-crate-data-hot-another-0' })
      return (await writeRegionFile(regionContent([database]), { key })).bytes
    },
    path: '/document/databases/0/volumes/0/spec/claimRef/name',
    says: /must be a data claim of tidal-gauge/,
  },
  {
    name: 'with a volume for the claim of a database whose name ends like its own',
    bytes: async () => {
      const database = exportedDatabase('harbour', 'tidal-gauge')
      Object.assign(database.volumes[0]?.spec.claimRef ?? {}, { name: 'data0-crate-data-hot-north-tidal-gauge-0' })
      return (await writeRegionFile(regionContent([database]), { key })).bytes
    },
    path: '/document/databases/0/volumes/0/spec/claimRef/name',
    says: /must be a data claim of tidal-gauge/,
  },
  {
    name: 'with a volume in a namespace that is no project',
    bytes: async () => {
      const database = exportedDatabase('harbour', 'tidal-gauge')
      Object.assign(database.volumes[0]?.spec.claimRef ?? {}, { namespace: 'kube-system' })
      return (await writeRegionFile(regionContent([database]), { key })).bytes
    },
    path: '/document/databases/0/volumes/0/spec/claimRef/namespace',
    says: /must be project-harbour/,
  },
  {
    name: 'with two databases over one volume',
    bytes: async () => {
      const [one, other] = [exportedDatabase('harbour', 'tidal-gauge'), exportedDatabase('harbour', 'lock-gate')]
      Object.assign(other.volumes[2]?.metadata ?? {}, { name: csiVolume('harbour', 'tidal-gauge', 1).metadata.name })
      return (await writeRegionFile(regionContent([one, other]), { key })).bytes
    },
    path: '/document/databases/1/volumes/2/metadata/name',
    says: /is given twice: also at \/document\/databases\/0\/volumes\/1/,
  },
  {
    name: 'with a database of a project that it does not have',
    bytes: async () => (await writeRegionFile({ ...regionContent(), projects: [] }, { key })).bytes,
    path: '/document/databases/0/project',
    says: /is not one of the projects/,
  },
]

for (const { name, bytes, path, says } of hostile) {
  test(`a region file ${name} is refused, with the reason`, async () => {
    const read = await readRegionFile(await bytes())
    assert.equal(read.ok, false, 'it was read')
    const [first] = read.ok ? [] : read.faults
    assert.equal(first?.path, path)
    assert.match(first?.message ?? '', says)
  })
}

test('reading a large region file ends as soon as nobody waits for it', async () => {
  const { bytes } = await writeRegionFile(
    regionContent(Array.from({ length: 200 }, (_, index) => exportedDatabase('harbour', `gauge-${index}`))),
  )
  await assert.rejects(readRegionFile(bytes, { signal: AbortSignal.abort(new Error('gone')) }), /gone/)
})
