import * as z from 'zod'
import type { Clock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'
import type { Call } from '../caller.ts'
import type { CloudClock } from '../cloud-clock.ts'
import { endpoints } from '../contract/endpoints.ts'
import { failures, ownFailures, sentenceOf } from '../contract/failures.ts'
import { type Claim, type RegistrationAnswer, registrationAnswer } from '../contract/registration.ts'
import { CloudFault } from '../fault.ts'
import { pauseAfter } from '../pause.ts'
import { makeKey, thumbprintOf } from '../proof.ts'
import { tokenProof } from '../token-proof.ts'
import { cloudKeyOf, readJoinState, sequenceOf } from '../trust.ts'
import { type Attempt, decide, leftReason } from './decide.ts'
import type { Said } from './names.ts'
import { makePairingCode, pairingMs } from './pairing.ts'
import type { Joined, JoinSecret, KnownTrust, LinkState, LinkStore } from './state.ts'
import type { RegistrationState, RegistrationStatus } from './status.ts'
import { heardEveryMs, statusAfter, statusHeard, type Told, underWay } from './telling.ts'

export type RegistrarConfig = {
  /** The origin of the cloud. */
  cloud: string
  region: Claim['region']
  version: string
  tags: Record<string, string>
}

export type RegistrarParts = {
  store: LinkStore
  /** Calls the cloud with the key of the region. @throws CloudFault */
  call: <T>(call: Call<T>, state: LinkState) => Promise<T>
  /**
   * Asks what the cloud is trusted by, after a signature that is not trusted.
   * @returns whether something else is trusted now. @throws CloudFault
   */
  renewTrust: (state: LinkState) => Promise<boolean>
  cloudClock: CloudClock
  clock: Clock
  random: () => number
  /** Called whenever the state was read or written. */
  known: (state: LinkState | undefined) => void
  log: Log
}

const pauses = { claim: { baseMs: 1_000, capMs: 300_000 }, renew: { baseMs: 1_000, capMs: 900_000 } }
/** How often a region asks whether it was approved, where the cloud does not say. */
const usualPollMs = 10_000

/** One look: what was read, and the status as it was last written. */
type Look = { state: LinkState; status: RegistrationStatus | undefined; askAgain: string | undefined }

/**
 * Makes the region known to its cloud, and keeps it known: one step at a time, each from what the store says. It may be killed anywhere: a step
 * that was begun is begun again, and the cloud takes both for one.
 */
export class Registrar {
  readonly #config: RegistrarConfig
  readonly #parts: RegistrarParts
  /** No attempt before this monotonic moment, unless somebody has given something new. */
  #notBefore = 0
  #given = ''
  #doubted = false
  /** The last attempt has brought other keys of the cloud, and no answer. */
  #hasRenewedTrust = false
  /** The code that the cloud was shown, until a monotonic moment. */
  #pairing: { code: string; until: number } | undefined
  /** What the cloud has said outside the steps, and when. */
  #heard: (Said & { at: number }) | undefined
  #said = ''
  /** Until this monotonic moment it is not worth a write that the cloud was heard. */
  #writtenUntil = 0

  constructor(config: RegistrarConfig, parts: RegistrarParts) {
    this.#config = config
    this.#parts = parts
  }

  /**
   * The cloud has answered a status: what it says about the region is written down with the next step.
   * @returns whether there is enough for one
   */
  heard({ name, tags }: Said): boolean {
    const { clock } = this.#parts
    this.#heard = { name, tags, at: clock.now() }
    const said = JSON.stringify([name, tags])
    if (said === this.#said && clock.monotonic() < this.#writtenUntil) return false
    this.#said = said
    this.#writtenUntil = clock.monotonic() + heardEveryMs
    return true
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
    if (step.do === 'rest') await this.#writeDown(status, wanted.joined)
    if (step.do === 'rest') return step.until === undefined ? undefined : Math.max(0, step.until - cloudClock.now())
    if (state === undefined || step.do === 'make-key') {
      await store.create({ key: makeKey() })
      return 0
    }
    const look = { state, status, askAgain: wanted.askAgain }
    if (step.do !== 'catch-up') return this.#do(step, look)
    await this.#tell(look, underWay.ready(state.joined?.id ?? ''))
    return 0
  }

  /** Writes down that the cloud was heard, and what it says. */
  async #writeDown(status: RegistrationStatus | undefined, isJoined: boolean): Promise<void> {
    if (status === undefined || status.cloud !== this.#config.cloud) return
    const after = statusHeard(status, { site: this.#site, heard: isJoined ? this.#heard : undefined })
    if (after !== undefined) await this.#parts.store.publish(after)
  }

  get #site(): Said {
    return { name: this.#config.region.name, tags: this.#config.tags }
  }

  async #do(step: Attempt, look: Look): Promise<number | undefined> {
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
    const state = this.#withKeyOf(token, look.state)
    const pairing = token === undefined ? this.#pairingCode() : undefined
    if (!pairing) await this.#enter(look, underWay.asking(cloud))
    const body: Claim = {
      ...(token && {
        token: {
          ...tokenProof(token.sha256, { cloud, thumbprint: thumbprintOf(state.key) }),
          ...(token.id !== undefined && { id: token.id }),
        },
      }),
      ...(pairing && { pairing: { code: pairing.code, expiresIn: Math.ceil(pairingMs / 1000) } }),
      region,
      agent: { version },
      ...(Object.keys(tags).length > 0 && { tags }),
    }
    const claimed: Call<RegistrationAnswer> = { endpoint: endpoints.claim, body, answer: registrationAnswer }
    const answer = await this.#parts.call(claimed, state)
    return this.#answered(answer, state, { token: token?.sha256, after: 0 }, look)
  }

  async #renew(as: 'Renewing' | 'Recovering', look: Look): Promise<number | undefined> {
    const { state } = look
    const { id = '', joinState = '', token } = state.joined ?? {}
    await this.#enter(look, underWay[as])
    const renewed: Call<RegistrationAnswer> = { endpoint: endpoints.renew, region: id, body: { joinState }, answer: registrationAnswer }
    const answer = await this.#parts.call(renewed, state)
    if (answer.id !== id) throw new CloudFault('garbled', 'The cloud answered for another region.')
    return this.#answered(answer, state, { token, after: sequenceOf(joinState) }, look)
  }

  /** Takes an answer to a claim or a renewal: first into the store, then into the status. */
  async #answered(
    answer: RegistrationAnswer,
    state: LinkState,
    { token, after }: { token: string | undefined; after: number },
    look: Look,
  ): Promise<number | undefined> {
    const { cloud } = this.#config
    const { id, name, tags } = answer
    const base = { cloud, id, ...(token !== undefined && { token }) }
    if (answer.state === 'awaiting-approval') {
      // A cloud that has approved before may ask a person once more, and the region keeps what it has.
      const kept = state.joined?.cloud === cloud && state.joined.id === id ? state.joined : {}
      await this.#change(look, (present) => ({ ...present, joined: { ...kept, ...base } }))
      return this.#awaiting(answer.retryAfter, look)
    }
    const known = state.trust?.cloud === cloud ? state.trust : undefined
    const keys = known?.keys ?? answer.keys
    await readJoinState(answer.joinState, { keys, cloud, id, thumbprint: thumbprintOf(state.key), after })
    const joined: Joined = { ...base, credential: this.#credentialOf(answer), joinState: answer.joinState }
    await this.#change(look, (present) => ({ ...present, joined, trust: trustWith(keys, cloud, present.trust) }))
    this.#pairing = undefined
    this.#doubted = false
    this.#hasRenewedTrust = false
    await this.#tell(look, { ...underWay.ready(id), heard: { name, tags } })
    return 0
  }

  async #awaiting(retryAfter: number | undefined, look: Look): Promise<number> {
    const { clock, random } = this.#parts
    // Regions that were started together do not stay together.
    const pauseMs = Math.round((retryAfter === undefined ? usualPollMs : retryAfter * 1000) * (1 + random() / 4))
    const told = this.#pairing
      ? underWay.unpaired(this.#pairing.code, clock.now() + this.#pairing.until - clock.monotonic())
      : underWay.awaiting
    await this.#tell(look, { ...told, heard: {}, pauseMs })
    return this.#pause(pauseMs)
  }

  async #leave(look: Look): Promise<undefined> {
    const { joined } = look.state
    // A cloud that has never answered, or that is no longer the one of the configuration, is told nothing.
    if (joined?.cloud === this.#config.cloud) {
      await this.#enter(look, underWay.leaving)
      const gone = { endpoint: endpoints.leave, region: joined.id, answer: z.object({}) }
      await this.#parts.call(gone, look.state).catch(unlessGone)
    }
    // It is told first: whoever finds a status without a key makes another key, and rests or asks by what the status says.
    const message = 'The region has left its cloud. Everything that runs in it stays.'
    await this.#tell(look, { state: 'Deregistered', reason: leftReason, message })
    await this.#parts.store.remove()
    this.#parts.known(undefined)
    return undefined
  }

  /** An attempt in vain. @returns milliseconds until the next one; undefined if only a person can help */
  async #failed(step: Attempt, look: Look, fault: CloudFault): Promise<number | undefined> {
    const { failure, own = 'garbled' } = fault
    const row = failure && failures[failure]
    const refusedToken = step.do === 'claim' ? step.token?.sha256 : undefined
    const { reason, message, action } = row ?? { ...ownFailures[own], message: sentenceOf(own, fault.message) }
    const told = { reason, message, action, refusedToken }
    if (row?.retry === 'person') {
      // The key stays: no answer is worth a region, and a person at the cloud may take the refusal back.
      if (look.state.joined?.credential) await this.#change(look, withoutCredential)
      await this.#tell(look, { ...told, state: failure === 'deregistered' ? 'Deregistered' : 'Refused' })
      return undefined
    }
    if (failure === 'pairing-code-taken') this.#pairing = undefined
    const attempts = look.status?.reason === reason ? look.status.attempts + 1 : 1
    const pauseMs = pauseAfter(fault, step.do === 'claim' ? pauses.claim : pauses.renew, attempts, this.#parts.random())
    const isRefusal = failure === 'unknown-region' || failure === 'invalid-signature'
    const state = isRefusal ? 'Refused' : stateOf(step, look.status?.state)
    // A token that was only not heard of yet is tried again.
    await this.#tell(look, { reason, message, action, state, attempts, pauseMs })
    return this.#pause(pauseMs)
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

  /** The key of the cloud that came with the token counts from the first word on. */
  #withKeyOf(token: JoinSecret | undefined, state: LinkState): LinkState {
    return token?.cloudKey === undefined
      ? state
      : { ...state, trust: trustWith([cloudKeyOf(token.cloudKey)], this.#config.cloud, state.trust) }
  }

  #pairingCode(): { code: string; until: number } {
    const now = this.#parts.clock.monotonic()
    if (this.#pairing === undefined || this.#pairing.until <= now) this.#pairing = { code: makePairingCode(), until: now + pairingMs }
    return this.#pairing
  }

  async #change(look: Look, edit: (present: LinkState) => LinkState): Promise<void> {
    look.state = await this.#parts.store.change(edit)
    this.#parts.known(look.state)
  }

  /** Tells that a step begins; of one that is tried again, why it failed stays in sight. */
  async #enter(look: Look, told: Told): Promise<void> {
    if (look.status?.state !== told.state) await this.#tell(look, told)
  }

  async #tell(look: Look, told: Told): Promise<void> {
    const { store, clock, cloudClock, log } = this.#parts
    const { key, joined } = look.state
    const before = look.status
    const now = clock.now()
    const facts = { cloud: this.#config.cloud, joined, askAgain: look.askAgain, site: this.#site, now, aheadMs: cloudClock.now() - now }
    look.status = statusAfter(before, told, { ...facts, thumbprint: thumbprintOf(key) })
    await store.publish(look.status)
    const { state, reason, message } = told
    if (before?.state !== state || before.reason !== reason || before.message !== message) {
      log.info({ from: before?.state, to: state, reason, message }, 'registration advanced')
    }
  }
}

/** What stays of a registration that the cloud has refused: enough to ask for another credential. */
function withoutCredential(state: LinkState): LinkState {
  if (state.joined === undefined) return state
  const { credential: _credential, ...joined } = state.joined
  return { ...state, joined }
}

/** The trust in a cloud, with its keys; those that are known already stay. */
function trustWith(keys: NonNullable<KnownTrust['keys']>, cloud: string, known: KnownTrust | undefined): KnownTrust {
  return { sequence: 0, anchors: [], keys, ...(known?.cloud === cloud && known), cloud }
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

/** The state while a step is tried again. */
function stateOf(step: Attempt, present: RegistrationState | undefined): RegistrationState {
  switch (step.do) {
    case 'claim':
      if (step.token === undefined) return 'Unpaired'
      return present === 'AwaitingApproval' ? present : 'Claiming'
    case 'renew':
      return step.as
    case 'leave':
      return 'Deregistering'
  }
}
