import { createHash, randomBytes } from 'node:crypto'
import type { Claim } from '../../agent/cloud/contract/registration.ts'
import { Refusal } from './proofs.ts'

/** A region as the cloud knows it. Times are Unix milliseconds. */
export type Registered = {
  id: string
  thumbprint: string
  claim: Claim
  state: 'awaiting' | 'approved' | 'refused' | 'locked' | 'revoked' | 'deregistered'
  /** Number of the last join state, and whether its credential was used. */
  sequence: number
  isUsed: boolean
  /** The status as it was last told. */
  status?: { sequence: number; [field: string]: unknown }
  /** The document and the credential of that number, given out again if their answer was lost. */
  last?: { joinState: string; credential: string; expiresAt: number }
}

type Token = { id: string; sha256: string; expiresAt: number; usedBy?: string }

/** What the cloud stores. It can be taken away and put back, as from a backup. */
export type Records = { regions: Record<string, Registered>; tokens: Record<string, Token>; codes: Record<string, string> }

/** The rules of a registry that keeps the contract. */
export class Registry {
  records: Records = { regions: {}, tokens: {}, codes: {} }
  /** Whether a token is enough, or a person must approve. */
  approves = true
  /** Thumbprints that somebody has registered before their region came. */
  readonly expected = new Set<string>()

  /** A copy, for `records` later. */
  backup(): Records {
    return structuredClone(this.records)
  }

  /** @param text the token itself; the cloud keeps its hash */
  addToken(text: string, { id = randomBytes(16).toString('hex'), expiresAt = Number.MAX_SAFE_INTEGER } = {}): Token {
    const sha256 = createHash('sha256').update(text).digest('hex')
    const token = { id, sha256, expiresAt }
    this.records.tokens[sha256] = token
    return token
  }

  /** Takes a claim; the same one again is the same region. @throws Refusal */
  claim(claim: Claim, thumbprint: string, now: number): Registered {
    const known = this.#ofKey(thumbprint)
    if (claim.token) return this.#byToken(claim, thumbprint, known, now)
    if (known) return known
    const region = this.#add(claim, thumbprint, this.expected.has(thumbprint))
    const { code } = claim.pairing ?? {}
    if (code !== undefined) this.#show(code, region)
    return region
  }

  /** A person types the code that the region shows. @throws Error if no region shows it */
  typed(code: string): Registered {
    const region = this.records.regions[this.records.codes[code.replace('-', '')] ?? '']
    if (region === undefined) throw new Error(`no region shows ${code}`)
    region.state = 'approved'
    return region
  }

  /** @throws Refusal `unknown-region` */
  get(id: string, thumbprint: string): Registered {
    const region = this.records.regions[id]
    if (region === undefined) throw new Refusal('unknown-region')
    if (region.thumbprint !== thumbprint) throw new Refusal('invalid-signature')
    if (region.state === 'revoked' || region.state === 'deregistered') throw new Refusal(region.state)
    if (region.state === 'refused') throw new Refusal('not-approved')
    if (region.state === 'locked') throw new Refusal('cloned')
    return region
  }

  /**
   * Whether a renewal may go on from that number. The one before the last is that of a region to which the last answer was lost, as long as
   * nobody has used that. A number that is higher than ours shows that the cloud itself was restored.
   * @throws Refusal `cloned`, which locks the region until a person has looked
   */
  presented(region: Registered, sequence: number): 'new' | 'again' {
    if (sequence >= region.sequence) {
      region.sequence = sequence
      return 'new'
    }
    if (sequence === region.sequence - 1 && !region.isUsed && region.last) return 'again'
    region.state = 'locked'
    throw new Refusal('cloned')
  }

  /** A person has looked: the next one who asks is taken for the region. */
  unlock(id: string): void {
    const region = this.records.regions[id]
    if (region === undefined) return
    region.state = 'approved'
    region.sequence = 0
  }

  #byToken(claim: Claim, thumbprint: string, known: Registered | undefined, now: number): Registered {
    const token = this.records.tokens[claim.token?.sha256 ?? '']
    if (token === undefined) throw new Refusal('token-unknown')
    if (token.usedBy !== undefined && token.usedBy !== thumbprint) throw new Refusal('token-used')
    if (token.usedBy === undefined && token.expiresAt <= now) throw new Refusal('token-expired')
    const region =
      known && known.state !== 'deregistered' && known.state !== 'revoked' ? known : this.#add(claim, thumbprint, this.approves)
    token.usedBy = thumbprint
    if (region.state === 'awaiting' && this.approves) region.state = 'approved'
    return region
  }

  #ofKey(thumbprint: string): Registered | undefined {
    return Object.values(this.records.regions).findLast((region) => region.thumbprint === thumbprint)
  }

  #add(claim: Claim, thumbprint: string, isApproved: boolean): Registered {
    const id = `r-${randomBytes(6).toString('hex')}`
    const region: Registered = { id, thumbprint, claim, state: isApproved ? 'approved' : 'awaiting', sequence: 0, isUsed: false }
    this.records.regions[id] = region
    return region
  }

  #show(code: string, region: Registered): void {
    const shown = this.records.codes[code]
    if (shown !== undefined && shown !== region.id) throw new Refusal('pairing-code-taken')
    this.records.codes[code] = region.id
  }
}
