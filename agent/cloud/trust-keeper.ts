import type { Log } from '../../shared/log.ts'
import { ownFailures } from './contract/failures.ts'
import { CloudFault } from './fault.ts'
import type { JoinSecret, KnownTrust, LinkState } from './registration/state.ts'
import type { Transport } from './transport.ts'
import { followTrust, numberOf, pinnedAnchor, readTrust } from './trust.ts'

export type TrustParts = {
  cloud: string
  transport: Transport
  log: Log
  /** Changes what is stored of the trust in the cloud, and trusts it. */
  save: (edit: TrustEdit) => Promise<KnownTrust | undefined>
}

type TrustEdit = (stored: KnownTrust | undefined) => KnownTrust

/**
 * By what the cloud is trusted: takes the documents in which it announces another CA or other keys, and fetches them when its certificate or
 * its signature is not trusted.
 */
export class TrustKeeper {
  readonly #parts: TrustParts
  #anchors = '[]'
  /** The announced document that was of no use. */
  #useless = ''

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

  /** Takes a document that the cloud has announced. One that is of no use changes nothing, and is told once. */
  async announced(document: string, state: LinkState): Promise<void> {
    const { cloud, log } = this.#parts
    const known = this.#known(state)
    // The same document comes with each answer until the change.
    if (numberOf(document) <= known.sequence || document === this.#useless) return
    try {
      const trust = await readTrust(document, { cloud, known })
      await this.#take(() => trust, 'announced')
    } catch (error) {
      if (!(error instanceof CloudFault)) throw error
      this.#useless = document
      log.warn({ message: error.message }, 'an announced trust document is of no use')
    }
  }

  /**
   * Fetches what the cloud has published, after a signature that is not trusted.
   * @returns whether something else is trusted now, so that it is worth another try
   * @throws CloudFault
   */
  async renew(state: LinkState, signal: AbortSignal): Promise<boolean> {
    const { cloud, transport } = this.#parts
    const known = this.#known(state)
    if (known.keys === undefined) return false
    const trust = await followTrust(await transport.fetchTrust(signal), { cloud, known })
    if (trust === undefined) return false
    await this.#take(() => trust, 'fetched')
    return true
  }

  /**
   * After a certificate that is not trusted. When it returns, something else is trusted, and it is worth another try.
   * @throws CloudFault `ca-changed`, or the fault itself where nothing is known of the cloud, or where the CA is not to blame
   */
  async recover(fault: CloudFault, state: LinkState, join: JoinSecret | undefined, signal: AbortSignal): Promise<void> {
    const { transport } = this.#parts
    const known = this.#known(state)
    const pin = known.sequence === 0 ? join?.pin : undefined
    if (known.keys === undefined && pin === undefined) throw fault
    let why = 'Its trust document is the one that the region knows already.'
    try {
      if (await this.renew(state, signal)) return
    } catch (error) {
      if (!(error instanceof CloudFault)) throw error
      why = error.message
    }
    if (pin !== undefined) {
      const anchor = await transport.fetchTrust(signal).then((published) => pinnedAnchor(published, pin), unlessFault)
      if (anchor !== undefined && !known.anchors.includes(anchor)) return this.#take((stored) => this.#pinned(anchor, stored), 'pinned')
      why = 'No CA certificate in its trust document that could vouch for it has the key that the installation token pins.'
    }
    throw caChanged(fault, why)
  }

  #known({ trust }: Pick<LinkState, 'trust'>): KnownTrust {
    const { cloud } = this.#parts
    return trust?.cloud === cloud ? trust : { cloud, sequence: 0, anchors: [] }
  }

  /** The key that came with a token is not kept with its pin: the cloud has not signed anything with it yet, and it may be of another token. */
  #pinned(anchor: string, trust: KnownTrust | undefined): KnownTrust {
    return { ...this.#known({ trust }), anchors: [anchor] }
  }

  async #take(edit: TrustEdit, how: 'announced' | 'fetched' | 'pinned'): Promise<void> {
    const trust = await this.#parts.save(edit)
    this.#parts.log.info({ how, sequence: trust?.sequence, anchors: trust?.anchors.length }, 'trust in the cloud changed')
  }
}

/** The fault of a certificate whose CA nobody has announced. That of one with wrong dates or names stays as it is. */
export function caChanged(fault: CloudFault, why: string): CloudFault {
  return fault.isUnknownCa ? new CloudFault('ca-changed', `${ownFailures['ca-changed'].message} ${why}`, { cause: fault }) : fault
}

function unlessFault(error: unknown): undefined {
  if (!(error instanceof CloudFault)) throw error
}
