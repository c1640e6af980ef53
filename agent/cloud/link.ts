import type { Clock } from '../../shared/clock.ts'
import type { Log } from '../../shared/log.ts'
import { type Call, callCloud } from './caller.ts'
import { CloudClock } from './cloud-clock.ts'
import { CloudFault } from './fault.ts'
import { createProver, type Prover } from './proof.ts'
import type { Heard } from './registration/names.ts'
import { Registrar, type RegistrarConfig } from './registration/registrar.ts'
import type { LinkState, LinkStore } from './registration/state.ts'
import type { Transport } from './transport.ts'
import { caChanged, TrustKeeper, type TrustParts } from './trust-keeper.ts'

export type LinkParts = {
  store: LinkStore
  transport: Transport
  clock: Clock
  /** A number in [0, 1), given so that a test can fix it. */
  random: () => number
  /** Aborts when the link ends. */
  stopping: AbortSignal
  log: Log
  /** What the answers of the cloud tell of its clock, for others too. */
  cloudClock?: CloudClock | undefined
}

/** A registered region at its cloud. */
export type Session = { id: string; call: <T>(call: Omit<Call<T>, 'credential' | 'region'>) => Promise<T> }

/** The link of a region to its cloud, without what drives it: one key, one registration, one clock. */
export class Link {
  readonly cloudClock: CloudClock
  readonly #parts: LinkParts
  readonly #cloud: string
  readonly #trust: TrustKeeper
  readonly #registrar: Registrar
  #state: LinkState | undefined
  #prover: { x: string; prover: Prover } | undefined

  constructor(config: RegistrarConfig, parts: LinkParts) {
    const { store, transport, clock, random, log } = parts
    const { cloud } = config
    this.#parts = parts
    this.#cloud = cloud
    this.cloudClock = parts.cloudClock ?? new CloudClock(clock)
    const save: TrustParts['save'] = async (edit) => {
      const state = await store.change((present) => ({ ...present, trust: edit(present.trust) }))
      this.#known(state)
      return state.trust
    }
    this.#trust = new TrustKeeper({ cloud, transport, log, save })
    this.#registrar = new Registrar(config, {
      store,
      call: (call, state) => this.#call(call, state),
      renewTrust: (state) => this.#trust.renew(state, parts.stopping),
      cloudClock: this.cloudClock,
      clock,
      random,
      known: (state) => this.#known(state),
      log,
    })
  }

  /** Takes the next step of the registration. @returns milliseconds until the next one; undefined until something changes */
  step(): Promise<number | undefined> {
    return this.#registrar.step()
  }

  /** The cloud has refused the credential: the next step asks for another one, and learns why. */
  doubt(): void {
    this.#registrar.doubt()
  }

  /** The registration, while the region has a credential that holds. */
  session(): Session | undefined {
    const state = this.#state
    const { cloud, id = '', credential } = state?.joined ?? {}
    if (state === undefined || cloud !== this.#cloud || credential === undefined) return undefined
    if (credential.expiresAt <= this.cloudClock.now()) return undefined
    return { id, call: (call) => this.#call({ ...call, region: id, credential: credential.token }, state) }
  }

  /** The cloud has answered a status. @returns whether the next step of the registration is due for it */
  heard(said: Heard): boolean {
    return this.#registrar.heard(said)
  }

  /** Takes a trust document that came with an answer. */
  async announced(document: string): Promise<void> {
    if (this.#state) await this.#trust.announced(document, this.#state)
  }

  #known(state: LinkState | undefined): void {
    this.#state = state
    this.#trust.use(state?.trust)
  }

  /** A certificate that is not trusted is a reason to ask what is trusted now, and to try once more. */
  async #call<T>(call: Call<T>, state: LinkState): Promise<T> {
    const { transport, clock, stopping, store } = this.#parts
    const parts = { url: this.#cloud, transport, clock, cloudClock: this.cloudClock, prover: this.#proverOf(state) }
    try {
      return await callCloud(call, parts, stopping)
    } catch (error) {
      if (!(error instanceof CloudFault) || error.kind !== 'untrusted') throw error
      await this.#trust.recover(error, state, await store.joinSecret(), stopping)
    }
    try {
      return await callCloud(call, parts, stopping)
    } catch (error) {
      throw error instanceof CloudFault && error.kind === 'untrusted'
        ? caChanged(error, 'It is not in what the cloud has announced.')
        : error
    }
  }

  #proverOf({ key }: LinkState): Prover {
    if (this.#prover?.x !== key.x) this.#prover = { x: key.x, prover: createProver(key) }
    return this.#prover.prover
  }
}
