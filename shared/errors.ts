/**
 * Whether a failed request may be repeated.
 * `never`: the same request fails again. `backoff`: it may succeed by itself after a pause, longer each time.
 * `later`: it succeeds after the `action`, or after `retryAfterSeconds`.
 */
export type Retry = 'never' | 'backoff' | 'later'

/** One row of the table of problems: the HTTP status, whether to retry, and what a person should do. */
export type ProblemKind = { status: number; retry: Retry; title: string; action: string }

/** Every kind of problem. A new kind is one new row; its key ends the problem's `type` URI. */
export const problems = {
  'invalid-request': {
    status: 400,
    retry: 'never',
    title: 'The request is malformed',
    action: 'Correct the syntax of the body, header or query that the detail names, and send the request again.',
  },
  unauthenticated: {
    status: 401,
    retry: 'never',
    title: 'The request carries no valid credential',
    action:
      'Send a current token as "Authorization: Bearer …", or a client certificate that the agent trusts. Replace an expired token: a retry does not help.',
  },
  forbidden: {
    status: 403,
    retry: 'never',
    title: 'The credential does not permit this',
    action: 'Use a credential with the scope that the detail names, or add that scope to this one.',
  },
  'not-found': {
    status: 404,
    retry: 'never',
    title: 'The resource does not exist',
    action: 'Check the name and the path. The list one level up shows the existing names.',
  },
  'method-not-allowed': {
    status: 405,
    retry: 'never',
    title: 'The path does not support this method',
    action: 'Use one of the methods in the Allow header.',
  },
  'not-acceptable': {
    status: 406,
    retry: 'never',
    title: 'None of the accepted media types is available',
    action: 'Send "Accept: application/json", or omit the header.',
  },
  'request-timeout': {
    status: 408,
    retry: 'backoff',
    title: 'The request did not arrive in time',
    action: 'Send the whole request without long pauses, on a new connection.',
  },
  conflict: {
    status: 409,
    retry: 'backoff',
    title: 'Somebody else changed the object at the same time',
    action: 'Read the object again, and apply the change to the new version.',
  },
  'already-exists': {
    status: 409,
    retry: 'never',
    title: 'An object of that name already exists',
    action: 'Choose another name, or change the existing object.',
  },
  'field-conflict': {
    status: 409,
    retry: 'never',
    title: 'Another field manager owns a field of this object',
    action: 'Find the manager among the managed fields of the object, and make it give up the field.',
  },
  protected: {
    status: 409,
    retry: 'later',
    title: 'The resource is protected against this change',
    action: 'If the change is intended, remove the protection first, in a request of its own.',
  },
  'not-empty': {
    status: 409,
    retry: 'later',
    title: 'The resource is not empty',
    action: 'Delete the objects that the detail names, wait for their end, then repeat the request.',
  },
  'ledger-behind': {
    status: 409,
    retry: 'never',
    title: 'The resource has changed since the entry of the ledger that the caller knows',
    action:
      'Read the operations since that entry (GET /v1/operations?since=N), decide again, and send the request with the newer number. A cloud that was restored from a backup finds there what it has forgotten.',
  },
  'ledger-ahead': {
    status: 409,
    retry: 'never',
    title: 'The caller knows entries that the ledger of this region does not have',
    action:
      "The region's etcd was restored from a backup, or this is another region. Read the ledger (GET /v1/operations), compare the hashes with those that you know, and go on from the newest entry.",
  },
  'wrong-state': {
    status: 409,
    retry: 'later',
    title: 'The present state does not permit this',
    action: 'Wait for the state that the detail names, or bring it about, then repeat the request.',
  },
  ended: {
    status: 409,
    retry: 'never',
    title: 'The operation has already ended',
    action: 'It can no longer be changed. Send a new request.',
  },
  gone: {
    status: 410,
    retry: 'never',
    title: 'It existed, but is no longer kept',
    action: 'Start over: list without a cursor, or connect without Last-Event-ID.',
  },
  'precondition-failed': {
    status: 412,
    retry: 'never',
    title: 'A condition in If-Match or If-None-Match does not hold',
    action: 'Read the resource again, decide whether the change is still right, and send it with the new ETag.',
  },
  'body-too-large': {
    status: 413,
    retry: 'never',
    title: 'The body is too large',
    action: 'Send a smaller body. The detail names the limit.',
  },
  'uri-too-long': {
    status: 414,
    retry: 'never',
    title: 'The URI is too long',
    action: 'Shorten the query. The detail names the limit.',
  },
  'unsupported-media-type': {
    status: 415,
    retry: 'never',
    title: 'The media type of the body is not supported here',
    action: 'Send JSON as application/json, and a patch as application/merge-patch+json.',
  },
  'invalid-fields': {
    status: 422,
    retry: 'never',
    title: 'Some fields are invalid',
    action: 'Correct every field listed under "faults", and send the request again.',
  },
  'idempotency-key-reused': {
    status: 422,
    retry: 'never',
    title: 'The Idempotency-Key belongs to a different request',
    action: 'Use a new key for a new request, and the same key only to repeat a request unchanged.',
  },
  'rejected-by-cluster': {
    status: 422,
    retry: 'never',
    title: 'The Kubernetes API rejects this object',
    action: 'Correct the fields listed under "faults", or ask the owner of the admission policy that the detail names.',
  },
  'quota-exceeded': {
    status: 422,
    retry: 'later',
    title: 'The request exceeds the quota',
    action: 'Ask for less, delete something in the same project, purge its deleted databases, or raise the quota.',
  },
  'unsupported-edit': {
    status: 422,
    retry: 'never',
    title: 'The field cannot be changed after creation',
    action: 'Keep the present value. For another value, create a new resource and move the data.',
  },
  'rate-limited': {
    status: 429,
    retry: 'later',
    title: 'Too many requests',
    action: 'Wait for the time in Retry-After, and send fewer requests at once.',
  },
  'headers-too-large': {
    status: 431,
    retry: 'never',
    title: 'The header fields are too large',
    action: 'Send fewer or shorter header fields. Cookies are not needed.',
  },
  internal: {
    status: 500,
    retry: 'backoff',
    title: 'The agent met an unexpected error',
    action: "Find the request id in the agent's log: the cause is there. Please report it.",
  },
  'cluster-error': {
    status: 502,
    retry: 'backoff',
    title: 'The Kubernetes API answered with an error',
    action: 'None if it passes. Otherwise check the API server, its admission webhooks and etcd.',
  },
  busy: {
    status: 503,
    retry: 'later',
    title: 'The agent is at capacity',
    action: 'Repeat the request after the time in Retry-After.',
  },
  'not-ready': {
    status: 503,
    retry: 'later',
    title: 'The agent is starting, or has not read the whole cluster yet',
    action: 'None if it passes within a minute. Otherwise see /readyz on the admin port for the reason.',
  },
  'unknown-action': {
    status: 503,
    retry: 'later',
    title: 'A newer version of the agent accepted the request, and this version does not support it',
    action: 'Finish the upgrade: an agent of the newer version carries it out. Otherwise cancel the operation.',
  },
  'cluster-unreachable': {
    status: 503,
    retry: 'backoff',
    title: 'The Kubernetes API did not answer',
    action: 'None if it passes. Otherwise check the API server and the network policy.',
  },
  'not-served': {
    status: 503,
    retry: 'later',
    title: 'The Kubernetes API does not serve this kind of object',
    action: 'None if the API server has just started. Otherwise install the CRD that the detail names.',
  },
  'cluster-forbidden': {
    status: 503,
    retry: 'later',
    title: 'The Kubernetes API does not permit the agent to do this',
    action:
      "Grant the agent's service account the rights that the detail names: compare its ClusterRole and bindings (RBAC) with those of the chart.",
  },
  'rights-pending': {
    status: 503,
    retry: 'later',
    title: "The agent's rights in the namespace of a project are not in effect yet",
    action:
      'None if it passes within seconds. Otherwise compare the ClusterRole skerry-agent-project with that of the chart, and see the RoleBindings in the namespace of the project.',
  },
  'database-unreachable': {
    status: 503,
    retry: 'backoff',
    title: 'The database did not answer',
    action: 'None if it passes. Otherwise check its blockers, and whether the network policy lets the agent reach port 4200.',
  },
  'database-refused': {
    status: 502,
    retry: 'backoff',
    title: 'The database answered with an error',
    action: "The detail is CrateDB's own message. None if it passes; otherwise check the health of the database.",
  },
  'deadline-exceeded': {
    status: 504,
    retry: 'backoff',
    title: 'The deadline has passed',
    action: 'Check the progress before you repeat the request: the work may still be going on.',
  },
} as const satisfies Record<string, ProblemKind>

/** The key of a row in `problems`. */
export type ProblemType = keyof typeof problems

/** One fault in a body or a file. `path` is a JSON pointer into it (RFC 6901); '' is the whole. */
export type BodyFault = { path: string; message: string }

/** One fault in a parameter of a request, which has a name and no pointer. */
type ParameterFault = { in: 'path' | 'query' | 'header'; name: string; message: string }

export type Fault = BodyFault | ParameterFault

/** Where a fault is, for people, and to compare places: `/nodes/count`, `query parameter "since"`, `header Prefer`. */
export function placeOf(fault: Fault): string {
  if ('path' in fault) return fault.path === '' ? 'the request' : fault.path
  return fault.in === 'header' ? `header ${fault.name}` : `${fault.in} parameter ${JSON.stringify(fault.name)}`
}

/** A sentence with the first fault in full, since many readers stop there, and the number of the others. @param more besides `faults` */
export function summaryOf(faults: readonly Fault[], more = 0): string {
  const [first] = faults
  if (!first) return ''
  const place = placeOf(first)
  const said = `${place.startsWith('/') ? place : place.charAt(0).toUpperCase() + place.slice(1)}: ${first.message}.`
  const count = distinct(faults).length - 1 + more
  return count === 0 ? said : `${said} And ${count} more, listed under "faults".`
}

/** At most this many faults are told: nobody reads more, and a hostile input has one in every byte. */
export const maxFaults = 100

/** The faults of an input, as they are found: the first ones are kept, the others are counted. */
export class FaultList<F = Fault> {
  readonly found: F[] = []
  more = 0

  /** @param say called only for a fault that is kept: words take longer than finding the fault */
  add(say: () => F): void {
    if (this.found.length < maxFaults) this.found.push(say())
    else this.more++
  }

  /** @param more how many there are besides `faults` */
  addAll(faults: readonly F[], more = 0): void {
    for (const fault of faults) this.add(() => fault)
    this.more += more
  }
}

/** All faults of a document together may have this many bytes, so that no problem document has more than 64 KiB. */
const maxFaultBytes = 40 * 1024

/** The faults as they are told. Whatever finds faults may quote what it was given, so each text is cut here. */
function toldOf(given: readonly Fault[], more: number): { faults: Fault[]; more: number } {
  const faults: Fault[] = []
  let bytes = 0
  const all = distinct(given)
  for (const fault of all.slice(0, maxFaults)) {
    const message = cut(fault.message, 1000)
    const told = 'path' in fault ? { path: cut(fault.path, 500), message } : { in: fault.in, name: cut(fault.name, 500), message }
    bytes += Buffer.byteLength(JSON.stringify(told))
    if (bytes > maxFaultBytes) break
    faults.push(told)
  }
  return { faults, more: more + all.length - faults.length }
}

/** Without those that say the same of the same place. */
function distinct(faults: readonly Fault[]): Fault[] {
  return [...new Map(faults.map((fault) => [`${placeOf(fault)} ${fault.message}`, fault])).values()]
}

/** The text, well-formed, with at most `length` UTF-16 code units and an ellipsis. */
function cut(text: string, length: number): string {
  return (text.length > length ? `${text.slice(0, length)}…` : text).toWellFormed()
}

/** The optional parts of a Problem. */
export type ProblemOptions = {
  /** Stays in the log; never leaves the process. */
  cause?: unknown
  faults?: readonly Fault[]
  /** How many faults there are besides those in `faults`. */
  moreFaults?: number
  /** Further members of the document (RFC 9457, section 3.2). They never replace a standard member. */
  extensions?: Record<string, unknown>
  /** Becomes Retry-After, in whole seconds. */
  retryAfterSeconds?: number
}

/**
 * A failure with a row in the table: its HTTP status, whether to retry, and what to do.
 * `detail` is written for the caller and goes out on the wire: no secret, no body, no stack.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly type: ProblemType
  readonly detail: string
  /** As many as are told, see `maxFaults`. */
  readonly faults: readonly Fault[]
  /** How many faults there are besides. */
  readonly moreFaults: number
  readonly extensions: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds: number | undefined

  constructor(type: ProblemType, detail: string, options: ProblemOptions = {}) {
    const { faults, more } = toldOf(options.faults ?? [], options.moreFaults ?? 0)
    const told = cut(detail, 2000) + (more > 0 ? ` Only the first ${faults.length} faults are listed.` : '')
    super(told, 'cause' in options ? { cause: options.cause } : undefined)
    this.type = type
    this.detail = told
    this.faults = faults
    this.moreFaults = more
    this.extensions = options.extensions ?? {}
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get status(): number {
    return problems[this.type].status
  }

  get retry(): Retry {
    return problems[this.type].retry
  }

  get title(): string {
    return problems[this.type].title
  }

  get action(): string {
    return problems[this.type].action
  }
}

/** True for a Problem, of one of the given types if any are given. */
export function isProblem(error: unknown, ...types: ProblemType[]): error is Problem {
  return error instanceof Problem && (types.length === 0 || types.includes(error.type))
}

/** Any error as a Problem: any other error becomes `internal`, with fixed text and the error as its cause. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem('internal', "The cause is in the agent's log.", { cause: error })
}

/** The level at which a Problem is logged: only a defect of Skerry is an error. */
export function problemLevel(type: ProblemType): 'info' | 'warn' | 'error' {
  if (type === 'internal') return 'error'
  return problems[type].status >= 500 ? 'warn' : 'info'
}

/** An RFC 9457 document, with Skerry's own members `action`, `retry` and `faults`. */
export type ProblemDocument = {
  type: string
  title: string
  status: number
  detail: string
  instance?: string
  action: string
  retry: Retry
  faults?: readonly Fault[]
  moreFaults?: number
  [extension: string]: unknown
}

/** The base of the problems' types. It identifies them and need not be resolvable (RFC 9457, section 3.1.1). */
export const problemTypeBase = 'https://skerry.dev/problems/'

/** The media type of a problem document. */
export const problemMediaType = 'application/problem+json'

/** The RFC 9457 document of a problem. `instance` is a URI reference of this occurrence, such as `/v1/requests/<id>`. */
export function problemDocument(problem: Problem, instance?: string): ProblemDocument {
  const { status, title, action, retry } = problem
  return {
    ...problem.extensions,
    type: problemTypeBase + problem.type,
    title,
    status,
    // The text of an internal problem is fixed: only the log has the cause.
    detail: problem.type === 'internal' ? "The cause is in the agent's log." : problem.detail,
    ...(instance === undefined ? {} : { instance }),
    action,
    retry,
    ...(problem.faults.length === 0 ? {} : { faults: problem.faults }),
    ...(problem.moreFaults === 0 ? {} : { moreFaults: problem.moreFaults }),
  }
}

/** The HTTP response of a problem, with Retry-After where there is one. It is never cached. */
export function problemResponse(problem: Problem, instance?: string): Response {
  const headers: Record<string, string> = { 'content-type': problemMediaType, 'cache-control': 'no-store' }
  if (problem.retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(0, Math.ceil(problem.retryAfterSeconds)))
  return new Response(JSON.stringify(problemDocument(problem, instance)), { status: problem.status, headers })
}
