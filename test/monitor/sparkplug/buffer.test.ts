import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Change, type ChangeBuffer, createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import { sparkplugConfig } from '../../../monitor/sparkplug/config.ts'
import { createBuffer } from '../../../monitor/sparkplug/create-buffer.ts'
import { createDiskBuffer } from '../../../monitor/sparkplug/disk-buffer.ts'
import { logInHand } from './node-in-hand.ts'

const change = (value: Change['value']): Change => ({ device: 'd', name: 'm', value, timestamp: 5, quality: 192 })
const values = (buffer: ChangeBuffer, from = 0) => {
  const found: unknown[] = []
  for (let at = Math.max(from, buffer.start); at < buffer.end; ) {
    const entries = buffer.read(at, 7)
    if (entries.length === 0) throw new Error(`nothing is at ${at}, which is before ${buffer.end}`)
    for (const { index, change } of entries) {
      found.push(change.value)
      at = index + 1
    }
  }
  return found
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'skerry-buffer-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const kinds: [string, (t: TestContext, limit: number) => ChangeBuffer][] = [
  ['memory', (_t, limit) => createMemoryBuffer({ limit })],
  ['disk', (t) => createDiskBuffer({ directory: directoryFor(t), maxBytes: 2 ** 20, values: 20 }, { log: logInHand().log })],
]
for (const [kind, create] of kinds) {
  test(`a ${kind} buffer gives back what it got, in order, from any index on, until it is released`, (t) => {
    const buffer = create(t, 10_000)
    for (const value of range(0, 100)) assert.equal(buffer.append(change(value)), value)
    assert.deepEqual(values(buffer), range(0, 100))
    assert.deepEqual(values(buffer, 42), range(42, 100))
    buffer.release(33)
    assert.deepEqual([buffer.start, buffer.end], [33, 100])
    assert.deepEqual(values(buffer), range(33, 100))
    buffer.release(20)
    assert.equal(buffer.start, 33)
    for (const value of range(100, 3_000)) {
      buffer.append(change(value))
      buffer.release(value)
    }
    assert.deepEqual(values(buffer), [2999])
    buffer.release(buffer.end)
    assert.deepEqual([values(buffer), buffer.dropped], [[], 0])
  })
}

test('a full memory buffer drops the oldest and counts them', () => {
  const buffer = createMemoryBuffer({ limit: 50 })
  for (const value of range(0, 120)) buffer.append(change(value))
  assert.deepEqual([values(buffer), buffer.dropped, buffer.start], [range(70, 120), 70, 70])
})

test('a disk buffer keeps to its size, dropping the oldest and counting them', (t) => {
  const directory = directoryFor(t)
  const buffer = createDiskBuffer({ directory, maxBytes: 4_000, values: 200 }, { log: logInHand().log })
  for (const value of range(0, 2_000)) buffer.append(change(value))
  const kept = values(buffer)
  assert.deepEqual(kept, range(2_000 - kept.length, 2_000))
  assert.equal(buffer.dropped, 2_000 - kept.length)
  assert.ok(kept.length >= 100 && kept.length < 400, `${kept.length}`)
})

test('a disk buffer survives its process, values of all kinds and the place of a flush included', (t) => {
  const directory = directoryFor(t)
  const { log } = logInHand()
  const all = [1, -0.5, 2n ** 63n, 'text', true, null, Number.NaN, Number.POSITIVE_INFINITY]
  const first = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 8 }, { log })
  for (const value of all) first.append(change(value))
  first.save()
  const second = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 8 }, { log })
  assert.deepEqual(values(second), all)
  second.release(3)
  const third = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 8 }, { log })
  assert.deepEqual(values(third), all.slice(3))
  third.append(change('new'))
  assert.deepEqual(values(third), [...all.slice(3), 'new'])
  third.release(third.end)
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.jsonl')),
    [],
  )
})

test('how far a segment was sent is not held against the next one of its number', (t) => {
  const directory = directoryFor(t)
  const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })
  const outage = (count: number) => {
    const buffer = open()
    for (const value of range(0, count)) buffer.append(change(value))
    buffer.save()
  }
  outage(1_000)
  const flushed = open()
  flushed.release(900)
  assert.deepEqual(values(open()), range(900, 1_000))
  flushed.release(flushed.end)
  assert.deepEqual(readdirSync(directory), [])
  outage(800)
  assert.deepEqual(values(open()), range(0, 800))
})

const leftBehind: [string, string[]][] = [
  ['no segment is left', []],
  ['the oldest segment is another one', ['000000000002.jsonl']],
]
for (const [when, segments] of leftBehind)
  test(`a position that a crash left behind counts for nothing, and goes, when ${when}`, (t) => {
    const directory = directoryFor(t)
    const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })
    for (const name of segments) writeFileSync(path.join(directory, name), '["d","m","old",5,192,0]\n')
    writeFileSync(path.join(directory, 'position'), '000000000001.jsonl 900')
    const buffer = open()
    assert.deepEqual(readdirSync(directory), segments)
    for (const value of range(0, 800)) buffer.append(change(value))
    buffer.save()
    assert.deepEqual(values(open()), [...segments.map(() => 'old'), ...range(0, 800)])
  })

test('a position that can be neither read nor removed does no harm', (t) => {
  const directory = directoryFor(t)
  const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })
  const unreadable = path.join(directory, 'position')
  mkdirSync(path.join(unreadable, 'in the way'), { recursive: true })
  const buffer = open()
  for (const value of range(0, 10)) buffer.append(change(value))
  buffer.save()
  assert.deepEqual(values(open()), range(0, 10))
})

test('a segment that goes for want of room takes its position along', (t) => {
  const directory = directoryFor(t)
  const buffer = createDiskBuffer({ directory, maxBytes: 4_000, values: 200 }, { log: logInHand().log })
  for (const value of range(0, 200)) buffer.append(change(value))
  buffer.release(10)
  assert.ok(readdirSync(directory).includes('position'))
  for (const value of range(200, 1_000)) buffer.append(change(value))
  assert.ok(!readdirSync(directory).includes('position'))
})

test('lines that a damaged disk gives back are left out', (t) => {
  const directory = directoryFor(t)
  writeFileSync(
    path.join(directory, '000000000001.jsonl'),
    '["d","m",1,5,192,0]\nnot json\n["d","m",2,5,7,0]\n[1]\n["d","m",3,5,192,0]\n{"half',
  )
  assert.deepEqual(values(createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })), [1, 3])
})

const harms: [what: string, harm: (file: string) => void, kept: number[]][] = [
  ['removed by hand', (file) => rmSync(file), []],
  [
    'unreadable',
    (file) => {
      rmSync(file)
      mkdirSync(path.join(file, 'in the way'), { recursive: true })
    },
    [],
  ],
  ['cut short', (file) => writeFileSync(file, '["d","m",10,5,192,0]\n["d","m",11,5,192,0]\n'), [10, 11]],
]
for (const [what, harm, kept] of harms)
  for (const place of ['oldest', 'middle'] as const)
    test(`the ${place} segment ${what} is lost alone, and counted`, (t) => {
      const directory = directoryFor(t)
      const { log, lines } = logInHand()
      // Ten in a segment: with room for so few, they are not put together.
      const open = () => createDiskBuffer({ directory, maxBytes: 1_600, values: 40 }, { log })
      const buffer = open()
      const offset = place === 'oldest' ? 10 : 0
      for (const value of range(offset, 60)) buffer.append(change(value))
      const segment = readdirSync(directory).sort()[place === 'oldest' ? 0 : 1] as string
      harm(path.join(directory, segment))
      const expected = [...range(offset, 10), ...kept, ...range(20, 60)]
      assert.deepEqual(values(buffer), expected)
      assert.equal(buffer.dropped, 10 - kept.length)
      assert.deepEqual(values(buffer), expected)
      assert.ok(lines.filter(({ level }) => level === 50).length <= 1)
      buffer.save()
      assert.deepEqual(values(open()), expected)
      for (let at = buffer.start; at < buffer.end; at = buffer.start) buffer.release((buffer.read(at, 1)[0]?.index ?? buffer.end) + 1)
      assert.deepEqual([values(buffer), buffer.dropped], [[], 10 - kept.length])
    })

test('a segment that cannot be removed holds nothing up', (t) => {
  const directory = directoryFor(t)
  const { log, lines } = logInHand()
  const buffer = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40 }, { log })
  for (const value of range(0, 60)) buffer.append(change(value))
  values(buffer)
  for (const name of readdirSync(directory)) {
    rmSync(path.join(directory, name))
    mkdirSync(path.join(directory, name, 'in the way'), { recursive: true })
  }
  buffer.release(buffer.end)
  assert.deepEqual([values(buffer), buffer.start, buffer.dropped], [[], 60, 0])
  assert.equal(lines.filter(({ level }) => level === 50).length, 1)
})

test('a long outage makes few segments, whatever is brought to disk at once, and a restart in it finds all', (t) => {
  const directory = directoryFor(t)
  const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 24, values: 40_000 }, { log: logInHand().log })
  let buffer = open()
  for (const value of range(0, 4_000)) {
    buffer.append(change(value))
    if (value % 40 === 39) buffer.save()
    if (value % 1_000 === 999) {
      assert.deepEqual(values(buffer), range(0, value + 1))
      buffer = open()
    }
  }
  assert.ok(readdirSync(directory).length <= 2, `${readdirSync(directory).length} files`)
  assert.deepEqual(values(buffer), range(0, 4_000))
})

test('the segment that is being sent is not written anew', (t) => {
  const directory = directoryFor(t)
  const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })
  const buffer = open()
  for (const value of range(0, 10)) buffer.append(change(value))
  buffer.save()
  buffer.release(4)
  for (const value of range(10, 20)) buffer.append(change(value))
  buffer.save()
  assert.equal(readdirSync(directory).filter((name) => name.endsWith('.jsonl')).length, 2)
  assert.deepEqual(values(buffer), range(4, 20))
  assert.deepEqual(values(open()), range(4, 20))
})

test('what a crash left half written beside its place goes, and takes nothing with it', (t) => {
  const directory = directoryFor(t)
  const open = () => createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 40_000 }, { log: logInHand().log })
  const buffer = open()
  for (const value of range(0, 10)) buffer.append(change(value))
  buffer.save()
  const [segment] = readdirSync(directory)
  writeFileSync(path.join(directory, `${segment}.new`), '["d","m",0,5,192,0]\n["d"')
  assert.deepEqual(values(open()), range(0, 10))
  assert.deepEqual(readdirSync(directory), [segment])
})

test('a disk that cannot be written is said once, and memory keeps what fits', (t) => {
  const directory = directoryFor(t)
  const { log, lines } = logInHand()
  const buffer = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 100 }, { log })
  rmSync(directory, { recursive: true })
  for (const value of range(0, 1_000)) buffer.append(change(value))
  assert.deepEqual(values(buffer), range(900, 1_000))
  assert.equal(buffer.dropped, 900)
  assert.equal(lines.filter(({ level }) => level === 50).length, 1)
})

for (const place of ['memory', 'folder', 'folder that cannot be written'])
  test(`the configuration says how many values are in memory at most, with a ${place}`, (t) => {
    const directory = directoryFor(t)
    const given = { values: 200, maxSize: '1MiB', ...(place !== 'memory' && { directory }) }
    const { buffer: section } = sparkplugConfig.parse({ group: 'g', node: 'n', servers: [{ url: 'mqtt://broker' }], buffer: given })
    const buffer = createBuffer(section, { log: logInHand().log })
    if (place === 'folder that cannot be written') rmSync(directory, { recursive: true })
    for (const value of range(0, 2_000)) buffer.append(change(value))
    const isKept = place === 'folder'
    assert.deepEqual(values(buffer), range(isKept ? 0 : 1_800, 2_000))
    const lines = isKept
      ? readdirSync(directory).flatMap((name) => readFileSync(path.join(directory, name), 'utf8').trim().split('\n'))
      : []
    assert.ok(!isKept || (lines.length >= 1_800 && lines.length < 2_000), `${lines.length}`)
  })

test('many values in memory are written in segments of which the folder takes some', (t) => {
  const directory = directoryFor(t)
  const buffer = createDiskBuffer({ directory, maxBytes: 2 ** 20, values: 1_000_000 }, { log: logInHand().log })
  for (const value of range(0, 100_000)) buffer.append(change(value))
  assert.deepEqual(readdirSync(directory), [])
  buffer.save()
  const size = readdirSync(directory).reduce((sum, name) => sum + statSync(path.join(directory, name)).size, 0)
  assert.ok(size > 2 ** 19 && size <= 2 ** 20, `${size}`)
  assert.deepEqual(values(buffer).at(-1), 99_999)
})
