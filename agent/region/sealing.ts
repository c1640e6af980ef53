import { X509Certificate } from 'node:crypto'
import { backoff, type Clock } from '../../shared/clock.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'
import type { AgedSource } from './age.ts'

/** The public part of the key that seals secrets for this cluster. */
type Sealing = {
  /** PEM */
  certificate: string
  /** SHA-256 of the certificate, in lower-case hexadecimal. */
  fingerprint: string
  /** RFC 3339. Sealed Secrets makes another key every 30 days, and goes on opening what older ones sealed. */
  expires: string
}

/** The controller of Sealed Secrets: its Service has the name of its Deployment, whose uid this is. */
export type Controller = { namespace: string; name: string; uid: string | undefined; isReady: boolean }

/** How often the certificate is fetched, and how often it is examined whether that is due. Milliseconds. */
const fetchMs = 86_400_000
const lookMs = 300_000
const pauses = { baseMs: lookMs, capMs: 3_600_000 }
/** A certificate has about 1,800 bytes. */
const maxBytes = 65_536

/**
 * The certificate of Sealed Secrets, as kubeseal gets it: from the controller's Service, through the API server. The agent needs no
 * right of its own for that: the chart of Sealed Secrets lets everybody who is authenticated do it. It is not read from the Secret, which has
 * the private key too.
 */
export class SealingCertificate implements Part, AgedSource {
  readonly name = 'sealing certificate'
  current: Sealing | undefined
  heardAt: number | undefined
  trouble: string | undefined
  readonly #find: () => Controller | undefined
  readonly #tools: { cluster: Pick<Cluster, 'request'>; clock: Clock; log: Log }
  readonly #ending = new AbortController()
  readonly #listeners = new Set<() => void>()
  #running: Promise<void> | undefined
  #sleeping = new AbortController()
  /** The controller that was asked last, and the monotonic moment from which it is asked again. */
  #asked: string | undefined
  #dueAt = 0
  #failures = 0

  /** @param find the controller, as the caches show it */
  constructor(find: () => Controller | undefined, tools: { cluster: Pick<Cluster, 'request'>; clock: Clock; log: Log }) {
    this.#find = find
    this.#tools = tools
  }

  /** Calls the listener after each change. Returns the function that unsubscribes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The controller has come, gone or changed. */
  look(): void {
    this.#sleeping.abort()
  }

  /** Nothing waits for the certificate. */
  async start(): Promise<void> {
    this.#running = this.#run(this.#ending.signal)
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#sleeping = new AbortController()
      await this.#look(signal)
      await this.#tools.clock.sleep(lookMs, AbortSignal.any([signal, this.#sleeping.signal])).catch(() => {})
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock } = this.#tools
    const controller = this.#find()
    if (controller === undefined) {
      if (this.current !== undefined) this.#failed('The controller of Sealed Secrets is gone.')
      this.#asked = undefined
      return
    }
    const asked = Object.values(controller).join('/')
    if (asked === this.#asked && clock.monotonic() < this.#dueAt) return
    this.#asked = asked
    try {
      this.#heard(sealingOf(await this.#fetch(controller, signal)))
      this.#failures = 0
      this.#dueAt = clock.monotonic() + fetchMs
    } catch (error) {
      if (signal.aborted) return
      this.#failed(error instanceof Error ? error.message : String(error))
      this.#dueAt = clock.monotonic() + backoff(pauses, this.#failures++, 1)
    }
  }

  #fetch({ namespace, name }: Controller, signal: AbortSignal): Promise<string> {
    // As kubeseal asks: the one port of the Service, by HTTP.
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/http:${encodeURIComponent(name)}:/proxy/v1/cert.pem`
    return this.#tools.cluster.request<string>({ method: 'GET', path, accept: '*/*', maxTextBytes: maxBytes, signal })
  }

  #heard(sealing: Sealing): void {
    this.heardAt = this.#tools.clock.monotonic()
    const isNews = sealing.fingerprint !== this.current?.fingerprint || this.trouble !== undefined
    this.current = sealing
    this.trouble = undefined
    if (isNews) for (const listener of this.#listeners) listener()
  }

  #failed(why: string): void {
    if (this.trouble === undefined) this.#tools.log.warn({ reason: why }, 'the sealing certificate cannot be read')
    const isNews = this.trouble === undefined
    this.trouble = why
    if (isNews) for (const listener of this.#listeners) listener()
  }
}

/** @throws Error if the text does not begin with a certificate */
function sealingOf(text: string): Sealing {
  const [certificate] = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text) ?? []
  if (certificate === undefined) throw new Error('The controller of Sealed Secrets answered with something other than a certificate.')
  const { fingerprint256, validToDate, raw } = new X509Certificate(certificate)
  return {
    certificate: pemOf(raw),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
    expires: validToDate.toISOString().replace('.000Z', 'Z'),
  }
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
