import { formatDuration } from '../../shared/fields.ts'
import { type Converted, type ConvertedDocument, fieldsOf, textOf, type WrittenCheck } from './converted.ts'

/** The entries of a document of LambdaStack's or Epiphany's health monitor: a list, or a list below `Env`. Undefined if it is none. */
export function healthdEntries(document: unknown): Record<string, unknown>[] | undefined {
  const list = Array.isArray(document) ? document : Object.values(fieldsOf(document)).find(Array.isArray)
  if (!Array.isArray(list) || list.length === 0) return undefined
  const entries = list.map(lowered)
  return entries.every(({ name, package: kind }) => name !== undefined && kind !== undefined) ? entries : undefined
}

/**
 * Converts `healthd.yml` of the health monitor of Epiphany, which LambdaStack took over (its design document health-monitor.md
 * in epiphany-platform/epiphany, branch feature/health-monitor, 2020). Its times are seconds; names are compared without case.
 */
export function convertHealthd(entries: readonly Record<string, unknown>[]): ConvertedDocument {
  return { entries: entries.map(convertEntry), notes: [] }
}

function convertEntry(entry: Record<string, unknown>): Converted {
  const notes: string[] = []
  const name = textOf(entry.name) ?? ''
  const kind = (textOf(entry.package) ?? '').toLowerCase()
  const options = optionsOf(kind, entry, notes)
  if (options === undefined) return { notes: notes.map((note) => `${name}: ${note}`) }
  if (isTrue(entry.actionfatal))
    notes.push('ActionFatal killed the daemon. The counterpart restarts it: actions: [{ type: restart-unit, unit: NAME.service }]')
  return { check: { name, kind, ...timesOf(entry), ...options } as WrittenCheck, notes }
}

function timesOf(entry: Record<string, unknown>): Record<string, unknown> {
  const seconds = (name: string, fallback?: number) => {
    const given = entry[name] === undefined ? fallback : Number(entry[name])
    return given !== undefined && Number.isFinite(given) && given >= 0 ? given * 1000 : undefined
  }
  const intervalMs = Math.max(1_000, seconds('interval', 10) ?? 10_000)
  const timeoutMs = seconds('protocoltimeout') ?? seconds('timeout')
  const recoveryMs = seconds('recoverydelay')
  return {
    interval: formatDuration(intervalMs),
    ...(timeoutMs !== undefined && timeoutMs > 0 && { timeout: formatDuration(Math.min(timeoutMs, intervalMs)) }),
    retries: Math.min(100, Math.max(0, Math.round(Number(entry.retries ?? 7)) || 0)),
    retryDelay: formatDuration(seconds('retrydelay', 3) ?? 3_000),
    ...(recoveryMs !== undefined && { recoveryDelay: formatDuration(recoveryMs) }),
  }
}

/** The options of the kind; undefined, with a note, if there is none. */
function optionsOf(kind: string, entry: Record<string, unknown>, notes: string[]): Record<string, unknown> | undefined {
  const host = textOf(entry.ip) ?? '127.0.0.1'
  const port = entry.port === undefined ? undefined : Number(entry.port)
  const path = `/${textOf(entry.path) ?? ''}`.replace(/^\/+/, '/')
  const url = (standard: number, at = path) => `http://${host.includes(':') ? `[${host}]` : host}:${port ?? standard}${at}`
  switch (kind) {
    case 'http': {
      const method = (textOf(entry.requesttype) ?? 'head').toUpperCase()
      return { url: url(80), ...(method !== 'GET' && { method }), expectStatus: [Number.parseInt(textOf(entry.response) ?? '200', 10)] }
    }
    case 'docker':
      if (entry.port !== undefined) notes.push('Port: the daemon is asked on its socket; set url for one that listens on a port')
      return {}
    case 'kubernetes':
      notes.push('its kubelet is asked for /healthz; a check of kind kubernetes asks the API server')
      return { kind: 'kubelet', url: url(10_248, '') }
    case 'prometheus':
      notes.push('if the entry named the port of its own metrics, remove the check: that port is metrics.port of the monitor')
      return { url: url(9_090) }
    case 'elasticsearch':
      return { url: url(9_200, '') }
    case 'kafka':
      return { brokers: [`${host}:${port ?? 9_092}`] }
    case 'zookeeper':
      return { host, ...(port !== undefined && { port }) }
    case 'postgresql':
      notes.push('username and passwordFile: give it a role, best a member of pg_monitor')
      return { host, ...(port !== undefined && { port }), username: 'skerry' }
    case 'rabbitmq':
    case 'redis':
      return { host, ...(port !== undefined && { port }) }
    case 'haproxy':
      return { url: url(8_404) }
    default:
      notes.push(`there is no kind of check for the package ${kind}`)
      return undefined
  }
}

function lowered(entry: unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fieldsOf(entry)).map(([name, value]) => [name.toLowerCase(), value]))
}

function isTrue(value: unknown): boolean {
  return value === true || String(value).toLowerCase() === 'true'
}
