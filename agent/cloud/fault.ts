import { type FailureName, type FaultKind, failures, type OwnFailureName, ownFailures } from './contract/failures.ts'

type Details = { cause?: unknown; retryAfterMs?: number | undefined; isUnknownCa?: boolean; isCut?: boolean }

/** Why the cloud could not be talked to. The message is a sentence for people: it may quote the cloud, and is one bounded line all the same. */
export class CloudFault extends Error {
  readonly kind: FaultKind | 'refused'
  /** The class, of a refusal. */
  readonly failure: FailureName | undefined
  /** The class of what the region has found itself; undefined for a refusal. */
  readonly own: OwnFailureName | undefined
  /** How long the cloud asks to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** Of an untrusted certificate: its CA is the reason, not its dates or names. */
  readonly isUnknownCa: boolean
  /** The connection ended without an answer, as one does that was idle, and that the other side has closed meanwhile. */
  readonly isCut: boolean

  constructor(
    why: OwnFailureName | FailureName,
    message?: string,
    { cause, retryAfterMs, isUnknownCa = false, isCut = false }: Details = {},
  ) {
    const row = isRefusal(why) ? failures[why] : ownFailures[why]
    super(shown(message ?? row.message), { cause })
    this.name = 'CloudFault'
    this.kind = isRefusal(why) ? 'refused' : ownFailures[why].kind
    this.failure = isRefusal(why) ? why : undefined
    this.own = isRefusal(why) ? undefined : why
    this.retryAfterMs = retryAfterMs
    this.isUnknownCa = isUnknownCa
    this.isCut = isCut
  }
}

/** The longest message: it becomes an Event, a column, and a line of the log. */
const longestMessage = 1_000

/** Names in a certificate, headers and fields are the words of whoever answers: none of them moves a cursor or begins another line. */
function shown(message: string): string {
  return message.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, ' ').slice(0, longestMessage)
}

function isRefusal(why: OwnFailureName | FailureName): why is FailureName {
  return Object.hasOwn(failures, why)
}
