/**
 * Why a request failed, as far as that makes a difference to a controller:
 * `unreachable` (no answer, 503, 504), `server-error` (429, other 5xx, a quota that is not counted yet), `not-served` (404 for the whole
 * kind), `not-found` (404 for one object), `already-exists`, `conflict`, `gone` (410), and `refused` for everything else.
 */
export type FailureKind = 'unreachable' | 'server-error' | 'not-served' | 'not-found' | 'already-exists' | 'conflict' | 'gone' | 'refused'

/** The part of a Kubernetes `Status` that says why. */
type Status = { message?: string; reason?: string; details?: { name?: string; causes?: { reason?: string }[] } }

/** A request that the API server did not answer with success. Its message begins with the request. */
export class RequestFailure extends Error {
  override readonly name = 'RequestFailure'
  readonly kind: FailureKind

  constructor(kind: FailureKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

/** Whether an error is a RequestFailure, of one of the given kinds if any are given. */
export function isFailure(error: unknown, ...kinds: FailureKind[]): error is RequestFailure {
  return error instanceof RequestFailure && (kinds.length === 0 || kinds.includes(error.kind))
}

/** @param what the request in words, such as `GET /api/v1/pods` */
export function failureOf(what: string, code: number, status: Status = {}): RequestFailure {
  return new RequestFailure(kindOf(code, status), `${what}: ${status.message ?? `status ${code}`}`)
}

function kindOf(code: number, { reason, message = '', details }: Status): FailureKind {
  if (code === 503 || code === 504) return 'unreachable'
  if (code === 429 || code >= 500 || message.includes('status unknown for quota')) return 'server-error'
  if (details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating')) return 'conflict'
  // A 404 that names no object is about the whole kind.
  if (code === 404) return details?.name === undefined ? 'not-served' : 'not-found'
  if (code === 409) return reason === 'AlreadyExists' ? 'already-exists' : 'conflict'
  return code === 410 ? 'gone' : 'refused'
}
