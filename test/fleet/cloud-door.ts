import { decodeProtectedHeader } from 'jose'
import { CloudFault } from '../../agent/cloud/fault.ts'
import { type Received, type Sent, type Transport, trustPath } from '../../agent/cloud/transport.ts'
import { directTransport } from '../cloud/direct-transport.ts'
import { HonestCloud } from '../cloud/honest-cloud.ts'
import { Proofs } from '../cloud/proofs.ts'
import type { EventClock } from './event-clock.ts'
import { WorkLine } from './lines.ts'
import { Meter } from './meter.ts'

/** The address of the cloud of a fleet. */
export const origin = 'https://cloud.example.org'

/** How the cloud is met. `serves`: requests per second. */
export type CloudCondition =
  | { is: 'open' }
  /** Nobody answers. */
  | { is: 'away' }
  /** 503, with the rest of the maintenance as Retry-After: the same moment for all. */
  | { is: 'maintained'; untilMs: number }
  /** Above what it serves, 503 without a word of when to come back. */
  | { is: 'refusing'; serves: number }
  /** Above what it serves, requests wait in line. Who has waited for too long has gone, and their work is done all the same. */
  | { is: 'slow'; serves: number }

/** As long as the link waits for an answer, as it is configured by default. In milliseconds. */
export const patienceMs = 30_000

/** The CA certificate that regions trust by their configuration. */
const configured = ''

/** The door of a cloud: everything that the regions of a fleet send it is counted here, and met as the cloud is at the time. */
export class CloudDoor {
  readonly cloud: HonestCloud
  readonly requests = new Meter()
  /** Bytes of HTTP/1.1 in both directions, by what they are for. */
  readonly bytes: Record<'heartbeats' | 'whole statuses' | 'credentials' | 'trust', number> = {
    heartbeats: 0,
    'whole statuses': 0,
    credentials: 0,
    trust: 0,
  }
  condition: CloudCondition = { is: 'open' }
  /** The CA of its certificate: the one that regions are configured with, or another (PEM). */
  ca = configured
  /** How often a certificate was not trusted. */
  untrusted = 0
  readonly #clock: EventClock
  readonly #line = new WorkLine()
  readonly #allowance = { second: -1, left: 0 }
  readonly #direct: Transport

  constructor(clock: EventClock) {
    this.#clock = clock
    this.cloud = new HonestCloud(origin, () => clock.now(), { proofs: new ProofsOfMany(origin) })
    this.#direct = directTransport(origin, (request) => this.cloud.app.fetch(request))
  }

  /** The way of one region to the cloud. @param heard called when the region knows that the cloud has its status */
  transport(heard: () => void): Transport {
    let anchors: readonly string[] = []
    return {
      ...this.#direct,
      trust(given) {
        anchors = given
      },
      send: async (sent, signal) => {
        const received = await this.#meet(sent, this.ca === configured || anchors.includes(this.ca), signal)
        if (received.status < 300 && sent.path.endsWith('/status')) heard()
        return received
      },
      fetchTrust: async (signal) => (await this.#meet({ method: 'GET', path: trustPath, headers: {} }, true, signal)).body,
    }
  }

  async #meet(sent: Sent, isTrusted: boolean, signal: AbortSignal): Promise<Received> {
    const now = this.#clock.monotonic()
    this.requests.add(now)
    if (!isTrusted && this.condition.is !== 'away') {
      this.untrusted++
      throw new CloudFault('untrusted', undefined, { isUnknownCa: true })
    }
    const received = await this.#served(sent, signal)
    this.bytes[kindOf(sent)] += bytesOf(sent, received)
    return received
  }

  async #served(sent: Sent, signal: AbortSignal): Promise<Received> {
    const { condition } = this
    const now = this.#clock.monotonic()
    switch (condition.is) {
      case 'away':
        throw new CloudFault('unreachable')
      case 'open':
        return this.#handled(sent, signal)
      case 'maintained':
        return unavailable(Math.ceil((condition.untilMs - now) / 1_000))
      case 'refusing':
        return this.#isAllowed(condition.serves) ? this.#handled(sent, signal) : unavailable()
      case 'slow': {
        const waitMs = this.#line.join(now, condition.serves)
        await this.#clock.sleep(Math.min(waitMs, patienceMs), signal)
        if (waitMs > patienceMs) throw new CloudFault('unreachable')
        return this.#handled(sent, signal)
      }
    }
  }

  #isAllowed(perSecond: number): boolean {
    const second = Math.floor(this.#clock.monotonic() / 1_000)
    if (this.#allowance.second !== second) Object.assign(this.#allowance, { second, left: perSecond })
    return this.#allowance.left-- > 0
  }

  #handled(sent: Sent, signal: AbortSignal): Promise<Received> {
    return this.#clock.counted(this.#direct.send(sent, signal))
  }
}

/**
 * The first proof of each key is verified as by any cloud, and later ones are read: verifying takes longer than all that the region does, and a
 * cloud's processor time is not what this is about.
 */
class ProofsOfMany extends Proofs {
  readonly #thumbprints = new Map<unknown, string>()

  override async verify(proof: string, about: Parameters<Proofs['verify']>[1]): Promise<string> {
    const { jwk } = decodeProtectedHeader(proof)
    const known = this.#thumbprints.get(jwk?.x)
    if (known !== undefined) return known
    const thumbprint = await super.verify(proof, about)
    this.#thumbprints.set(jwk?.x, thumbprint)
    return thumbprint
  }
}

function unavailable(retryAfterS?: number): Received {
  return { status: 503, headers: { ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }) }, body: '' }
}

function kindOf({ method, path }: Sent): keyof CloudDoor['bytes'] {
  if (path === trustPath) return 'trust'
  if (!path.endsWith('/status')) return 'credentials'
  return method === 'PUT' ? 'whole statuses' : 'heartbeats'
}

/** The header of a record of TLS 1.3, its type and the tag of AES-GCM (RFC 8446, section 5.2). */
const recordBytes = 5 + 1 + 16

/** What a request and its answer have on a connection that stays open, as undici and Node's server write them, each in one record of TLS. */
function bytesOf(sent: Sent, received: Received): number {
  const request = `${sent.method} ${sent.path} HTTP/1.1\r\nhost: ${new URL(origin).host}\r\nconnection: keep-alive\r\n`
  const answer = `HTTP/1.1 ${received.status} OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=120\r\n`
  return request.length + answer.length + messageBytes(sent) + messageBytes(received) + 2 * recordBytes
}

function messageBytes({ headers, body = '' }: Pick<Sent, 'body'> & { headers: Record<string, string | undefined> }): number {
  const length = Buffer.byteLength(body)
  const all: [string, string | undefined][] = [...Object.entries(headers), ['content-length', String(length)]]
  return all.reduce((sum, [name, value = '']) => sum + name.length + value.length + 4, 2) + length
}
