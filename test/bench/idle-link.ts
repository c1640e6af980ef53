import type { TestContext } from 'node:test'
import { createFileSender } from '../../agent/cloud/file-sender.ts'
import { Link } from '../../agent/cloud/link.ts'
import { Pusher } from '../../agent/cloud/status/pusher.ts'
import type { Sent, Transport } from '../../agent/cloud/transport.ts'
import { createUndiciTransport } from '../../agent/cloud/undici-transport.ts'
import { cloudPlace } from '../../agent/export/places/cloud.ts'
import { writeRegionFile } from '../../agent/region-file/writing.ts'
import { systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { exportedDatabase, regionContent } from '../agent/region-file/region-sample.ts'
import { type Content, memoryStore } from '../cloud/memory-store.ts'
import { serveCloud } from '../cloud/serve.ts'
import { createFakeClock } from '../shared/fake-clock.ts'
import { startCountingRelay } from './counting-relay.ts'
import { type Finding, held, type Measurement } from './measurement.ts'
import { asTest } from './peers.ts'

const [heartbeatMs, dayMs] = [60_000, 86_400_000]
const atMostBytes = 1_500_000

/** The bytes of a day, by what they are for. */
type Day = { total: number; connections: number; parts: Map<string, { calls: number; bytes: number }> }

/** What a region in which nothing happens sends to its cloud and hears from it in a day, through a relay that counts. */
export const idleLink: Measurement = {
  name: 'idle-link',
  title: `a day of an idle region at its cloud ≤ ${atMostBytes / 1e6} MB, with a heartbeat every ${heartbeatMs / 1000} s`,
  async measure({ note, tell }) {
    const { total, connections, parts } = await asTest((t) => idleDay(t, tell))
    note(`over ${connections} TLS connection${connections === 1 ? '' : 's'}; the headers of TCP and IP are not counted`)
    return [
      {
        what: 'a day of an idle region at its cloud',
        measured: `${(total / 1e6).toFixed(2)} MB`,
        against: `budget ${atMostBytes / 1e6} MB`,
        ...held(total / atMostBytes, { atMost: 1 }),
        numbers: { bytes: total, connections },
      },
      ...[...parts].map(([what, { calls, bytes }]): Finding => {
        const each = Math.round(bytes / calls)
        const measured = `${(bytes / 1000).toFixed(0)} kB in ${calls.toLocaleString('en')}, each ${each} B`
        return { what: `of that, ${what}`, measured, numbers: { calls, bytes } }
      }),
    ]
  },
}

/** The link and the pusher of the agent, with their transport, at the cloud of the tests. The day passes on a clock of its own. */
async function idleDay(t: TestContext, tell: (text: string) => void): Promise<Day> {
  const clock = createFakeClock(Date.now())
  const served = await serveCloud(() => clock.now())
  t.after(() => served.close())
  const relay = await startCountingRelay(t, Number(new URL(served.origin).port))
  const parts: Day['parts'] = new Map()
  // The cloud knows itself by its own address, which is what a proof names.
  const url = served.origin
  const inner = createUndiciTransport({ url: `https://127.0.0.1:${relay.port}`, ca: served.ca, timeoutMs: 10_000, clock: systemClock })
  t.after(() => inner.close())
  const transport: Transport = {
    ...inner,
    async send(sent, signal) {
      const before = relay.bytes()
      const answer = await inner.send(sent, signal)
      const what = purposeOf(sent)
      const { calls, bytes } = parts.get(what) ?? { calls: 0, bytes: 0 }
      parts.set(what, { calls: calls + 1, bytes: bytes + relay.bytes() - before })
      return answer
    },
  }
  const { sha256 } = served.cloud.registry.addToken('bench')
  const content: Content = { version: 1, wanted: { joined: true }, join: { sha256 } }
  const log = createLog({ level: 'silent', name: 'bench' })
  const link = new Link(
    { cloud: url, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} },
    { store: memoryStore(content), transport, clock, random: () => 0.5, stopping: new AbortController().signal, log },
  )
  const pusher = new Pusher(heartbeatMs, {
    session: () => link.session(),
    read: () => status,
    cloudClock: () => link.cloudClock,
    clock,
    random: () => 0.5,
    answered: async () => {},
    refused: () => link.doubt(),
    log,
  })
  const sender = createFileSender({ session: () => link.session(), refused: () => link.doubt() })
  const file = cloudPlace({ sender, meter: { profile: 'normal' } })
  for (let [passed, stepAt] = [0, 0]; passed < dayMs; passed += heartbeatMs) {
    if (passed % 3_600_000 === 0) tell(`hour ${passed / 3_600_000}`)
    while (stepAt <= passed) {
      const pauseMs = await link.step()
      if (pauseMs !== 0) stepAt = passed + (pauseMs ?? dayMs)
    }
    await pusher.push()
    if (passed === heartbeatMs) await file.write(await fileOf(content), new AbortController().signal)
    await clock.advance(heartbeatMs)
  }
  return { total: relay.bytes(), connections: relay.connections(), parts }
}

function purposeOf({ method, path }: Sent): string {
  if (path.endsWith('/export')) return 'the file that the region can be made again from'
  if (path.endsWith('/credential')) return 'renewals of the credential'
  if (path.endsWith('/status')) return method === 'PUT' ? 'the whole status' : 'heartbeats'
  return method === 'POST' ? 'the registration, with the handshake' : `${method} ${path}`
}

/** With as many databases as the status says. */
async function fileOf({ state }: Content) {
  const databases = Array.from({ length: status.databases }, (_, index) => exportedDatabase('harbour', `gauge-${index}`))
  const written = await writeRegionFile(regionContent(databases), { key: state?.key })
  return { ...written, region: 'harbour-1', createdAt: '2026-01-31T12:00:00.000Z', isEmpty: false }
}

/** A region with three hosts, about as its document is. */
const status = {
  id: 'harbour-1',
  hosts: ['quay-1', 'quay-2', 'quay-3'].map((hostname) => ({
    ...{ hostname, control_plane: false, k8s_version: 'v1.34.1', arch: 'amd64', os: 'Debian GNU/Linux 12 (bookworm)' },
    ...{ ready: true, schedulable: true, specialised: null },
  })),
  databases: 10,
  projects: 3,
  leader: { state: 'leads', holder: 'skerry-agent-7d9f8-x2x4z_1a2b3c4d', trouble: null },
  parts: { hosts: { observedAt: '2026-01-31T12:00:00Z' } },
}
