import { CloudClock } from '../../agent/cloud/cloud-clock.ts'
import { CloudFault } from '../../agent/cloud/fault.ts'
import { createSpeaker } from '../../agent/cloud/speaker.ts'
import type { Transport } from '../../agent/cloud/transport.ts'
import { createLog } from '../../shared/log.ts'
import { directTransport } from '../cloud/direct-transport.ts'
import { HonestCloud } from '../cloud/honest-cloud.ts'
import { memoryStore } from '../cloud/memory-store.ts'
import { EventClock } from './event-clock.ts'

const origin = 'https://cloud.example.org'
const count = Number(process.argv[2] ?? 1_000)
let underWay = 0
const subtle = globalThis.crypto.subtle as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>
for (const name of ['sign', 'verify', 'importKey', 'exportKey', 'digest', 'generateKey']) {
  const real = subtle[name]?.bind(subtle)
  subtle[name] = async (...given) => {
    underWay++
    try {
      return await real?.(...given)
    } finally {
      underWay--
    }
  }
}
const clock = new EventClock(() => underWay > 0)
const cloud = new HonestCloud(origin, () => clock.now())
const perSecond: number[] = []
const answered: number[] = []
let isAway = false
const direct = directTransport(origin, (request) => cloud.app.fetch(request))
const heardAt = new Map<number, number>()

const transportOf = (index: number): Transport => ({
  ...direct,
  async send(sent, signal) {
    const second = Math.floor(clock.monotonic() / 1000)
    perSecond[second] = (perSecond[second] ?? 0) + 1
    if (isAway) throw new CloudFault('unreachable', 'away')
    answered[second] = (answered[second] ?? 0) + 1
    const answer = await direct.send(sent, signal)
    if (answer.status < 300 && sent.path.endsWith('/status')) heardAt.set(index, clock.monotonic())
    return answer
  },
})
const log = createLog({ level: 'silent' as never, name: 'fleet', destination: { write() {} } })
const lease = { isLeader: () => true, onChange: () => () => {} }

for (let index = 0; index < count; index++) {
  const token = `t-${index}`
  const { sha256 } = cloud.registry.addToken(token)
  const content = { version: 1, wanted: { joined: true }, join: { sha256 } }
  const speaker = createSpeaker(
    {
      heartbeatMs: 60_000,
      gatherMs: 5_000,
      region: async () => ({ cloud: origin, region: { id: `r-${index}`, cluster: `c-${index}` }, version: '0', tags: {} }),
    },
    {
      store: () => memoryStore(content),
      transport: transportOf(index),
      cloudClock: new CloudClock(clock),
      random: Math.random,
      status: { read: () => ({ id: `r-${index}`, parts: {} }), subscribe: () => [] },
      onWanted: () => [],
      lease,
      clock,
      log,
    },
  )
  await speaker.start(new AbortController().signal)
}

const summary = (from: number, to: number, what: string) => {
  const counts = Array.from({ length: to - from }, (_, index) => perSecond[from + index] ?? 0)
  const mean = counts.reduce((sum, each) => sum + each, 0) / counts.length
  const peak = Math.max(...counts)
  console.log(`${what}: mean ${mean.toFixed(1)}/s, peak ${peak}/s (${(peak / mean).toFixed(2)} ×) at +${counts.indexOf(peak)} s`)
}
const second = () => Math.floor(clock.monotonic() / 1000)
const began = performance.now()
await clock.advance(300_000)
summary(0, 300, 'start')
summary(60, 300, 'steady')
isAway = true
const out = second()
await clock.advance(600_000)
summary(out, second(), 'outage')
isAway = false
const back = second()
heardAt.clear()
let all = 0
for (let passed = 0; passed < 900 && all === 0; passed += 5) {
  await clock.advance(5_000)
  if (heardAt.size === count) all = second()
}
summary(back, all || second(), 'recovery')
console.log(`all heard after ${all - back} s`, (performance.now() - began).toFixed(0), 'ms')
process.exit(0)
