import { type FailureName, failures } from './contract/failures.ts'

/**
 * - `unreachable`: there was no answer.
 * - `untrusted`: the certificate of the cloud is not trusted.
 * - `garbled`: the answer is not what the contract says, or contradicts what the cloud has said before.
 * - `busy`: the cloud asks for patience, or has a fault of its own.
 * - `refused`: the cloud refuses, and says why.
 */
type Kind = 'unreachable' | 'untrusted' | 'garbled' | 'busy'

type Details = { cause?: unknown; retryAfterMs?: number | undefined }

/** Why the cloud could not be talked to. The message is a sentence for people, and holds nothing that the cloud wrote unless it was bounded. */
export class CloudFault extends Error {
  readonly kind: Kind | 'refused'
  /** The class, of a refusal. */
  readonly failure: FailureName | undefined
  /** How long the cloud asks to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(why: Kind | FailureName, message?: string, { cause, retryAfterMs }: Details = {}) {
    const failure = isFailure(why) ? why : undefined
    super(message ?? (failure ? failures[failure].message : why), { cause })
    this.name = 'CloudFault'
    this.kind = failure ? 'refused' : (why as Kind)
    this.failure = failure
    this.retryAfterMs = retryAfterMs
  }
}

function isFailure(why: Kind | FailureName): why is FailureName {
  return Object.hasOwn(failures, why)
}
