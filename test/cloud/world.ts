import { readInstallToken } from '../../agent/cloud/install-token.ts'
import { Link } from '../../agent/cloud/link.ts'
import type { LinkStore } from '../../agent/cloud/registration/state.ts'
import type { Received, Sent, Transport } from '../../agent/cloud/transport.ts'
import { createLog, type Log } from '../../shared/log.ts'
import { createFakeClock, type FakeClock } from '../shared/fake-clock.ts'
import { directTransport } from './direct-transport.ts'
import { HonestCloud } from './honest-cloud.ts'
import { type Content, memoryStore } from './memory-store.ts'

/** The address of the cloud in these tests. */
export const origin = 'https://cloud.example.org'

/** An installation token in the right form; its signature is nobody's, and nobody here checks it. */
export function tokenWith(claims: Record<string, string> = {}): string {
  const lines = Object.entries({ region: 'harbour-1', cloud: origin, ...claims }).map(([name, value]) => `${name}=${value}`)
  return `skerry1.${Buffer.from(lines.join('\n')).toString('base64url')}.${'A'.repeat(86)}.12345`
}

/** What happens to a request on its way. */
export type OnTheWay = (sent: Sent, go: () => Promise<Received>) => Promise<Received>

/** A cloud that is reached over a real network: how a region connects to it. */
export type Far = { clock: FakeClock; cloud: HonestCloud; connect: () => Transport }

/** One region and its cloud, with a fake clock, and without a network unless the cloud is far. */
export class World {
  readonly clock: FakeClock
  readonly cloud: HonestCloud
  readonly #connect: () => Transport
  readonly content: Content = { version: 1, wanted: { joined: true } }
  /** How far the clock of the cloud is ahead, in milliseconds. */
  aheadMs = 0
  onTheWay: OnTheWay = (_sent, go) => go()
  readonly lines: Record<string, unknown>[] = []
  readonly log: Log = createLog({ level: 'debug', name: 'test', destination: { write: (line) => void this.lines.push(JSON.parse(line)) } })
  /** The method of each request that was answered, and the status. */
  readonly exchanges: string[] = []

  constructor(far?: Far) {
    this.clock = far?.clock ?? createFakeClock()
    this.cloud = far?.cloud ?? new HonestCloud(origin, () => this.clock.now() + this.aheadMs)
    this.#connect = far?.connect ?? (() => directTransport(origin, (request) => this.cloud.app.fetch(request)))
  }

  /** Gives the region a token that the cloud has made, or one that it has not. */
  give(token: string, { isKnown = true, expiresAt }: { isKnown?: boolean; expiresAt?: number } = {}): void {
    if (isKnown) this.cloud.registry.addToken(token, { ...(expiresAt !== undefined && { expiresAt }) })
    const secret = readInstallToken(token)
    if (secret) this.content.join = secret
  }

  /** The link of a process that has just become the leader. */
  link(content: Content = this.content, around: (store: LinkStore) => LinkStore = (store) => store): Link {
    const connected = this.#connect()
    const transport: Transport = {
      ...connected,
      send: async (sent, signal) => {
        const answer = await this.onTheWay(sent, () => connected.send(sent, signal))
        this.exchanges.push(`${sent.method} ${answer.status}`)
        return answer
      },
    }
    return new Link(
      { cloud: this.cloud.origin, region: { id: 'harbour-1', cluster: 'c-1' }, version: '0.2.0', tags: {} },
      {
        store: around(memoryStore(content)),
        transport,
        clock: this.clock,
        random: () => 0.5,
        stopping: new AbortController().signal,
        log: this.log,
      },
    )
  }

  /** Takes steps, and lets the time between them pass, until the region rests or is in that state. */
  async until(link: Link, state: string, { steps = 30 } = {}): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const pauseMs = await link.step()
      // Under way means that there is more to do at once.
      if (this.content.status?.state === state && pauseMs !== 0) return
      if (pauseMs === undefined) break
      await this.clock.advance(pauseMs)
    }
    throw new Error(`it is not ${state}: ${JSON.stringify(this.content.status)}`)
  }

  /** Joins by a pairing code, which somebody approves. */
  async pair(link: Link): Promise<void> {
    await this.until(link, 'Unpaired')
    for (const region of this.registered) region.state = 'approved'
    await this.until(link, 'Ready')
  }

  /** The region at the cloud. */
  get registered() {
    return Object.values(this.cloud.registry.records.regions)
  }
}
