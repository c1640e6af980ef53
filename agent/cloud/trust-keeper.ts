import type { Log } from '../../shared/log.ts'
import type { JoinSecret, KnownTrust, LinkState } from './registration/state.ts'
import type { Transport } from './transport.ts'
import { pinnedAnchor, readTrust } from './trust.ts'

export type TrustParts = { cloud: string; transport: Transport; log: Log; save: (trust: KnownTrust) => Promise<void> }

/**
 * By what the cloud is trusted: takes the documents in which it announces another CA or other keys, and fetches the latest one when its
 * certificate is not trusted.
 */
export class TrustKeeper {
  readonly #parts: TrustParts
  #anchors = '[]'

  constructor(parts: TrustParts) {
    this.#parts = parts
  }

  /** Trusts what is known, from the next connection on. */
  use(known: KnownTrust | undefined): void {
    const anchors = known?.cloud === this.#parts.cloud ? known.anchors : []
    const text = JSON.stringify(anchors)
    if (text === this.#anchors) return
    this.#anchors = text
    this.#parts.transport.trust(anchors)
  }

  /** Takes a document that the cloud has announced. @throws CloudFault `garbled` */
  async announced(document: string, state: LinkState): Promise<void> {
    const { cloud } = this.#parts
    const known = this.#known(state)
    if (sameDocument(document, known)) return
    await this.#take(await readTrust(document, { cloud, known }), 'announced')
  }

  /**
   * After a certificate that is not trusted. @returns whether something else is trusted now, so that it is worth another try
   * @throws CloudFault
   */
  async recover(state: LinkState, join: JoinSecret | undefined, signal: AbortSignal): Promise<boolean> {
    const { cloud, transport } = this.#parts
    const known = this.#known(state)
    if (known.keys === undefined && join?.pin === undefined) return false
    const document = await transport.fetchTrust(signal)
    if (known.keys !== undefined) {
      await this.#take(await readTrust(document, { cloud, known }), 'fetched')
      return true
    }
    const anchor = pinnedAnchor(document, join?.pin ?? '')
    if (anchor === undefined || known.anchors.includes(anchor)) return false
    await this.#take({ ...known, anchors: [anchor] }, 'pinned')
    return true
  }

  #known({ trust }: LinkState): KnownTrust {
    const { cloud } = this.#parts
    return trust?.cloud === cloud ? trust : { cloud, sequence: 0, anchors: [] }
  }

  async #take(trust: KnownTrust, how: 'announced' | 'fetched' | 'pinned'): Promise<void> {
    await this.#parts.save(trust)
    this.use(trust)
    this.#parts.log.info({ how, sequence: trust.sequence, anchors: trust.anchors.length }, 'trust in the cloud changed')
  }
}

/** The same document comes with each answer until the change: only a newer one is news. */
function sameDocument(document: string, { sequence }: KnownTrust): boolean {
  const [, payload = ''] = document.split('.')
  const [, found] = /"sequence":\s*(\d{1,15})/.exec(Buffer.from(payload, 'base64url').toString('utf8')) ?? []
  return found !== undefined && Number(found) <= sequence
}
