import { CheckFailure } from './reasons.ts'

const [maxRows, maxColumns] = [20_000, 200]

/**
 * The wanted columns of a CSV text (RFC 4180), each row as an object by the names in the first line. A column that a row lacks is empty;
 * blank lines are skipped.
 *
 * Our own, because the text is a peer's: the work is linear in its length, and rows and columns are bounded. Quotes are needed: HAProxy
 * quotes a field that holds a quote, a comma or a line end, such as what a health check last said.
 * @throws CheckFailure `protocol` for a misplaced quote; `too_large` for more than 20,000 rows or 200 columns
 */
export function parseCsv<Name extends string>(text: string, wanted: readonly Name[]): Record<Name, string>[] {
  const rows: Record<Name, string>[] = []
  let names: string[] | undefined
  let fields: string[] = []
  let field = ''

  function endField(): void {
    if (fields.push(field) > maxColumns) throw tooLarge(`${maxColumns} columns`)
    field = ''
  }

  function endRow(): void {
    if (fields.length === 0 && field === '') return
    endField()
    const row = fields
    fields = []
    if (names === undefined) names = row
    else if (rows.push(pick(names, row, wanted)) > maxRows) throw tooLarge(`${maxRows} rows`)
  }

  function takePlain(part: string): void {
    for (const [index, line] of part.split(/\r?\n/).entries()) {
      if (index > 0) endRow()
      for (const [column, piece] of line.split(',').entries()) {
        if (column > 0) endField()
        field += piece
      }
    }
  }

  // Every second part stands between quotes. An empty part between two of those is a doubled quote.
  const parts = text.split('"')
  const last = parts.length - 1
  const isDoubled = (index: number) => index > 0 && index < last && parts[index] === ''
  for (const [index, part] of parts.entries()) {
    if (index % 2 === 1) {
      if (index === last || (field !== '' && !isDoubled(index - 1))) throw misquoted()
      field += part
    } else if (isDoubled(index)) field += '"'
    else if (index > 0 && !/^([,\r\n]|$)/.test(part)) throw misquoted()
    else takePlain(part)
  }
  endRow()
  return rows
}

function pick<Name extends string>(names: string[], row: string[], wanted: readonly Name[]): Record<Name, string> {
  return Object.fromEntries(wanted.map((name) => [name, row[names.indexOf(name)] ?? ''])) as Record<Name, string>
}

function misquoted(): CheckFailure {
  return new CheckFailure('protocol', 'Its table (CSV) has a misplaced quote. Is this the right service?')
}

function tooLarge(what: string): CheckFailure {
  return new CheckFailure('too_large', `Its table (CSV) has more than ${what}. Is this the right service?`)
}
