import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Exporter } from '../../../agent/export/exporter.ts'
import { type MadeRegionFile, type Place, PlaceFault, type PlaceName } from '../../../agent/export/places/place.ts'
import type { ExportState } from '../../../agent/export/state.ts'
import { createLog } from '../../../shared/log.ts'
import { createFakeClock, type FakeClock } from '../../shared/fake-clock.ts'
import { type LeaseInHand, leaseInHand } from '../controllers/region.ts'

const [minute, hour] = [60_000, 3_600_000]
const day = 24 * hour

/** A place that a test looks into. */
class PlaceInHand implements Place {
  readonly name: PlaceName
  readonly written: string[] = []
  fault: Error | undefined
  waiting: string | undefined
  rest = 0
  attempts = 0
  /** What a write waits for. */
  gate: Promise<void> = Promise.resolve()
  /** Of each write, whether it was the first one of this cluster. */
  readonly first: (boolean | undefined)[] = []

  constructor(name: PlaceName) {
    this.name = name
  }
  waits() {
    return this.waiting
  }
  pauseMs() {
    return this.rest
  }
  async write({ content }: MadeRegionFile, signal: AbortSignal, isFirst?: boolean): Promise<void> {
    this.attempts++
    this.first.push(isFirst)
    await Promise.race([this.gate, new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))])
    if (this.fault) throw this.fault
    this.written.push(content)
  }
}

type Region = {
  content: string
  made: number
  state: ExportState
  writes: number
  isClosed: boolean
  leftOut: { what: string; why: string }[]
  clock: FakeClock
}

/** A region whose content a test changes, and what a leader knows of its places. Two exporters over one are two replicas. */
function regionInHand(clock = createFakeClock()): Region {
  return { content: 'a', made: 0, state: {}, writes: 0, isClosed: false, leftOut: [], clock }
}

async function start(t: TestContext, region: Region, places: Place[], { leads = true, random = 0 } = {}) {
  const { clock } = region
  const lease: LeaseInHand = leaseInHand(leads)
  const lines: Record<string, unknown>[] = []
  let changed = () => {}
  const exporter = new Exporter(
    { debounceMs: minute, everyMs: day },
    {
      make: async () => {
        region.made++
        const { content, leftOut } = region
        const createdAt = new Date(clock.now()).toISOString()
        return { bytes: Buffer.from(content), digest: content, content, region: 'harbour-1', createdAt, leftOut, isEmpty: content === '' }
      },
      places,
      state: {
        read: () => region.state,
        write: async (state) => {
          region.writes++
          if (region.isClosed) throw new Error('forbidden')
          region.state = structuredClone(state)
        },
      },
      subscribe: (listener) => {
        changed = listener
        return []
      },
      lease,
      clock,
      random: () => random,
      log: createLog({ level: 'debug', name: 'test', destination: { write: (line) => void lines.push(JSON.parse(line)) } }),
    },
  )
  await exporter.start()
  t.after(() => exporter.stop())
  const change = (content: string) => {
    region.content = content
    changed()
  }
  return { exporter, lease, lines, change, changed: () => changed() }
}

test('the file is written a minute after the start, and a minute after something in it has changed, however much changes meanwhile', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  const { change } = await start(t, region, [place])
  await region.clock.advance(minute - 1)
  assert.deepEqual(place.written, [])
  await region.clock.advance(1)
  assert.deepEqual(place.written, ['a'])
  await region.clock.advance(hour)
  for (const content of ['b', 'c', 'd']) {
    change(content)
    await region.clock.advance(10_000)
  }
  assert.deepEqual(place.written, ['a'])
  await region.clock.advance(30_000)
  assert.deepEqual(place.written, ['a', 'd'])
  assert.equal(region.made, 2)
})

test('changes without an end do not put the file off', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  const { change } = await start(t, region, [place])
  for (let step = 0; step < 20; step++) {
    change(`content ${step}`)
    await region.clock.advance(10_000)
  }
  assert.equal(place.written.length, 3)
})

test('a file that says nothing new is not written again, and the one that is there is confirmed', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  const { changed } = await start(t, region, [place])
  await region.clock.advance(minute)
  const { writtenAt } = region.state.file?.file ?? {}
  await region.clock.advance(hour)
  changed()
  await region.clock.advance(minute)
  assert.deepEqual(place.written, ['a'])
  assert.equal(region.made, 2)
  assert.equal(region.state.file?.file?.writtenAt, writtenAt)
  assert.equal(region.state.file?.file?.confirmedAt, new Date(region.clock.now()).toISOString())
})

test('once a day the file is written although nothing has changed', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  await start(t, region, [place])
  await region.clock.advance(minute + 3 * day)
  assert.deepEqual(place.written, ['a', 'a', 'a', 'a'])
})

test('regions that were started in the same second do not write in the same second, and not a day later either', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  await start(t, region, [place], { random: 0.5 })
  await region.clock.advance(minute)
  assert.equal(place.attempts, 0)
  await region.clock.advance(minute / 2)
  assert.equal(place.attempts, 1)
  await region.clock.advance(day - hour / 2 - 1)
  assert.equal(place.attempts, 1)
  await region.clock.advance(1)
  assert.equal(place.attempts, 2)
})

test('a place that fails is tried again, later each time, and is nothing to the others', async (t) => {
  const region = regionInHand()
  const [bucket, file] = [new PlaceInHand('bucket'), new PlaceInHand('file')]
  bucket.fault = new PlaceFault('The store is full. Make room in it.')
  const { change, lines } = await start(t, region, [bucket, file], { random: 0.99 })
  await region.clock.advance(2 * minute)
  assert.deepEqual(file.written, ['a'])
  const { failing } = region.state.bucket ?? {}
  assert.equal(failing?.message, 'The store is full. Make room in it.')
  const since = failing?.since
  await region.clock.advance(6 * hour)
  assert.ok(bucket.attempts > 8 && bucket.attempts < 20, `${bucket.attempts} attempts in 6 h`)
  assert.equal(region.state.bucket?.failing?.since, since)
  assert.equal(lines.filter(({ msg }) => msg === 'the file of the region could not be written').length, 1, 'told once')
  const before = bucket.attempts
  change('b')
  await region.clock.advance(2 * minute)
  assert.deepEqual(file.written, ['a', 'b'])
  assert.ok(bucket.attempts <= before + 1, 'a change does not make it impatient')
  bucket.fault = undefined
  await region.clock.advance(hour)
  assert.deepEqual(bucket.written, ['b'])
  assert.equal(region.state.bucket?.failing, undefined)
})

test('a place that asks to be left alone is left alone, an hour at the most', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('cloud')]
  place.fault = new PlaceFault('The cloud answered 503.', { retryAfterMs: 90 * day })
  await start(t, region, [place])
  await region.clock.advance(minute)
  assert.equal(place.attempts, 1)
  await region.clock.advance(hour - minute - 1_000)
  assert.equal(place.attempts, 1)
  await region.clock.advance(minute + 1_000)
  assert.equal(place.attempts, 2)
})

test('what went wrong for a reason that nobody expected is in the log, and not in the state', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  place.fault = new TypeError('the password is hunter2')
  const { lines } = await start(t, region, [place])
  await region.clock.advance(minute)
  assert.doesNotMatch(JSON.stringify(region.state), /hunter2/)
  assert.match(JSON.stringify(lines), /hunter2/)
})

test('a cloud that the region has not joined yet is no fault, and gets the file within a minute once it has', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('cloud')]
  place.waiting = 'The region has not joined its cloud.'
  await start(t, region, [place])
  await region.clock.advance(hour)
  assert.deepEqual(region.state, { cloud: {} })
  place.waiting = undefined
  await region.clock.advance(minute)
  assert.deepEqual(place.written, ['a'])
})

test('a link that is paid by the megabyte gets a change later, and the first file at once', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('cloud')]
  place.rest = hour
  const { change } = await start(t, region, [place])
  await region.clock.advance(minute)
  assert.deepEqual(place.written, ['a'])
  await region.clock.advance(10 * minute)
  change('b')
  await region.clock.advance(48 * minute)
  assert.deepEqual(place.written, ['a'])
  await region.clock.advance(3 * minute)
  assert.deepEqual(place.written, ['a', 'b'])
})

test('of two replicas only the one that leads writes, and the next leader writes nothing that the last one has written', async (t) => {
  const region = regionInHand()
  const [first, second] = [new PlaceInHand('file'), new PlaceInHand('file')]
  const leader = await start(t, region, [first])
  const other = await start(t, region, [second], { leads: false })
  await region.clock.advance(hour)
  assert.deepEqual([first.written, second.written], [['a'], []])
  leader.lease.set(false)
  other.lease.set(true)
  await region.clock.advance(hour)
  assert.deepEqual([first.written, second.written], [['a'], []])
  other.change('b')
  await region.clock.advance(minute)
  assert.deepEqual([first.written, second.written], [['a'], ['b']])
})

test('a leader that has lost the Lease while it wrote notes nothing down', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  let open = () => {}
  place.gate = new Promise((resolve) => {
    open = resolve
  })
  const { lease } = await start(t, region, [place])
  await region.clock.advance(minute)
  lease.set(false)
  open()
  await region.clock.advance(1)
  assert.equal(region.writes, 0)
})

test('a region that was just installed again writes no empty file over what is left of the one before', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  region.content = ''
  const { change } = await start(t, region, [place])
  await region.clock.advance(2 * day)
  assert.deepEqual(place.written, [])
  change('a')
  await region.clock.advance(minute)
  change('')
  await region.clock.advance(minute)
  assert.deepEqual(
    [place.written, place.first],
    [
      ['a', ''],
      [true, false],
    ],
    'one that it has emptied itself is told',
  )
})

test('what is left out of the file is told once, and again once it was in it', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  region.leftOut = [{ what: 'projects not.an.id', why: 'id must be …' }]
  const { change, lines } = await start(t, region, [place])
  const told = () => lines.filter(({ msg }) => msg === 'something of the region is not in its file').length
  await region.clock.advance(minute)
  change('b')
  await region.clock.advance(minute)
  assert.equal(told(), 1)
  region.leftOut = []
  change('c')
  await region.clock.advance(minute)
  region.leftOut = [{ what: 'projects not.an.id', why: 'id must be …' }]
  change('d')
  await region.clock.advance(minute)
  assert.equal(told(), 2)
})

test('that it cannot be noted down where the file is, is no reason to write it again', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  region.isClosed = true
  const { changed, lines } = await start(t, region, [place])
  await region.clock.advance(minute)
  for (let look = 0; look < 5; look++) {
    changed()
    await region.clock.advance(10 * minute)
  }
  assert.deepEqual(place.written, ['a'])
  assert.match(JSON.stringify(lines), /could not be noted down/)
  region.isClosed = false
  changed()
  await region.clock.advance(minute)
  assert.equal(region.state.file?.file?.content, 'a')
})

test('a stop gives up the file that is being written', async (t) => {
  const [region, place] = [regionInHand(), new PlaceInHand('file')]
  place.gate = new Promise(() => {})
  const { exporter } = await start(t, region, [place])
  await region.clock.advance(minute)
  assert.equal(place.attempts, 1)
  await exporter.stop()
  assert.deepEqual(place.written, [])
  assert.equal(region.writes, 0)
})
