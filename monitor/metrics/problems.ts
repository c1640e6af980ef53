import { problemTypeBase } from '../../shared/errors.ts'

/** Why the monitor's port refuses a request. The common table speaks of tokens and of the agent, so this port has its own words. */
const problems = {
  'invalid-request': {
    status: 400,
    retry: 'never',
    title: 'The request is not valid',
    action: 'Correct what the detail names, in the address or in the relabelling of the scrape.',
  },
  'module-refused': {
    status: 400,
    retry: 'never',
    title: 'This module cannot be had',
    action: 'Change the module as the detail says. skerry-monitor modules --file FILE lists all modules of the file.',
  },
  unauthenticated: {
    status: 401,
    retry: 'never',
    title: 'The request shows no valid credentials',
    action:
      'Send the user and password of metrics.basicAuth, in Prometheus as basic_auth of the scrape configuration; for a heartbeat, the token of its check.',
  },
  'heartbeat-refused': {
    status: 401,
    retry: 'never',
    title: 'The heartbeat is not accepted',
    action: 'Send the token of the check, as Authorization: Bearer TOKEN or as ?token=TOKEN, to the id of the check.',
  },
  'heartbeat-method': {
    status: 405,
    retry: 'never',
    title: 'A heartbeat does not support that method',
    action: 'Use GET, HEAD, POST or PUT.',
  },
  'probe-not-allowed': {
    status: 403,
    retry: 'never',
    title: 'This target may not be probed',
    action: 'To allow it, add a rule with its name, addresses and port to metrics.probe.allow.',
  },
  'not-found': {
    status: 404,
    retry: 'never',
    title: 'Nothing is at this path',
    action: 'Request /, /metrics, /probe, /healthz or /readyz.',
  },
  'method-not-allowed': {
    status: 405,
    retry: 'never',
    title: 'This path does not support that method',
    action: 'Use GET or HEAD.',
  },
  internal: {
    status: 500,
    retry: 'backoff',
    title: 'The monitor failed unexpectedly',
    action: "Find the cause in the monitor's log, and report it.",
  },
  busy: {
    status: 503,
    retry: 'later',
    title: 'The monitor is busy',
    action: 'Scrape less often. For probes, raise metrics.probe.parallelism.',
  },
} as const

/** The key of a problem. */
export type EndpointProblemType = keyof typeof problems

/** A refusal. @param detail for the client, without secrets */
export class EndpointProblem extends Error {
  override readonly name = 'EndpointProblem'
  readonly type: EndpointProblemType

  constructor(type: EndpointProblemType, detail: string) {
    super(detail)
    this.type = type
  }
}

/** The answer to a refused request: a problem document (RFC 9457), and the header fields that its status requires. */
export function refusal(type: EndpointProblemType, detail: string) {
  const { status, title, action, retry } = problems[type]
  const more: Record<string, string> = {}
  if (type === 'unauthenticated') more['www-authenticate'] = 'Basic realm="skerry-monitor", charset="UTF-8"'
  if (type === 'heartbeat-refused') more['www-authenticate'] = 'Bearer realm="skerry-monitor"'
  if (type === 'heartbeat-method') more.allow = 'GET, HEAD, POST, PUT'
  if (type === 'method-not-allowed') more.allow = 'GET, HEAD'
  if (type === 'busy') more['retry-after'] = '1'
  return { status, more, document: { type: problemTypeBase + type, title, status, detail, action, retry } }
}
