/**
 * What may be done about a failed request.
 * `never`: the same request fails again. `backoff`: it may succeed by itself, so wait a little, longer each time.
 * `later`: it succeeds once something named in `action` has happened, or after `retryAfterSeconds`.
 */
export type Retry = 'never' | 'backoff' | 'later'

/** One row of the table of problems: the HTTP answer, who may try again, and what a person should do. */
export type ProblemKind = { status: number; retry: Retry; title: string; action: string }

/** Every kind of failure that Skerry designed. A new kind is one new row; its key ends the problem's `type` URI. */
export const problems = {
  'invalid-request': {
    status: 400,
    retry: 'never',
    title: 'The request cannot be read',
    action: 'Correct what the detail names: the syntax of the body, of a header or of the query. Then send it again.',
  },
  unauthenticated: {
    status: 401,
    retry: 'never',
    title: 'No valid credential came with the request',
    action:
      'Send a current token as "Authorization: Bearer …", or a client certificate the agent trusts. An expired token is rotated, not retried.',
  },
  forbidden: {
    status: 403,
    retry: 'never',
    title: 'The credential does not allow this',
    action: 'Use a credential with the scope that the detail names, or have that scope added to this one.',
  },
  'not-found': {
    status: 404,
    retry: 'never',
    title: 'There is no such thing here',
    action: 'Check the name and the path. The list one level up shows what exists.',
  },
  'method-not-allowed': {
    status: 405,
    retry: 'never',
    title: 'This path does not take that method',
    action: 'Use one of the methods in the Allow header.',
  },
  'not-acceptable': {
    status: 406,
    retry: 'never',
    title: 'None of the accepted media types is offered here',
    action: 'Send "Accept: application/json", or leave the header out.',
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
    title: 'The object was changed by someone else at the same time',
    action: 'Read it again and repeat the change on what it is now.',
  },
  'already-exists': {
    status: 409,
    retry: 'never',
    title: 'Something of that name exists already',
    action: 'Choose another name, or change the existing one.',
  },
  'field-conflict': {
    status: 409,
    retry: 'never',
    title: 'Another manager owns a field of this object',
    action: 'Find it among the managed fields of the object, and let it give the field up.',
  },
  protected: {
    status: 409,
    retry: 'never',
    title: 'It is protected against this change',
    action: 'Take the protection away first, in a request of its own, if the change is really meant.',
  },
  'not-empty': {
    status: 409,
    retry: 'later',
    title: 'It still contains something',
    action: 'Delete what the detail names, wait until that is done, then repeat the request.',
  },
  'wrong-state': {
    status: 409,
    retry: 'later',
    title: 'This cannot be done in the state it is in',
    action: 'Bring it into the state that the detail names, or wait for that, then repeat the request.',
  },
  ended: {
    status: 409,
    retry: 'never',
    title: 'It has ended already',
    action: 'Nothing can be changed about it any more. Ask for what you want now in a new request.',
  },
  gone: {
    status: 410,
    retry: 'never',
    title: 'It existed, and is no longer kept',
    action: 'Start from the beginning: list again without a cursor, or connect again without Last-Event-ID.',
  },
  'precondition-failed': {
    status: 412,
    retry: 'never',
    title: 'It is no longer the version that If-Match names',
    action: 'Read it again, decide whether the change is still right, and send it with the new ETag.',
  },
  'body-too-large': {
    status: 413,
    retry: 'never',
    title: 'The body is larger than the agent takes',
    action: 'Send less. The detail names the limit.',
  },
  'uri-too-long': {
    status: 414,
    retry: 'never',
    title: 'The address is longer than the agent takes',
    action: 'Shorten the query. The detail names the limit.',
  },
  'unsupported-media-type': {
    status: 415,
    retry: 'never',
    title: 'The body is of a media type that is not taken here',
    action: 'Send JSON as application/json; a patch as application/merge-patch+json.',
  },
  'invalid-fields': {
    status: 422,
    retry: 'never',
    title: 'Some fields are not as they must be',
    action: 'Correct every field listed under "faults" and send the request again.',
  },
  'idempotency-key-reused': {
    status: 422,
    retry: 'never',
    title: 'This Idempotency-Key belongs to a different request',
    action: 'Use a new key for a new request; the same key only to repeat the very same one.',
  },
  'rejected-by-cluster': {
    status: 422,
    retry: 'never',
    title: 'The Kubernetes API refuses this object',
    action: 'Correct the fields listed under "faults", or ask the owner of the admission policy that the detail names.',
  },
  'quota-exceeded': {
    status: 422,
    retry: 'later',
    title: 'It does not fit into the quota',
    action: 'Ask for less, delete something in the same project, or have the quota raised.',
  },
  'unsupported-edit': {
    status: 422,
    retry: 'never',
    title: 'This cannot be changed after creation',
    action: 'Keep the present value. To have another one, create it anew and move the data.',
  },
  'rate-limited': {
    status: 429,
    retry: 'later',
    title: 'Too many requests',
    action: 'Wait as long as Retry-After says, and send fewer at once.',
  },
  'headers-too-large': {
    status: 431,
    retry: 'never',
    title: 'The header fields are larger than the agent takes',
    action: 'Send fewer or shorter header fields. Cookies are not needed here.',
  },
  internal: {
    status: 500,
    retry: 'backoff',
    title: 'The agent failed in a way nobody designed',
    action: "Look for the request id in the agent's log; the cause is written there. Please report it.",
  },
  'cluster-error': {
    status: 502,
    retry: 'backoff',
    title: 'The Kubernetes API answered with an error of its own',
    action: 'None if it passes. Else check the API server, its admission webhooks and its etcd.',
  },
  busy: {
    status: 503,
    retry: 'later',
    title: 'The agent has as much in hand as it takes',
    action: 'Wait as long as Retry-After says, and repeat the request.',
  },
  'not-ready': {
    status: 503,
    retry: 'later',
    title: 'The agent is starting, or has not seen the whole cluster yet',
    action: 'None if it passes within a minute. Else see what /readyz on the admin port waits for.',
  },
  'unknown-action': {
    status: 503,
    retry: 'later',
    title: 'A newer version of the agent accepted this, and this version does not know it',
    action: 'Finish the upgrade: an agent of the newer version carries it out. Else cancel the operation.',
  },
  'cluster-unreachable': {
    status: 503,
    retry: 'backoff',
    title: 'The Kubernetes API did not answer',
    action: 'None if it passes. Else check the API server and the network policy.',
  },
  'not-served': {
    status: 503,
    retry: 'later',
    title: 'The Kubernetes API does not serve this kind of object',
    action: 'None if the API server has just started. Else the definition (CRD) of what the detail names is missing: install it.',
  },
  'cluster-forbidden': {
    status: 503,
    retry: 'later',
    title: 'The Kubernetes API does not let the agent do this',
    action: "Grant the agent's service account what the detail names: compare its ClusterRole and bindings (RBAC) with those of the chart.",
  },
  'database-unreachable': {
    status: 503,
    retry: 'backoff',
    title: 'The database does not answer',
    action: 'None if it passes. Else see what stands in its way, and whether the network policy lets the agent reach port 4200.',
  },
  'database-refused': {
    status: 502,
    retry: 'backoff',
    title: 'The database answered with an error',
    action: "The detail is CrateDB's own message. None if it passes; else see the health of the database.",
  },
  'deadline-exceeded': {
    status: 504,
    retry: 'backoff',
    title: 'It was not done in time',
    action: 'See how far it came before repeating it: it may still be going on.',
  },
} as const satisfies Record<string, ProblemKind>

/** The key of a row in `problems`. */
export type ProblemType = keyof typeof problems

/**
 * One thing that is wrong in a request or a file.
 * `path` is a JSON pointer into the body ('' is the whole body), or `header:Name`, or `query:name`.
 */
export type Fault = { path: string; message: string }

/** What a Problem carries besides its type and its detail. */
export type ProblemOptions = {
  /** Stays in the log; never leaves the process. */
  cause?: unknown
  faults?: Fault[]
  /** Further members of the document (RFC 9457, section 3.2). They never replace a standard member. */
  extensions?: Record<string, unknown>
  /** Becomes Retry-After, in whole seconds. */
  retryAfterSeconds?: number
}

/**
 * A failure that Skerry designed: its row says the HTTP status, who may retry and what to do.
 * `detail` is written for the caller and goes out on the wire: no secret, no body, no stack.
 */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly type: ProblemType
  readonly detail: string
  readonly faults: readonly Fault[]
  readonly extensions: Readonly<Record<string, unknown>>
  readonly retryAfterSeconds: number | undefined

  constructor(type: ProblemType, detail: string, options: ProblemOptions = {}) {
    super(detail, 'cause' in options ? { cause: options.cause } : undefined)
    this.type = type
    this.detail = detail
    this.faults = options.faults ?? []
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

/** Whatever was thrown, as a Problem: what nobody designed becomes `internal` with fixed text and keeps the error as its cause. */
export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem('internal', 'The cause is in the log of the agent.', { cause: error })
}

/** How loudly a Problem is logged where it is decided: only what we must repair is an error. */
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
  [extension: string]: unknown
}

/** Where the types of problems are named. The address identifies; whether it can be opened does not matter (RFC 9457, section 3.1.1). */
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
    // The text of an internal problem is fixed, whoever created it: what it was about is in the log alone.
    detail: problem.type === 'internal' ? 'The cause is in the log of the agent.' : problem.detail,
    ...(instance === undefined ? {} : { instance }),
    action,
    retry,
    ...(problem.faults.length === 0 ? {} : { faults: problem.faults }),
  }
}

/** The HTTP answer of a problem. It is never cached, and says when to come back if the problem does. */
export function problemResponse(problem: Problem, instance?: string): Response {
  const headers: Record<string, string> = { 'content-type': problemMediaType, 'cache-control': 'no-store' }
  if (problem.retryAfterSeconds !== undefined) headers['retry-after'] = String(Math.max(0, Math.ceil(problem.retryAfterSeconds)))
  return new Response(JSON.stringify(problemDocument(problem, instance)), { status: problem.status, headers })
}
