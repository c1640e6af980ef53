import { createHash, randomBytes } from 'node:crypto'
import type { Claim } from '../../agent/cloud/contract/registration.ts'
import { tokenProof } from '../../agent/cloud/token-proof.ts'
import type { Point } from './points.ts'
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
  /** The status as it was last told, and when that was, by the clock of the cloud. */
  status?: { sequence: number; [field: string]: unknown }
  heardAt?: number
  /** The file that it can be made again from, and when it came, by the clock of the cloud. */
  file?: { digest: string; bytes: Buffer; at: number }
  /** Until when its pairing code can be typed. */
  codeUntil?: number
  /** The document and the credential of that number, given out again if their answer was lost. */
  last?: { joinState: string; credential: string; expiresAt: number }
}

type Token = { id: string; sha256: string; hash: string; expiresAt: number; usedBy?: string }

/** What the cloud stores. It can be taken away and put back, as from a backup. `tokens`: by the hash in claims; `codes`: the registration that shows each. */
export type Records = { regions: Record<string, Registered>; tokens: Record<string, Token>; codes: Record<string, string> }

/** The rules of a registry that keeps the contract. */
export class Registry {
  records: Records = { regions: {}, tokens: {}, codes: {} }
  /** Whether a token is enough, or a person must approve. */
  approves = true
  /** Thumbprints that somebody has registered before their region came. */
  readonly expected = new Set<string>()
  /** The ids of these regions by their thumbprints: ten thousand claims do not each look through ten thousand regions. */
  #ofKeys: { regions?: Records['regions']; ids: Map<string, string> } = { ids: new Map() }
  readonly #origin: string
  readonly #without: Point | undefined

  /** @param without the point of the contract that it does not keep */
  constructor(origin: string, without?: Point) {
    this.#origin = origin
    this.#without = without
  }

  /** A copy, for `records` later. */
  backup(): Records {
    return structuredClone(this.records)
  }

  /** @param text the token itself; the cloud keeps its hash */
  addToken(text: string, { id = randomBytes(16).toString('hex'), expiresAt = Number.MAX_SAFE_INTEGER } = {}): Token {
    const sha256 = createHash('sha256').update(text).digest('hex')
    const hash = createHash('sha256').update(Buffer.from(sha256, 'hex')).digest('hex')
    const token = { id, sha256, hash, expiresAt }
    this.records.tokens[hash] = token
    return token
  }

  /** Takes a claim; the same one again is the same region. @throws Refusal */
  claim(claim: Claim, thumbprint: string, now: number): Registered {
    const forgets = this.#without === (claim.token ? 'Same key, same region' : 'No token')
    const known = forgets ? undefined : this.#ofKey(thumbprint)
    if (claim.token) return this.#byToken(claim, thumbprint, known, now)
    const region = known ?? this.#add(claim, thumbprint, this.expected.has(thumbprint))
    if (claim.pairing && region.state === 'awaiting') this.#show(claim.pairing, region, now)
    return region
  }

  /** A person types the code that the region shows. @throws Error if no region shows it, or not any more */
  typed(code: string, now = 0): Registered {
    const region = this.records.regions[this.records.codes[code.toUpperCase().replace(/[\s-]/g, '')] ?? '']
    if (region === undefined || (region.codeUntil ?? 0) < now) throw new Error(`no region shows ${code}`)
    region.state = 'approved'
    return region
  }

  /** @throws Refusal `unknown-region` */
  get(id: string, thumbprint: string): Registered {
    const region = this.records.regions[id]
    if (region === undefined) throw new Refusal(this.#without === 'An unknown region' ? 'invalid-signature' : 'unknown-region')
    if (region.thumbprint !== thumbprint && this.#without !== 'The key of the region') throw new Refusal('invalid-signature')
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
      if (this.#without === 'The last number') return 'again'
      region.sequence = sequence
      return 'new'
    }
    if (sequence === region.sequence - 1 && !region.isUsed && region.last) {
      return this.#without === 'One less, and the last was never used' ? 'new' : 'again'
    }
    if (this.#without === 'A lower number') return 'new'
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
    const token = this.#tokenOf(claim, thumbprint)
    const isUsed = token.usedBy !== undefined && token.usedBy !== thumbprint
    if (isUsed && this.#without !== 'One region for a token') throw new Refusal('token-used')
    const isLate = token.usedBy === undefined && token.expiresAt <= now
    if (isLate && this.#without !== 'An expired token') throw new Refusal('token-expired')
    const isOver = known?.state === 'deregistered' || known?.state === 'revoked'
    // It takes another token: with the one that it has, the region would undo what a person has decided.
    if (isOver && token.usedBy !== undefined) throw new Refusal(known.state as 'deregistered' | 'revoked')
    const region = known && !isOver ? known : this.#add(claim, thumbprint, this.approves)
    token.usedBy = thumbprint
    if (region.state === 'awaiting' && this.approves) region.state = 'approved'
    return region
  }

  /** @throws Refusal `token-unknown`, also to whoever has only seen the claim of another key */
  #tokenOf({ token }: Claim, thumbprint: string): Token {
    const known = this.records.tokens[token?.hash ?? '']
    if (known === undefined && this.#without === 'An unknown token') {
      return { id: '', sha256: '', hash: '', expiresAt: Number.MAX_SAFE_INTEGER }
    }
    const mac = known && tokenProof(known.sha256, { cloud: this.#origin, thumbprint }).mac
    if (known && (token?.mac === mac || this.#without === 'What proves the token')) return known
    throw new Refusal('token-unknown')
  }

  /** The last region of that key. Records that were put back, or changed from outside, are looked through. */
  #ofKey(thumbprint: string): Registered | undefined {
    const { regions } = this.records
    if (this.#ofKeys.regions !== regions) {
      this.#ofKeys = { regions, ids: new Map(Object.values(regions).map((region) => [region.thumbprint, region.id])) }
    }
    const id = this.#ofKeys.ids.get(thumbprint)
    if (id === undefined || regions[id] !== undefined) return regions[id ?? '']
    return Object.values(regions).findLast((region) => region.thumbprint === thumbprint)
  }

  #add(claim: Claim, thumbprint: string, isApproved: boolean): Registered {
    const id = `r-${randomBytes(6).toString('hex')}`
    const region: Registered = { id, thumbprint, claim, state: isApproved ? 'approved' : 'awaiting', sequence: 0, isUsed: false }
    this.records.regions[id] = region
    this.#ofKeys.ids.set(thumbprint, id)
    return region
  }

  /** A region shows one code at a time, for as long as it says. */
  #show({ code, expiresIn }: NonNullable<Claim['pairing']>, region: Registered, now: number): void {
    const { codes, regions } = this.records
    const shownBy = codes[code]
    const isOver = shownBy !== undefined && (regions[shownBy]?.codeUntil ?? Number.MAX_SAFE_INTEGER) < now
    const isTaken = shownBy !== undefined && shownBy !== region.id && !isOver
    if (isTaken && this.#without !== 'One code for two') throw new Refusal('pairing-code-taken')
    for (const [other, id] of Object.entries(codes)) if (id === region.id) delete codes[other]
    codes[code] = region.id
    region.codeUntil = now + expiresIn * 1000
  }
}
