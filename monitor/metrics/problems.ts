import { problemTypeBase } from '../../shared/errors.ts'

/** Why a request to the monitor's port is refused. In the words of this port: the common table speaks of tokens, and of the agent. */
const problems = {
  'invalid-request': {
    status: 400,
    retry: 'never',
    title: 'The request cannot be read',
    action: 'Correct what the detail names, in the address or in the relabelling of the scrape.',
  },
  unauthenticated: {
    status: 401,
    retry: 'never',
    title: 'User and password are needed',
    action: 'Send the user and password of metrics.basicAuth, in Prometheus as basic_auth of the scrape configuration.',
  },
  'probe-not-allowed': {
    status: 403,
    retry: 'never',
    title: 'This target may not be probed',
    action: 'If it should be, add a rule with its name, its addresses and its port to metrics.probe.allow.',
  },
  'not-found': {
    status: 404,
    retry: 'never',
    title: 'There is no such thing here',
    action: 'Ask for /metrics, /probe, /healthz or /readyz.',
  },
  'method-not-allowed': {
    status: 405,
    retry: 'never',
    title: 'This path does not take that method',
    action: 'Use GET or HEAD.',
  },
  internal: {
    status: 500,
    retry: 'backoff',
    title: 'The monitor failed in a way nobody designed',
    action: "Look for the cause in the monitor's log. Please report it.",
  },
  busy: {
    status: 503,
    retry: 'later',
    title: 'The monitor has as much in hand as it takes',
    action: 'Scrape less often, or raise metrics.probe.parallelism if it is about probes.',
  },
} as const

/** The key of a row. */
export type EndpointProblemType = keyof typeof problems

/** A refusal with its reason, thrown where it is found and answered in one place. @param detail for the caller: no secret */
export class EndpointProblem extends Error {
  override readonly name = 'EndpointProblem'
  readonly type: EndpointProblemType

  constructor(type: EndpointProblemType, detail: string) {
    super(detail)
    this.type = type
  }
}

/** What a refusal answers: a problem document (RFC 9457), with the header fields that its status asks for. */
export function refusal(type: EndpointProblemType, detail: string) {
  const { status, title, action, retry } = problems[type]
  const more: Record<string, string> = {}
  if (type === 'unauthenticated') more['www-authenticate'] = 'Basic realm="skerry-monitor", charset="UTF-8"'
  if (type === 'method-not-allowed') more.allow = 'GET, HEAD'
  if (type === 'busy') more['retry-after'] = '1'
  return { status, more, document: { type: problemTypeBase + type, title, status, detail, action, retry } }
}
