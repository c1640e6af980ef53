import { randomBytes } from 'node:crypto'
import type { Endpoint } from '../../../agent/cloud/contract/endpoints.ts'
import { endpoints } from '../../../agent/cloud/contract/endpoints.ts'
import { makePairingCode } from '../../../agent/cloud/registration/pairing.ts'
import type { JoinSecret } from '../../../agent/cloud/registration/state.ts'
import { tokenProof } from '../../../agent/cloud/token-proof.ts'
import { sequenceOf } from '../../../agent/cloud/trust.ts'
import { makeKey } from '../../../shared/signing/key.ts'
import { type Answer, type Asking, type Key, type Question, withThumbprint } from './asking.ts'

/** What a claim has besides its key. */
export type Claimed = { token?: JoinSecret | undefined; code?: string; besides?: object }

/** A region that is made to try a cloud: its key, and what the cloud has given out to it. */
export class TriedRegion {
  readonly #asking: Asking
  readonly #claimed: Claimed
  readonly own: Key
  id = ''
  credential = ''
  /** Every credential that the cloud has given out, the latest one last. */
  readonly credentials: string[] = []
  /** Every join state that the cloud has given out, the latest one last. */
  readonly joinStates: string[] = []
  /** The keys with which the cloud signs, as it has answered last. */
  keys: unknown = []
  /** The sequence of the last status. */
  sequence = Math.floor(Date.now() / 1000)

  private constructor(asking: Asking, own: Key, claimed: Claimed) {
    this.#asking = asking
    this.own = own
    this.#claimed = claimed
  }

  /** A region with a token, or with a pairing code. */
  static async make(asking: Asking, claimed: Claimed = { code: makePairingCode() }): Promise<TriedRegion> {
    return new TriedRegion(asking, await withThumbprint(await makeKey()), claimed)
  }

  /** Whether it claims with a token. */
  get hasToken(): boolean {
    return this.#claimed.token !== undefined
  }

  /** The join state that the cloud gave out last, and its number. */
  get joinState(): string {
    return this.joinStates.at(-1) ?? ''
  }

  get number(): number {
    return sequenceOf(this.joinState)
  }

  /** Claims, and takes the answer. */
  async claim({ besides = {}, code = this.#claimed.code, token = this.#claimed.token, mac }: Claimed & { mac?: string } = {}) {
    const shown = token && tokenProof(token.sha256, { cloud: this.#asking.url, thumbprint: this.own.thumbprint })
    const body = {
      ...(shown && { token: { ...shown, ...(mac !== undefined && { mac }), ...(token?.id !== undefined && { id: token.id }) } }),
      ...(code !== undefined && { pairing: { code, expiresIn: 600 } }),
      region: { id: 'conformance', cluster: randomUuid(this.own), ...besides },
      agent: { version: '0.0.0' },
      ...besides,
    }
    return this.#take(await this.ask(endpoints.claim, { body }))
  }

  /** Renews, and takes the answer. */
  async renew(joinState = this.joinState): Promise<Answer> {
    return this.#take(await this.ask(endpoints.renew, { body: { joinState } }))
  }

  /** Tells a whole status, with the next sequence unless another one is given. */
  whole(given: Partial<Question> & { sequence?: number; besides?: object } = {}): Promise<Answer> {
    const { sequence = this.sequence + 1, besides = {}, ...question } = given
    this.sequence = sequence
    const generatedAt = new Date().toISOString()
    const region = { id: 'conformance', name: null, parts: { name: { observedAt: generatedAt } }, ...besides }
    return this.ask(endpoints.whole, { credential: this.credential, body: { sequence, generatedAt, region }, ...question })
  }

  /** Tells a change of the last status, or a heartbeat. */
  change({ besides = {}, ifMatch = this.sequence }: { besides?: object; ifMatch?: number } = {}): Promise<Answer> {
    this.sequence++
    const body = { sequence: this.sequence, ...besides }
    return this.ask(endpoints.change, { credential: this.credential, body, ifMatch })
  }

  leave(): Promise<Answer> {
    return this.ask(endpoints.leave)
  }

  ask(endpoint: Endpoint, question: Partial<Question> = {}): Promise<Answer> {
    return this.#asking.ask({ endpoint, key: this.own.key, ...(endpoint.path.includes('{') && { region: this.id }), ...question })
  }

  #take(answer: Answer): Answer {
    const { id, credential, joinState, keys } = answer.body as {
      id?: unknown
      credential?: { token?: unknown }
      joinState?: unknown
      keys?: unknown
    }
    if (answer.code >= 300 || typeof id !== 'string') return answer
    if (this.id === '') this.id = id
    // What belongs to another registration is of no use to this one.
    if (id !== this.id) return answer
    if (typeof credential?.token === 'string') {
      this.credential = credential.token
      this.credentials.push(credential.token)
    }
    if (typeof joinState === 'string' && joinState !== this.joinState) this.joinStates.push(joinState)
    if (keys !== undefined) this.keys = keys
    return answer
  }
}

/** The cluster of a region: the same one, whenever it asks. */
function randomUuid({ thumbprint }: Key): string {
  const hex = Buffer.from(thumbprint, 'base64url').toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

/** A registration that no cloud has given out. */
export function unknownRegion(): string {
  return `r-${randomBytes(9).toString('hex')}`
}
