import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createFileSender } from '../../../agent/cloud/file-sender.ts'
import type { Link } from '../../../agent/cloud/link.ts'
import { Pusher } from '../../../agent/cloud/status/pusher.ts'
import type { Transport } from '../../../agent/cloud/transport.ts'
import { createUndiciTransport } from '../../../agent/cloud/undici-transport.ts'
import { cloudPlace } from '../../../agent/export/places/cloud.ts'
import { PlaceFault } from '../../../agent/export/places/place.ts'
import { writeRegionFile } from '../../../agent/region-file/writing.ts'
import { createLog } from '../../../shared/log.ts'
import { askingForPatience, type Fault, faultsOfTheAnswer, faultsOfTheLine, lies, redirectTo } from '../../cloud/faults.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { tokenWith, World } from '../../cloud/world.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { regionContent } from '../region-file/region-sample.ts'

let served: ServedCloud
/** Another origin, and what it has heard. */
const stranger = createServer((request, response) => {
  heardElsewhere.push(JSON.stringify([request.url, request.headers]))
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
})
const heardElsewhere: string[] = []
let elsewhere: string
let tokens = 0
const clock = createFakeClock()

before(async () => {
  served = await serveCloud(() => clock.now())
  await served.cloud.publish({ anchors: [served.ca] })
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
  elsewhere = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`
})

after(async () => {
  await served.close()
  stranger.closeAllConnections()
  await new Promise((resolve) => stranger.close(resolve))
})

/** A region with the agent's own transport, over real sockets. */
class Region {
  readonly world: World
  link: Link
  readonly #transports: Transport[] = []
  #timeoutMs = 10_000
  #pusher: Pusher

  constructor() {
    this.world = new World({ clock, cloud: served.cloud, connect: () => this.#connect() })
    this.world.give(tokenWith({ id: `t${tokens++}` }))
    this.link = this.world.link()
    this.#pusher = this.#pusherOf(this.link)
  }

  #connect(): Transport {
    const transport = createUndiciTransport({ url: served.origin, ca: served.ca, timeoutMs: this.#timeoutMs, clock })
    this.#transports.push(transport)
    return transport
  }

  #pusherOf(link: Link): Pusher {
    const destination = { write: (line: string) => void this.world.lines.push(JSON.parse(line)) }
    return new Pusher(60_000, {
      session: () => link.session(),
      read: () => ({ id: 'harbour-1', parts: {} }),
      cloudClock: () => link.cloudClock,
      clock,
      random: () => 0.5,
      answered: async () => {},
      refused: () => link.doubt(),
      log: createLog({ level: 'debug', name: 'test', destination }),
    })
  }

  /** Another process becomes the leader. */
  restart(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs
    this.link = this.world.link()
    this.#pusher = this.#pusherOf(this.link)
  }

  push(): Promise<number | undefined> {
    return this.#pusher.push()
  }

  /** Why its file could not be given to the cloud, the last time. */
  fileFault: string | undefined

  /** Gives the cloud its file. @returns the shortest pause before another attempt, in milliseconds */
  async send(): Promise<number> {
    const sender = createFileSender({ session: () => this.link.session(), refused: () => this.link.doubt() })
    const file = await writeRegionFile(regionContent(), { key: this.world.content.state?.key })
    const made = { ...file, region: 'harbour-1', createdAt: '2026-01-31T12:00:00.000Z', isEmpty: false }
    this.fileFault = undefined
    try {
      await cloudPlace({ sender, meter: { profile: 'normal' } }).write(made, new AbortController().signal)
      return 1_000
    } catch (error) {
      if (!(error instanceof PlaceFault)) throw error
      this.fileFault = error.message
      return Math.min(bounds.pauseMs, Math.max(1_000, error.retryAfterMs ?? 0))
    }
  }

  /** Joins, and is heard. */
  async arrive(): Promise<void> {
    await this.world.until(this.link, 'Ready')
    await this.push()
    assert.ok(this.#pusher.isHeard)
  }

  async close(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close()))
  }
}

type Stage = {
  /** What comes before the fault, at the end of which another process begins, with that time-out. */
  come: (region: Region, timeoutMs: number) => Promise<void>
  /** What meets the fault. @returns the pause after it, in milliseconds */
  meet: (region: Region) => Promise<number | undefined>
  /** What the region says then. */
  said: (region: Region) => { reason?: unknown; message: string }
}

const ofRegistration = ({ world }: Region) => ({ reason: world.content.status?.reason, message: world.content.status?.message ?? '' })

const stages: Record<string, Stage> = {
  'when a region joins': {
    async come(region, timeoutMs) {
      region.restart(timeoutMs)
      assert.equal(await region.link.step(), 0, 'it has a key')
    },
    meet: ({ link }) => link.step(),
    said: ofRegistration,
  },
  'when a region renews': {
    async come(region, timeoutMs) {
      await region.arrive()
      await clock.advance(2_500_000)
      region.restart(timeoutMs)
    },
    meet: ({ link }) => link.step(),
    said: ofRegistration,
  },
  'when a region tells its status': {
    async come(region, timeoutMs) {
      await region.arrive()
      region.restart(timeoutMs)
      assert.notEqual(await region.link.step(), 0, 'it has nothing else to do')
    },
    meet: (region) => region.push(),
    said({ world }) {
      const line = world.lines.findLast(({ msg }) => msg === 'the cloud does not hear the region')
      return { message: String(line?.message) }
    },
  },
}

/** The file is a matter of its own: it costs the region nothing when the cloud does not take it. */
const sending = 'when a region sends its file'
stages[sending] = {
  async come(region, timeoutMs) {
    await region.arrive()
    region.restart(timeoutMs)
    assert.notEqual(await region.link.step(), 0, 'it has nothing else to do')
  },
  meet: (region) => region.send(),
  said: (region) => ({ message: String(region.fileFault) }),
}

/** A pause is an hour at the longest, with the part of it that spreads regions that were all asked to wait. */
const bounds = { bytes: 80 * 2 ** 20, seconds: 10, pauseMs: 3_600_000 }

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Meets a fault, within bounds of memory and time. */
async function met(region: Region, meet: Stage['meet']): Promise<number | undefined> {
  // The garbage of the fault before is none of this one's.
  collectGarbage()
  const memory = process.memoryUsage()
  const began = performance.now()
  const pauseMs = await meet(region)
  const seconds = (performance.now() - began) / 1000
  const now = process.memoryUsage()
  const grown = now.arrayBuffers + now.external - memory.arrayBuffers - memory.external
  // A busy machine may be slow, but a region that waits for the end of a flood or of a drip waits much longer than this.
  assert.ok(seconds < bounds.seconds, `took ${seconds} s`)
  assert.ok(grown < bounds.bytes, `holds ${grown >> 20} MiB more`)
  return pauseMs
}

type Expected = { reasons: readonly string[]; message: RegExp; pauseSeconds?: number; timeoutMs?: number }

/** What no answer about the file is asked for is not read there. */
const unread = ['answers with thousands of tags', 'answers with a name that moves the cursor']

function hostile(name: string, fault: () => Fault, { reasons, message, pauseSeconds = 0, timeoutMs = 10_000 }: Expected): void {
  for (const [when, { come, meet, said }] of Object.entries(stages)) {
    if (when === sending && unread.includes(name)) continue
    test(`a cloud that ${name} ${when} is named, and the region stays itself`, async (t) => {
      const region = new Region()
      t.after(async () => {
        served.fault = undefined
        await region.close()
      })
      await come(region, timeoutMs)
      const before = structuredClone(region.world.content.state)
      served.fault = fault()
      const pauseMs = await met(region, meet)
      const found = said(region)
      if (found.reason !== undefined) assert.ok(reasons.includes(String(found.reason)), `${found.reason}: ${found.message}`)
      assert.match(found.message, message)
      assert.ok(found.message.length < 600, `${found.message.length} characters`)
      assert.doesNotMatch(found.message, /\p{Cc}/u)
      assert.ok(pauseMs !== undefined && pauseMs >= pauseSeconds * 1000 && pauseMs <= bounds.pauseMs, `a pause of ${pauseMs} ms`)
      const state = region.world.content.state
      assert.deepEqual(state?.key, before?.key)
      assert.deepEqual(state?.joined, before?.joined, 'nothing of the answer was taken')
      assert.deepEqual(heardElsewhere, [])
      served.fault = undefined
      await clock.advance(bounds.pauseMs)
      region.restart(10_000)
      await region.arrive()
      if (before?.joined) assert.equal(region.world.content.status?.id, before.joined.id)
    })
  }
}

const silent = { reasons: ['Unreachable'], message: /^The cloud does not answer/, timeoutMs: 100 }
const unreachable = { reasons: ['Unreachable'], message: /^The cloud does not answer/ }
const garbled = (message: RegExp) => ({ reasons: ['InvalidAnswer'], message })
const ofTheLine: Record<keyof typeof faultsOfTheLine, Expected> = {
  'says nothing': { ...silent, message: /does not answer within 0\.1 s/ },
  'hangs up at once': unreachable,
  'loses its answer': unreachable,
  'cuts its answer': unreachable,
  'ends its answer in the middle': garbled(/JSON that is cut or damaged/),
  'drips its answer': silent,
  'drips interim answers': silent,
  'sends 100 MiB of JSON': garbled(/more than 512 KiB/),
  'sends a head without an end': garbled(/is not HTTP/),
  'sends garbage': garbled(/is not HTTP/),
}
for (const [name, fault] of Object.entries(faultsOfTheLine)) hostile(name, () => fault, ofTheLine[name as keyof typeof faultsOfTheLine])

const ofTheAnswer: Record<keyof typeof faultsOfTheAnswer, Expected> = {
  'answers in HTML': garbled(/200 with text\/html, not with JSON/),
  'answers without a content type': garbled(/200 with no content type/),
  'answers with nothing': garbled(/is invalid/),
  'answers JSON of another shape': garbled(/is invalid/),
  'answers 500 KiB of arrays in each other': garbled(/is invalid|cut or damaged/),
  'answers with a prototype': garbled(/is invalid/),
  'answers compressed': garbled(/cut or damaged/),
  'answers with thousands of tags': garbled(/\/tags: must be at most 64/),
  'answers with a name that moves the cursor': garbled(/\/name: must be one line/),
  'refuses for no reason': garbled(/418 without a class/),
}
for (const [name, fault] of Object.entries(faultsOfTheAnswer))
  hostile(name, () => fault, ofTheAnswer[name as keyof typeof faultsOfTheAnswer])

const ofLies: Record<keyof typeof lies, Expected> = {
  'answers for another region': garbled(/about another region|for another region|acknowledged status 4503599627370496|stored another file/),
  'answers for another key': garbled(/about another region|acknowledged status 0|stored another file/),
  'answers with an older number': garbled(/is old|is signed, but invalid|acknowledged status \d+, not \d+|stored another file/),
  'signs with another key': { reasons: ['KeyChanged'], message: /not signed with a key|signs with a key that|\/acknowledged|\/stored/ },
  'has a clock of 1970': garbled(/\/now/),
  'has a clock of no year': garbled(/\/now/),
}
for (const [name, fault] of Object.entries(lies)) hostile(name, () => fault, ofLies[name as keyof typeof lies])

for (const [name, { fault, seconds }] of Object.entries(askingForPatience))
  hostile(name, () => fault, { reasons: ['Busy'], message: /The cloud answered (429|50[23])\.$/, pauseSeconds: seconds })

for (const status of [301, 302, 303, 307, 308] as const)
  hostile(`redirects with ${status}`, () => redirectTo(elsewhere, status), garbled(/redirect \(30\d\), which is not followed/))

for (const [when, { come, meet, said }] of Object.entries(stages))
  test(`an answer that is lost once ${when} is asked for again at once, with a proof of its own`, async (t) => {
    const region = new Region()
    t.after(() => region.close())
    await come(region, 10_000)
    served.fault = (exchange) => {
      served.fault = undefined
      return faultsOfTheLine['loses its answer'](exchange)
    }
    const pauseMs = await meet(region)
    assert.equal(served.fault, undefined, 'an answer was lost')
    const { reason, message } = said(region)
    if (reason === undefined) assert.equal(message, 'undefined', 'nothing was wrong')
    else assert.equal(reason, 'Registered', message)
    assert.ok(pauseMs !== undefined)
  })
