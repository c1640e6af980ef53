import pino from 'pino'
import { Problem } from './errors.ts'
import { textLine } from './log-text.ts'

/** A logger. It is passed in and narrowed with `log.child({ project })`, never imported. */
export type Log = pino.Logger

/** The levels a log can be set to. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** How a log is made. `auto` is text where standard output is a terminal, and else JSON. */
export type LogOptions = { level: LogLevel; name: string; format?: 'auto' | 'json' | 'text'; destination?: pino.DestinationStream }

/** Takes pino's lines of JSON. Lines of text have colours on a terminal unless `NO_COLOR` is set (no-color.org). */
function outputOf(format: NonNullable<LogOptions['format']>, output: pino.DestinationStream): pino.DestinationStream {
  const isTerminal = process.stdout.isTTY === true
  if (format === 'json' || (format === 'auto' && !isTerminal)) return output
  const hasColour = isTerminal && !process.env.NO_COLOR
  return { write: (line) => output.write(textLine(line, hasColour)) }
}

/**
 * A logger that writes one JSON object per line, or text for people (log-text.ts): `level` as a word, `time` in ISO 8601, `name`, the fields, `msg`.
 * It writes synchronously to standard output (or to `destination`), so that the last line before a crash is not lost.
 *
 * Fields with the name of a secret are masked at any depth, so write `secretName` for the name of a Secret. Errors, in any field, keep
 * their chain of causes and lose texts that may quote a body. The message must be constant, for it is not searched: use fields.
 */
export function createLog({ level, name, format = 'json', destination }: LogOptions): Log {
  const log = pino(
    {
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: printableFields },
      // `printableFields` has converted errors already; pino's own serializer would add all their enumerable properties.
      serializers: { err: (value: unknown) => value },
      hooks: {
        logMethod(args, method) {
          // Without a message pino repeats that of the error, uncut, as the message of the line.
          const [first, ...rest] = args as unknown as [unknown, ...unknown[]]
          const isError = first instanceof Error || (isPlain(first) && first.err instanceof Error)
          method.apply(this, (isError && rest.length === 0 ? [first, 'failed'] : args) as Parameters<typeof method>)
        },
      },
    },
    outputOf(format, destination ?? pino.destination({ fd: 1, sync: true })),
  )
  // Children inherit this from the root. pino has a formatter for bindings, but it does not pass it on to children.
  type Child = (this: Log, bindings: pino.Bindings, options?: pino.ChildLoggerOptions) => Log
  const child = log.child as unknown as Child
  const maskedChild: Child = function (bindings, options) {
    return child.call(this, printableFields(bindings), options)
  }
  log.child = maskedChild as unknown as typeof log.child
  return log
}

/** Replaces a secret in a log line. */
const masked = '[masked]'

/** By the end of the name: `accessToken`, `set-cookie` and `mqtt_password` too. `data` and `stringData` are the fields of a Secret. */
const secretName = /(authorization|token|password|passwd|passphrase|secret|cookie|credential|api[-_]?key|private[-_]?key)s?$/i
const bodyName = /^(data|stringData|binaryData|body|rawBody|headers)$/i

/** Levels that are logged. The limit also ends cycles. */
const maxDepth = 6
const maxItems = 50
const maxText = 2000

function printableFields(fields: Record<string, unknown>): Record<string, unknown> {
  return printable(fields, 0) as Record<string, unknown>
}

function printable(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return printableText(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return printableError(value, 0)
  if (depth === maxDepth) return '[deeper]'
  if (Array.isArray(value)) {
    const items = value.slice(0, maxItems).map((item) => printable(item, depth + 1))
    return value.length > maxItems ? [...items, `[${value.length - maxItems} more]`] : items
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (value instanceof URL) return printableText(value.href)
  // A socket, a request, a Map: it could print anything.
  if (!isPlain(value)) return `[${value.constructor?.name || 'object'}]`
  const fields: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(value)) {
    const says = secretName.test(name) || bodyName.test(name)
    fields[name] = says && field !== null && field !== undefined && typeof field !== 'boolean' ? masked : printable(field, depth + 1)
  }
  return fields
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Masks credentials in URLs and Authorization headers that a text quotes. Query strings may contain tokens too. */
function printableText(text: string): string {
  const cut = text.length > maxText ? `${text.slice(0, maxText)}…` : text
  return cut
    .replace(/\b(Bearer|Basic)\s+[\w~+/.=-]{6,}/gi, `$1 ${masked}`)
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, `$1${masked}@`)
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s?#"']*)\?[^\s"']*/gi, '$1?…')
}

/**
 * An error's name, message, code and causes. Only known fields: many libraries attach the whole request or the response body to the
 * error, and some write it into the message.
 */
function printableError(error: unknown, depth: number): unknown {
  if (!(error instanceof Error)) return printable(error, maxDepth - 1)
  const message = printableMessage(error)
  const { code, syscall, statusCode } = error as { code?: unknown; syscall?: unknown; statusCode?: unknown }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return {
    type: error.name,
    message,
    ...(error instanceof Problem ? { problem: error.type, ...(error.faults.length > 0 && { faults: error.faults }) } : {}),
    ...(isScalar(code) && { code }),
    ...(isScalar(syscall) && { syscall }),
    ...(isScalar(statusCode) && { statusCode }),
    stack: [`${error.name}: ${message}`, ...frames.slice(0, 12)].join('\n'),
    ...(error instanceof AggregateError &&
      depth < 5 && { errors: error.errors.slice(0, 5).map((each) => printableError(each, depth + 1)) }),
    ...(error.cause !== undefined && { cause: depth < 5 ? printableError(error.cause, depth + 1) : '[deeper]' }),
  }
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number'
}

function printableMessage(error: Error): string {
  // V8 quotes the invalid JSON; the Kubernetes client writes the body and the headers of the response on lines of their own.
  const text =
    error instanceof SyntaxError ? error.message.replace(/(\.\.\.)?"[\s\S]*"(\.\.\.)?(?= is not valid JSON)/, 'the text') : error.message
  return printableText(text.replace(/\n(Body|Headers):[\s\S]*$/, ''))
}
