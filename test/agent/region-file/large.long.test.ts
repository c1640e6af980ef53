import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { CanonicalText, canonicalText } from '../../../agent/region-file/canonical.ts'
import { readImport } from '../../../agent/region-file/import/reading.ts'
import { readRegionFile } from '../../../agent/region-file/reading.ts'
import { regionFileBounds } from '../../../agent/region-file/schema.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
import { volumeManifestOf } from '../../../agent/resources/volume-manifest.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import { csiVolume, exportedDatabase, regionContent } from './region-sample.ts'

/** Databases of three nodes, made while they are written, with names that no two have in common. */
function* databases(count: number): Generator<CanonicalText> {
  for (let index = 0; index < count; index++) {
    const id = `gauge-${index}-${randomUUID().slice(0, 8)}`
    const names = [0, 1, 2].map((node) => ({
      node,
      name: `pvc-${randomUUID()}`,
      handle: `0001-0009-rook-ceph-0000000000000002-${randomUUID()}`,
    }))
    const volumes = names.map(({ node, ...given }) => volumeManifestOf(csiVolume('harbour', id, node, given)))
    yield new CanonicalText(canonicalText({ ...exportedDatabase('harbour', id), volumes }))
  }
}

const write = (count: number) => writeRegionFile({ ...regionContent([]), databases: databases(count) }, { key: makeKey() })

test('a database of three nodes takes less than 5 kB of the file, and less than 250 bytes of what is sent', async () => {
  const [few, many] = [await write(100), await write(1_100)]
  const [bytes, packed] = [many, few].map(({ bytes }) => [bytes.length, gzipSync(bytes).length] as const) as [
    [number, number],
    [number, number],
  ]
  const each = [0, 1].map((which) => ((bytes[which as 0 | 1] ?? 0) - (packed[which as 0 | 1] ?? 0)) / 1_000)
  assert.ok((each[0] ?? 0) < 5_000 && (each[1] ?? 0) < 250, `${each}`)
})

/** Reads a file in a process of its own. Prints what it took. */
const reader = `
import { readFile } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'
const { readRegionFile } = await import('./agent/region-file/reading.ts')
const bytes = await readFile(process.argv[1])
const delay = monitorEventLoopDelay({ resolution: 5 })
const before = process.memoryUsage().rss
delay.enable()
const began = performance.now()
const read = await readRegionFile(bytes)
const seconds = (performance.now() - began) / 1000
const { maxRSS } = process.resourceUsage()
const { faults } = read.ok ? {} : read
console.log(JSON.stringify({ ok: read.ok, faults, count: read.ok && read.document.databases.length, seconds, heldMs: delay.max / 1e6, grownMiB: maxRSS / 1024 - before / 2 ** 20 }))
`

async function readElsewhere(path: string) {
  // V8 takes the half of what a pod may have.
  const child = spawn(process.execPath, ['--max-old-space-size=256', '--input-type=module', '-e', reader, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  return JSON.parse(out)
}

test('a file of 10,000 databases is written and read within bounds of time and memory, and lets others have their turn', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-large-'))
  t.after(() => rm(folder, { recursive: true }))
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const began = performance.now()
  const { bytes } = await write(regionFileBounds.entries)
  const seconds = (performance.now() - began) / 1000
  const heldMs = delay.max / 1e6
  t.diagnostic(`written: ${bytes.length >> 20} MiB in ${seconds.toFixed(1)} s, others waited ${heldMs.toFixed(0)} ms at the most`)
  assert.ok(bytes.length < regionFileBounds.bytes, `${bytes.length >> 20} MiB`)
  assert.ok(seconds < 60, `${seconds} s`)
  await writeFile(join(folder, 'region.json'), bytes)
  const took = await readElsewhere(join(folder, 'region.json'))
  t.diagnostic(
    `read in ${took.seconds.toFixed(1)} s and ${took.grownMiB.toFixed(0)} MiB, others waited ${took.heldMs.toFixed(0)} ms at the most`,
  )
  assert.deepEqual([took.ok, took.count], [true, regionFileBounds.entries])
  assert.ok(took.seconds < 60, `${took.seconds} s`)
  // The limit of the pod is 512 MiB.
  assert.ok(took.grownMiB < 400, `${took.grownMiB} MiB`)
})

test('one database too many, and one byte too many, are refused at once', async () => {
  const many = { ...regionContent([]), databases: Array.from({ length: regionFileBounds.entries + 1 }, () => ({})) }
  const read = await readRegionFile((await writeRegionFile(many)).bytes)
  assert.equal(read.ok, false)
  assert.deepEqual(read.ok ? [] : read.faults, [{ path: '/document/databases', message: 'must have at most 10000 items' }])
  const tooLarge = Buffer.alloc(regionFileBounds.bytes + 1, '[')
  const before = process.cpuUsage()
  const large = await readRegionFile(tooLarge)
  const { user, system } = process.cpuUsage(before)
  assert.ok(user + system < 1_000_000, `${user + system} µs of processor time`)
  assert.match(large.ok ? '' : (large.faults[0]?.message ?? ''), /is larger than 64 MiB/)
})

test('a hostile file with a fault in every byte ends soon, and tells a hundred of them', async () => {
  for (const text of [
    `{"document":{"kind":"SkerryRegion","version":1,"databases":[${'{"a":1},'.repeat(9_999)}{}]}}`,
    `{"document":{"kind":"SkerryRegion","version":1,"tunnel":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}}`,
    `{"document":{"kind":"SkerryRegion","version":1,"backups":[${'[],'.repeat(1_000_000)}[]]}}`,
    `{"document":{"kind":"SkerryRegion","version":1,${Array.from({ length: 100_000 }, (_, index) => `"m${index}":1`).join()}}}`,
  ]) {
    const began = performance.now()
    const read = await readRegionFile(Buffer.from(text))
    assert.equal(read.ok, false)
    assert.ok(!read.ok && read.faults.length <= 100)
    assert.ok(performance.now() - began < 20_000, `${text.slice(0, 60)}: ${performance.now() - began} ms`)
  }
})

test('a file that would unfold to gigabytes is refused before it does', async () => {
  // 64 KiB of it, packed. Twenty million empty lists took 3.6 GB.
  const text = Buffer.from(`{"document":{"kind":"SkerryRegion","version":1,"components":[${'[],'.repeat(21_000_000)}[]]}}`)
  const before = process.memoryUsage().heapTotal
  const read = await readRegionFile(text)
  assert.deepEqual(read.ok ? [] : read.faults, [{ path: '', message: 'has more than 3,000,000 values, which no region file has' }])
  assert.ok(process.memoryUsage().heapTotal - before < 100 * 1024 * 1024)
})

const times = (count: number, make: (index: number) => string) => Array.from({ length: count }, (_, index) => make(index)).join()

// Most of them took 300 to 650 MiB. A pod has 512, of which the heap gets 256.
const unfolding = [
  { name: 'no two objects with the same names', text: times(290_000, (at) => `{${times(9, (index) => `"${at}-${index}":1`)}}`) },
  {
    name: 'the same names in every order',
    text: times(290_000, (at) => `{${times(9, (index) => `"k${(at >> (2 * index)) % 53}-${index}":1`)}}`),
  },
  { name: 'objects of millions of names', text: `{${times(2_900_000, (index) => `"${index.toString(36)}":1`)}}` },
  { name: 'names that are numbers', text: times(1_450_000, () => '{"30":1}') },
  { name: 'millions of objects', text: times(1_450_000, () => '{"a":{}}') },
  { name: 'millions of levels', text: `${'{"a":'.repeat(2_900_000)}1${'}'.repeat(2_900_000)}` },
]
for (const { name, text } of unfolding)
  test(`a file with ${name} is refused before it takes memory`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'skerry-large-'))
    t.after(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'region.json'), `{"document":{"kind":"SkerryRegion","version":1,"components":[${text}]}}`)
    const took = await readElsewhere(join(folder, 'region.json'))
    t.diagnostic(`${took.grownMiB.toFixed(0)} MiB: ${took.faults?.[0]?.message}`)
    assert.match(took.faults?.[0]?.message ?? '', /which no region file has$|^is no region file: it has more than 1,000 levels$/)
    assert.ok(took.grownMiB < 150, `${took.grownMiB} MiB`)
  })

test('the names of 20,000 secrets, of databases that stand and of deleted ones, are no hostile file', async () => {
  const file = (await write(regionFileBounds.entries)).bytes.toString().trim()
  const ids = Array.from({ length: regionFileBounds.entries }, (_, index) => `gauge-${index}`)
  const secrets = {
    kind: 'SkerryRegionSecrets',
    version: 1,
    databases: Object.fromEntries(ids.map((id) => [`harbour/${id}`, { 'users.0.password': 'tide', 'backups.secretAccessKey': 'tide' }])),
    retained: Object.fromEntries(
      ids.map((id) => [`${id}.3f9a01bc`, Object.fromEntries([0, 1, 2, 3, 4].map((each) => [`${id}-secret-${each}`, 'tide']))]),
    ),
  }
  const read = await readImport(Buffer.from(`{"file":${file},"secrets":${JSON.stringify(secrets)}}`))
  assert.ok(read.ok, JSON.stringify(read))
})

test('brackets and commas in texts are no values', async () => {
  const texts = Array.from({ length: 100 }, () => `${'\\'.repeat(3)}"${'[{,'.repeat(20_000)}`)
  const { bytes } = await writeRegionFile({ ...regionContent([]), leftOut: texts.map((what) => ({ what: what.slice(0, 500), why: '' })) })
  assert.ok((await readRegionFile(bytes)).ok)
  const long = { ...regionContent([]), components: texts.map((name) => ({ name })) }
  const read = await readRegionFile((await writeRegionFile(long)).bytes)
  assert.match(read.ok ? '' : (read.faults[0]?.message ?? ''), /500 characters/)
})
