import * as z from 'zod'
import { makeKey, thumbprintOf } from '../../../shared/signing/key.ts'
import type { Call } from '../caller.ts'
import { endpoints } from '../contract/endpoints.ts'
import { type Claim, type RegistrationAnswer, registrationAnswer } from '../contract/registration.ts'
import { CloudFault } from '../fault.ts'
import { tokenProof } from '../token-proof.ts'
import { readJoinState, sequenceOf } from '../trust.ts'
import { type Attempt, decide } from './decide.ts'
import { trustWith, withKeyOf, withoutCredential } from './edits.ts'
import { Hearing } from './hearing.ts'
import { Look, type LookParts } from './look.ts'
import type { Heard, Said } from './names.ts'
import { type Pairing, PairingCodes, pairingMs } from './pairing.ts'
import { toldOf } from './refusing.ts'
import type { Joined, JoinSecret, LinkState } from './state.ts'
import type { RegistrationStatus } from './status.ts'
import { left, statusLeft, underWay } from './telling.ts'

export type RegistrarConfig = {
  /** The origin of the cloud. */
  cloud: string
  region: Claim['region']
  version: string
  tags: Record<string, string>
}

export type RegistrarParts = LookParts & {
  /** Calls the cloud with the key of the region. @throws CloudFault */
  call: <T>(call: Call<T>, state: LinkState) => Promise<T>
  /**
   * Asks what the cloud is trusted by, after a signature that is not trusted.
   * @returns whether something else is trusted now. @throws CloudFault
   */
  renewTrust: (state: LinkState) => Promise<boolean>
  random: () => number
}

/**
 * How often a region asks whether it was approved, where the cloud does not say. With each answer it waits a second longer, up to a minute: somebody
 * decides at once, or tomorrow, and each question is a write of the status and more than a heartbeat on the link.
 */
const polls = { usualMs: 10_000, growMs: 1_000, longestMs: 60_000 }

/**
 * Makes the region known to its cloud, and keeps it known: one step at a time, each from what the store says. It may be killed anywhere: a step
 * that was begun is begun again, and the cloud takes both for one.
 */
export class Registrar {
  readonly #config: RegistrarConfig
  readonly #parts: RegistrarParts
  readonly #hearing: Hearing
  readonly #codes: PairingCodes
  /** No attempt before this monotonic moment, unless somebody has given something new. */
  #notBefore = 0
  #given = ''
  #doubted = false
  /** How often the cloud has answered that somebody has to decide. */
  #polled = 0
  /** The last attempt has brought other keys of the cloud, and no answer. */
  #hasRenewedTrust = false

  constructor(config: RegistrarConfig, parts: RegistrarParts) {
    this.#config = config
    this.#parts = parts
    this.#hearing = new Hearing(parts.clock)
    this.#codes = new PairingCodes(parts.clock)
  }

  /**
   * The cloud has answered a status: what it says about the region is written down with the next step.
   * @returns whether there is enough for one
   */
  heard(said: Heard): boolean {
    return this.#hearing.take(said)
  }

  /** The cloud has refused the credential: the next step asks for another one, and learns why. */
  doubt(): void {
    this.#doubted = true
  }

  /** Takes the next step. @returns milliseconds until the next one; undefined until something changes */
  async step(): Promise<number | undefined> {
    const { store, clock, cloudClock, known } = this.#parts
    const [state, status, join, wanted] = await Promise.all([store.read(), store.status(), store.joinSecret(), store.wanted()])
    known(state)
    const given = JSON.stringify([join?.sha256, wanted])
    if (given === this.#given && clock.monotonic() < this.#notBefore) return this.#notBefore - clock.monotonic()
    this.#given = given
    const { cloud } = this.#config
    const step = decide({ cloud, state, status, join, wanted, doubted: this.#doubted, now: cloudClock.now() })
    if (step.do === 'rest') {
      await this.#writeDown(status, wanted.joined)
      return step.until === undefined ? undefined : Math.max(0, step.until - cloudClock.now())
    }
    if (step.do === 'tell-left') {
      await store.publish(statusLeft(step.over, clock.now()))
      return undefined
    }
    if (state === undefined || step.do === 'make-key') {
      await store.create({ key: makeKey() })
      return 0
    }
    const look = new Look({ state, status, askAgain: wanted.askAgain, cloud, site: this.#site }, this.#parts)
    if (step.do !== 'catch-up') return this.#attempt(step, look)
    await look.tell(underWay.ready(state.joined?.id ?? ''))
    return 0
  }

  /** Writes down that the cloud was heard, and what it says. */
  async #writeDown(status: RegistrationStatus | undefined, isJoined: boolean): Promise<void> {
    if (status === undefined || status.cloud !== this.#config.cloud) return
    const after = this.#hearing.writtenInto(status, { site: this.#site, isJoined })
    if (after !== undefined) await this.#parts.store.publish(after)
  }

  get #site(): Said {
    return { name: this.#config.region.name, tags: this.#config.tags }
  }

  async #attempt(step: Attempt, look: Look): Promise<number | undefined> {
    try {
      switch (step.do) {
        case 'claim':
          return await this.#claim(step.token, look)
        case 'renew':
          return await this.#renew(step.as, look)
        case 'leave':
          return await this.#leave(look)
      }
    } catch (error) {
      if (!(error instanceof CloudFault)) throw error
      // The answer was not taken: the cloud gives the same one again. Once: keys that lead to no answer are no reason to hurry.
      const isFirst = error.own === 'key-changed' && !this.#hasRenewedTrust
      this.#hasRenewedTrust = isFirst && (await this.#parts.renewTrust(look.state).catch(isNoNews))
      return this.#hasRenewedTrust ? 0 : this.#failed(step, look, error)
    }
  }

  async #claim(token: JoinSecret | undefined, look: Look): Promise<number | undefined> {
    const { cloud, region, version, tags } = this.#config
    const state = withKeyOf(token, cloud, look.state)
    const pairing = token === undefined ? this.#codes.next() : undefined
    // A region that waits for somebody is not on its way again with each question.
    const waits = look.status?.state === 'AwaitingApproval' && look.status.cloud === cloud
    if (!pairing && !waits) await look.enter(underWay.asking(cloud))
    const body: Claim = {
      ...(token && { token: this.#shown(token, state) }),
      ...(pairing && { pairing: { code: pairing.code, expiresIn: pairingMs / 1000 } }),
      region,
      agent: { version },
      ...(Object.keys(tags).length > 0 && { tags }),
    }
    const claimed: Call<RegistrationAnswer> = { endpoint: endpoints.claim, body, answer: registrationAnswer }
    const answer = await this.#parts.call(claimed, state)
    return this.#answered(answer, { state, token: token?.sha256, pairing, after: 0 }, look)
  }

  /** What a claim shows of an installation token. */
  #shown({ sha256, id }: JoinSecret, { key }: LinkState): NonNullable<Claim['token']> {
    return { ...(id !== undefined && { id }), ...tokenProof(sha256, { cloud: this.#config.cloud, thumbprint: thumbprintOf(key) }) }
  }

  async #renew(as: 'Renewing' | 'Recovering', look: Look): Promise<number | undefined> {
    const { state } = look
    const { id = '', joinState = '', token } = state.joined ?? {}
    await look.enter(underWay[as])
    const renewed: Call<RegistrationAnswer> = { endpoint: endpoints.renew, region: id, body: { joinState }, answer: registrationAnswer }
    const answer = await this.#parts.call(renewed, state)
    if (answer.id !== id) throw new CloudFault('garbled', 'The cloud answered for another region.')
    return this.#answered(answer, { state, token, after: sequenceOf(joinState) }, look)
  }

  /**
   * Takes an answer to a claim or a renewal: first into the store, then into the status.
   * @param asked with which state, and token or code, it was asked for, and after which number its join state has to be
   */
  async #answered(
    answer: RegistrationAnswer,
    { state, token, pairing, after }: { state: LinkState; token: string | undefined; pairing?: Pairing | undefined; after: number },
    look: Look,
  ): Promise<number> {
    const { cloud } = this.#config
    const { id, name, tags } = answer
    const base = { cloud, id, ...(token !== undefined && { token }) }
    if (answer.state === 'awaiting-approval') {
      // A cloud that has approved before may ask a person once more, and the region keeps what it has.
      const kept = state.joined?.cloud === cloud && state.joined.id === id ? state.joined : {}
      await look.change((present) => ({ ...present, joined: { ...kept, ...base } }))
      return this.#awaiting(answer.retryAfter, pairing, look)
    }
    const known = state.trust?.cloud === cloud ? state.trust : undefined
    const keys = known?.keys ?? answer.keys
    await readJoinState(answer.joinState, { keys, cloud, id, thumbprint: thumbprintOf(state.key), after })
    const joined: Joined = { ...base, credential: this.#credentialOf(answer), joinState: answer.joinState }
    await look.change((present) => ({ ...present, joined, trust: trustWith(keys, cloud, present.trust) }))
    this.#codes.drop()
    this.#polled = 0
    this.#doubted = false
    this.#hasRenewedTrust = false
    await look.tell({ ...underWay.ready(id), heard: { name, tags } })
    return 0
  }

  async #awaiting(retryAfter: number | undefined, pairing: Pairing | undefined, look: Look): Promise<number> {
    const { clock, random } = this.#parts
    this.#polled++
    const askedMs = retryAfter === undefined ? polls.usualMs : retryAfter * 1000
    // Regions that were started together do not stay together.
    const pauseMs = Math.round(Math.max(askedMs, Math.min(polls.longestMs, this.#polled * polls.growMs)) * (1 + random() / 4))
    const told = pairing ? underWay.unpaired(pairing.code, clock.now() + pairing.until - clock.monotonic()) : underWay.awaiting
    await look.tell({ ...told, heard: {}, pauseMs })
    return this.#pause(pauseMs)
  }

  async #leave(look: Look): Promise<undefined> {
    const { joined } = look.state
    // A cloud that has never answered, or that is no longer the one of the configuration, is told nothing.
    if (joined?.cloud === this.#config.cloud) {
      await look.enter(underWay.leaving)
      const gone = { endpoint: endpoints.leave, region: joined.id, answer: z.object({}) }
      await this.#parts.call(gone, look.state).catch(unlessGone)
    }
    // It is told first: whoever finds a status without a key makes another key, and rests or asks by what the status says.
    await look.tell(left)
    await this.#parts.store.remove()
    this.#parts.known(undefined)
    return undefined
  }

  /** An attempt in vain. @returns milliseconds until the next one; undefined if only a person can help */
  async #failed(step: Attempt, look: Look, fault: CloudFault): Promise<number | undefined> {
    if (fault.failure === 'pairing-code-taken') this.#codes.drop()
    const told = toldOf(fault, step, look.status, this.#parts.random())
    // The key stays: no answer is worth a region, and a person at the cloud may take the refusal back.
    if (told.pauseMs === undefined && look.state.joined?.credential) await look.change(withoutCredential)
    await look.tell(told)
    return told.pauseMs === undefined ? undefined : this.#pause(told.pauseMs)
  }

  #pause(ms: number): number {
    this.#notBefore = this.#parts.clock.monotonic() + ms
    return ms
  }

  /** Two thirds of the life, with a tenth of it as jitter: regions that joined together do not renew together. */
  #credentialOf({ credential, now }: RegistrationAnswer & { state: 'ready' }): Joined['credential'] {
    const lifeMs = credential.expiresIn * 1000
    const share = 2 / 3 + (this.#parts.random() - 0.5) / 5
    return { token: credential.token, renewAt: Math.round(now + lifeMs * share), expiresAt: now + lifeMs }
  }
}

/** Where the cloud says nothing new, its signature stays what it is. */
function isNoNews(error: unknown): false {
  if (error instanceof CloudFault) return false
  throw error
}

/** A cloud that does not know the region, or has let it go itself, has nothing more to do. */
function unlessGone(error: unknown): void {
  const gone: readonly (string | undefined)[] = ['unknown-region', 'deregistered', 'revoked']
  if (!(error instanceof CloudFault) || !gone.includes(error.failure)) throw error
}
