import { type Lines, returnPieces } from './page-memory.ts'

/** A family of series. `text` is its samples, one a line, each with its line end. */
export type Family = {
  /** With `_total` if it is a counter: so are its samples called in both formats. */
  name: string
  type: 'gauge' | 'counter' | 'histogram' | 'summary'
  /** One sentence. */
  help: string
  text: string | Lines
}

/** The text format 0.0.4, or OpenMetrics 1.0. */
export type Format = 'text' | 'openmetrics'

/** The media types of the formats. */
export const mediaTypes: Record<Format, string> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** The format that an Accept header asks for. Prometheus names OpenMetrics first, with the greater weight, when it takes it. */
export function formatFor(accept: string | undefined): Format {
  const weight = (type: string) => {
    const offer = (accept ?? '').split(',').find((each) => each.trim().toLowerCase().startsWith(type))
    return offer === undefined ? 0 : Number(/;\s*q=([\d.]+)/.exec(offer)?.[1] ?? 1)
  }
  const wanted = weight('application/openmetrics-text')
  return wanted > 0 && wanted >= weight('text/plain') ? 'openmetrics' : 'text'
}

/** A page of metrics, in pieces. It is released once, when nobody reads it any more. */
export type Page = { pieces: readonly Buffer[]; length: number; release(): void; toString(): string }

/**
 * A page of families, sorted by name; those without samples are left out. No two have the same name.
 *
 * In OpenMetrics a family of counters is called without the `_total` of its samples, quotes in help are escaped too, and the end is
 * marked, so that a page that was cut off is noticed.
 */
export function page(families: readonly Family[], format: Format): Page {
  const isOpen = format === 'openmetrics'
  const lines: Lines[] = []
  const pieces: Buffer[] = []
  for (const { name, type, help, text } of families.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (typeof text !== 'string') lines.push(text)
    if (text.length === 0) continue
    const title = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name
    const words = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
    pieces.push(Buffer.from(`# HELP ${title} ${isOpen ? words.replaceAll('"', '\\"') : words}\n# TYPE ${title} ${type}\n`))
    if (typeof text === 'string') pieces.push(Buffer.from(text))
    else pieces.push(...text.pieces())
  }
  if (isOpen) pieces.push(Buffer.from('# EOF\n'))
  return {
    pieces,
    length: pieces.reduce((sum, piece) => sum + piece.byteLength, 0),
    release: () => returnPieces(lines),
    toString: () => Buffer.concat(pieces).toString(),
  }
}

/** A number as both formats write it. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return `${value}`
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

/** The bound of a bucket as Go and OpenMetrics write it, so that a series has the same name in both formats. */
export function boundText(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`
}

/**
 * The value of a label, escaped. Prometheus reads NUL as the end of the page, so it cannot stand there; what is no Unicode becomes
 * U+FFFD when it is encoded.
 */
export function labelValue(value: string): string {
  // Most values need nothing: one search is cheaper than four replacements.
  if (!/["\\\n\0]/.test(value)) return value
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\0', '\ufffd')
}

/** `a="1",b="2"`: labels without their braces. Names that the format does not know are left out. */
export function labelPairs(labels: Readonly<Record<string, string>>): string {
  let text = ''
  for (const name in labels) if (isLabelName(name)) text += `${text === '' ? '' : ','}${name}="${labelValue(labels[name] ?? '')}"`
  return text
}

/** Whether a series may have a label of that name. Two underscores at the start are Prometheus' own. */
export function isLabelName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !name.startsWith('__')
}

/** A sample of a family: its labels, if it has any, and its value. */
export type Sample = [labels: Readonly<Record<string, string>>, value: number]

/** A family of few samples. A single number is a family of one series without labels; undefined is one without samples. */
export function family(type: 'gauge' | 'counter', name: string, help: string, given: number | undefined | readonly Sample[]): Family {
  const samples: readonly Sample[] = given === undefined ? [] : typeof given === 'number' ? [[{}, given]] : given
  let text = ''
  for (const [labels, value] of samples) {
    const pairs = labelPairs(labels)
    text += `${name}${pairs === '' ? '' : `{${pairs}}`} ${numberText(value)}\n`
  }
  return { name, type, help, text }
}

/** The families of a page in the text format 0.0.4, as prom-client writes it: headers before samples, empty lines between, and `Nan`. */
export function familiesOf(text: string): Family[] {
  const families: Family[] = []
  let help = ''
  let last: (Family & { text: string }) | undefined
  for (const line of text.split('\n')) {
    const [, what, name = '', words = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? []
    if (what === 'HELP') help = words.replace(/\\(.)/g, (_, letter) => (letter === 'n' ? '\n' : letter))
    else if (what === 'TYPE') {
      last = { name, type: words as Family['type'], help, text: '' }
      families.push(last)
    } else if (line !== '' && last !== undefined) last.text += `${line.replace(/le="(\d+)"/, 'le="$1.0"').replace(/ Nan$/, ' NaN')}\n`
  }
  return families
}
