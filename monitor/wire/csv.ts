import { CheckFailure } from './reasons.ts'

const [maxRows, maxColumns] = [20_000, 200]

/**
 * The wanted columns of a CSV text (RFC 4180), each row as an object by the names of its first line; what a row lacks is empty. Lines may
 * end with LF alone; blank ones count for nothing.
 *
 * The text is a peer's: each character is looked at once, and what is kept is bounded by rows and wanted columns.
 * @throws CheckFailure `protocol` for a quote where none may be; `too_large` for more than 20,000 rows or 200 columns
 */
export function parseCsv<Name extends string>(text: string, wanted: readonly Name[]): Record<Name, string>[] {
  const lines = linesOf(text)
  const names = lines.next().value ?? []
  const columns = wanted.map((name) => [name, names.indexOf(name)] as const)
  const rows: Record<Name, string>[] = []
  for (const line of lines) {
    if (rows.length === maxRows) throw tooLarge(`${maxRows} rows`)
    rows.push(Object.fromEntries(columns.map(([name, index]) => [name, line[index] ?? ''])) as Record<Name, string>)
  }
  return rows
}

/** The fields of each line that is not blank. */
function* linesOf(text: string): Generator<string[], undefined> {
  for (let at = 0; at < text.length; ) {
    const afterBlank = endOfLineAt(text, at)
    if (afterBlank > at) {
      at = afterBlank
      continue
    }
    const { fields, end } = fieldsAt(text, at)
    at = endOfLineAt(text, end)
    if (at === end && end < text.length) throw misquoted()
    yield fields
  }
}

function fieldsAt(text: string, start: number): { fields: string[]; end: number } {
  const fields: string[] = []
  for (let at = start; ; ) {
    if (fields.length === maxColumns) throw tooLarge(`${maxColumns} columns`)
    const { value, end } = fieldAt(text, at)
    fields.push(value)
    if (text[end] !== ',') return { fields, end }
    at = end + 1
  }
}

/** Where the next line begins if this one ends here; else `at` itself. */
function endOfLineAt(text: string, at: number): number {
  if (text[at] === '\n') return at + 1
  return text[at] === '\r' && text[at + 1] === '\n' ? at + 2 : at
}

/** One field, and what is behind it: a comma, the end of a line or of the text, or else it is malformed. */
function fieldAt(text: string, start: number): { value: string; end: number } {
  if (text[start] !== '"') {
    const special = /[",\r\n]/g
    special.lastIndex = start
    const end = special.exec(text)?.index ?? text.length
    return { value: text.slice(start, end), end }
  }
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from)
    if (quote === -1) throw misquoted()
    if (text[quote + 1] !== '"') return { value: text.slice(start + 1, quote).replaceAll('""', '"'), end: quote + 1 }
    from = quote + 2 // two quotes stand for one
  }
}

function misquoted(): CheckFailure {
  return new CheckFailure('protocol', 'Its table (CSV) has a quote or a line end where none may be. Is this the right service?')
}

function tooLarge(what: string): CheckFailure {
  return new CheckFailure('too_large', `Its table (CSV) has more than ${what}. Is this the right service?`)
}
