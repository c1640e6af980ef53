import { headerShown, hidden } from '../../shared/discretion.ts'
import { formatDuration } from '../../shared/fields.ts'
import { type Converted, type ConvertedDocument, fieldsOf, slugOf, textOf, type WrittenCheck } from './converted.ts'
import { convertConditions, millisecondsOf } from './gatus-conditions.ts'

/** Whether a document is a configuration of Gatus. */
export function isGatus(document: unknown): boolean {
  const { endpoints, 'external-endpoints': external, suites, checks } = fieldsOf(document)
  return checks === undefined && [endpoints, external, suites].some(Array.isArray)
}

/** What Gatus has besides endpoints, and what Skerry has instead. */
const elsewhere: Record<string, string> = {
  alerting: 'write the messages as webhooks: docs/notifying.md',
  storage: 'the monitor keeps the last results in memory; Prometheus keeps their history',
  web: 'the port and its certificate are metrics.port and metrics.tls of the monitor',
  security: 'the password of the page is metrics.basicAuth of the monitor',
  maintenance: 'silence alerts in Alertmanager',
  connectivity: 'let the checks depend on one that shows the connection: dependsOn',
  suites: 'there are no checks that pass values to each other',
  remote: 'Prometheus joins the results of several monitors',
  tunneling: 'there are no SSH tunnels',
}

/** Converts a configuration of Gatus (github.com/TwiN/gatus, README.md): `endpoints` and `external-endpoints`. */
export function convertGatus(document: unknown): ConvertedDocument {
  const fields = fieldsOf(document)
  const list = (value: unknown) => (Array.isArray(value) ? value.map(fieldsOf) : [])
  return {
    entries: [...list(fields.endpoints).map(convertEndpoint), ...list(fields['external-endpoints']).map(convertExternal)],
    notes: Object.entries(elsewhere).flatMap(([name, instead]) => (fields[name] === undefined ? [] : [`${name}: ${instead}`])),
  }
}

function convertEndpoint(endpoint: Record<string, unknown>): Converted {
  const notes: string[] = []
  const url = textOf(endpoint.url) ?? ''
  const common = commonOf(endpoint, notes)
  if (endpoint.enabled === false) return { notes: [`${common.name}: it is not enabled`] }
  const options = optionsOf(url, endpoint, notes)
  if (options === undefined) return { notes: notes.map((note) => `${common.name}: ${note}`) }
  const { kind, ...rest } = options
  return { check: { ...common, kind, ...rest } as WrittenCheck, notes }
}

type Options = { kind: string } & Record<string, unknown>

/** Kind and options of an endpoint; undefined, with a note, if there is no kind for it. */
function optionsOf(url: string, endpoint: Record<string, unknown>, notes: string[]): Options | undefined {
  const conditions = convertConditions(Array.isArray(endpoint.conditions) ? endpoint.conditions.map(String) : [])
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(url) ?? []
  if (endpoint.dns !== undefined) return dnsOf(url, endpoint, notes)
  if (scheme === 'http' || scheme === 'https') {
    notes.push(...conditions.notes)
    return httpOf(url, endpoint, { conditions, notes })
  }
  const { host, port } = hostOf(rest)
  const left = conditions.notes.concat(
    conditions.conditions.filter((each) => each !== 'status >= 100').map((each) => `${each} is left out`),
  )
  if (scheme === 'tcp' && port !== undefined) {
    notes.push(...left)
    if (endpoint.body !== undefined) notes.push('body: what is sent and expected is send and expect of the kind tcp')
    return { kind: 'tcp', host, port, ...limitOf(conditions.downAfterMs) }
  }
  if (scheme === 'tls' && port !== undefined) {
    notes.push(...left.map((each) => `${each}; warnDays and downDays limit the days until the certificate expires`))
    return { kind: 'tls', host, port, ...(clientOf(endpoint).insecure === true && { verify: false }), ...limitOf(conditions.downAfterMs) }
  }
  const hints: Record<string, string> = {
    icmp: 'there is no check that pings; a module with prober icmp for /probe does',
    grpc: 'there is no check of gRPC; a module with prober grpc for /probe does',
    grpcs: 'there is no check of gRPC; a module with prober grpc for /probe does',
    starttls: 'there is no check with STARTTLS; a module with prober tcp for /probe has starttls',
    ssh: 'a check of kind tcp with expect SSH-2.0- sees that it answers; nothing logs in',
  }
  notes.push(`${url || 'no url'}: ${hints[scheme] ?? 'there is no kind of check for this address'}`)
  return undefined
}

function httpOf(
  url: string,
  endpoint: Record<string, unknown>,
  { conditions, notes }: { conditions: ReturnType<typeof convertConditions>; notes: string[] },
): Options {
  const client = clientOf(endpoint)
  const method = (textOf(endpoint.method) ?? 'GET').toUpperCase()
  if (!['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS'].includes(method))
    notes.push(`method ${method}: GET, HEAD, POST, PUT and OPTIONS can be sent`)
  const body = textOf(endpoint.body)
  if (body !== undefined && /\[(ENDPOINT|RANDOM)/.test(body)) notes.push('body: placeholders are sent as they are')
  const { headers, headerFiles } = headersOf(endpoint, notes)
  for (const name of ['oauth2', 'identity-aware-proxy', 'proxy-url', 'dns-resolver', 'tunnel', 'network'])
    if (client[name] !== undefined) notes.push(`client.${name} has no counterpart`)
  const { 'certificate-file': certificateFile, 'private-key-file': keyFile } = fieldsOf(client.tls)
  return {
    kind: 'http',
    url,
    ...(method !== 'GET' && { method }),
    ...headers,
    ...headerFiles,
    ...(body !== undefined && { body: endpoint.graphql === true ? JSON.stringify({ query: body }) : body }),
    ...(client['ignore-redirect'] !== true && { maxRedirects: 10 }),
    ...(client.insecure === true && { verify: false }),
    ...(certificateFile !== undefined && { certificateFile, keyFile }),
    ...(conditions.expectStatus && { expectStatus: conditions.expectStatus }),
    ...limitOf(conditions.downAfterMs),
    ...(conditions.conditions.length > 0 && { conditions: conditions.conditions }),
  }
}

/** A header field that may be secret becomes a file. */
function headersOf(endpoint: Record<string, unknown>, notes: string[]) {
  // Without a prototype: a name may be anything.
  const headers: Record<string, string> = Object.create(null)
  const headerFiles: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(fieldsOf(endpoint.headers))) {
    const text = textOf(value) ?? ''
    if (headerShown(name, text) !== hidden) headers[name] = text
    else {
      headerFiles[name] = `/etc/skerry/secrets/${slugOf(nameOf(endpoint))}/${slugOf(name)}`
      notes.push(`header ${name}: write its value into ${headerFiles[name]}`)
    }
  }
  if (endpoint.graphql === true && !Object.keys(headers).some((name) => name.toLowerCase() === 'content-type'))
    headers['Content-Type'] = 'application/json'
  return {
    headers: Object.keys(headers).length > 0 ? { headers } : {},
    headerFiles: Object.keys(headerFiles).length > 0 ? { headerFiles } : {},
  }
}

function dnsOf(url: string, endpoint: Record<string, unknown>, notes: string[]): Options {
  const { 'query-name': query, 'query-type': type } = fieldsOf(endpoint.dns)
  const { host, port } = hostOf(url.replace(/^[a-z]+:\/\//, ''))
  for (const each of Array.isArray(endpoint.conditions) ? endpoint.conditions.map(String) : [])
    if (each !== '[DNS_RCODE] == NOERROR') notes.push(`condition ${each}: the kind dns has expect and minAnswers`)
  return {
    kind: 'dns',
    query: textOf(query)?.replace(/\.$/, '') ?? '',
    type: textOf(type) ?? 'A',
    server: host,
    ...(port !== undefined && { port }),
  }
}

function convertExternal(endpoint: Record<string, unknown>): Converted {
  const { name, ...common } = commonOf({ ...endpoint, interval: undefined }, [])
  if (endpoint.enabled === false) return { notes: [`${name}: it is not enabled`] }
  const id = slugOf(name)
  const tokenFile = `/etc/skerry/secrets/heartbeats/${id}`
  const within = millisecondsOf(textOf(fieldsOf(endpoint.heartbeat).interval) ?? '')
  const notes = [`write its token into ${tokenFile}; it reports to /heartbeat/${id} of the monitor`]
  if (within === undefined || within === 0) notes.push('within: Gatus had no limit here; choose one')
  const { group, labels } = common
  return {
    check: {
      name,
      kind: 'heartbeat',
      ...(group !== undefined && { group }),
      ...(labels !== undefined && { labels }),
      id,
      tokenFile,
      within: formatDuration(within || 86_400_000),
    },
    notes,
  }
}

/** The fields that every check has. */
function commonOf(endpoint: Record<string, unknown>, notes: string[]): WrittenCheck {
  const intervalMs = Math.max(1_000, millisecondsOf(textOf(endpoint.interval) ?? '60s') ?? 60_000)
  const timeoutMs = Math.min(intervalMs, millisecondsOf(textOf(clientOf(endpoint).timeout) ?? '10s') ?? 10_000)
  const alerts = Array.isArray(endpoint.alerts) ? endpoint.alerts.map(fieldsOf) : []
  // Gatus alerts after that many failures, one in each interval. It shows a failure at once.
  const failures = Math.min(101, Math.max(0, ...alerts.map((alert) => Number(alert['failure-threshold'] ?? 3)).filter(Number.isInteger)))
  for (const { type } of alerts) notes.push(`alert ${textOf(type)}: write it as a webhook: docs/notifying.md`)
  if (Array.isArray(endpoint['maintenance-windows'])) notes.push('maintenance-windows: silence alerts in Alertmanager')
  const group = textOf(endpoint.group)
  const labels = fieldsOf(endpoint['extra-labels'])
  return {
    name: nameOf(endpoint),
    kind: '',
    interval: formatDuration(intervalMs),
    timeout: formatDuration(timeoutMs),
    retries: Math.max(0, failures - 1),
    ...(failures > 1 && { retryDelay: formatDuration(Math.min(intervalMs, 3_600_000)) }),
    ...(group !== undefined && { group }),
    ...(Object.keys(labels).length > 0 && { labels }),
  }
}

function nameOf(endpoint: Record<string, unknown>): string {
  return [textOf(endpoint.group), textOf(endpoint.name) ?? textOf(endpoint.url) ?? 'unnamed'].filter((each) => each !== undefined).join('/')
}

function clientOf(endpoint: Record<string, unknown>): Record<string, unknown> {
  return fieldsOf(endpoint.client)
}

function limitOf(ms: number | undefined): { downAfter?: string } {
  return ms === undefined ? {} : { downAfter: formatDuration(ms) }
}

function hostOf(text: string): { host: string; port: number | undefined } {
  const [, host = text, port] = /^\[?([^\]]+?)\]?(?::(\d+))?(?:\/.*)?$/.exec(text) ?? []
  return { host, port: port === undefined ? undefined : Number(port) }
}
