import { CheckFailure } from './reasons.ts'
import { inTurns } from './turns.ts'

const [maxRows, maxColumns, maxField] = [20_000, 200, 65_536]

/** How many lines or quotes there are between two yields: less than a millisecond. */
const stepsBetweenYields = 1000

/**
 * The wanted columns of a CSV text (RFC 4180), each row as an object by the names in the first line. A column that a row lacks is empty;
 * blank lines are skipped.
 *
 * Our own, because the text is a peer's: the work is linear in its length, rows, columns and fields are bounded, and a long text is read
 * in turns with other work. Quotes are needed: HAProxy quotes a field that holds a quote, a comma or a line end, such as what a health check
 * last said.
 * @throws CheckFailure `protocol` for a misplaced quote; `too_large` for more than 20,000 rows, 200 columns or 65,536 characters in a
 * field; the signal's reason
 */
export async function parseCsv<Name extends string>(
  text: string,
  wanted: readonly Name[],
  signal?: AbortSignal,
): Promise<Record<Name, string>[]> {
  const table = new Table(wanted)
  await inTurns(readInto(table, text), signal)
  return table.rows
}

/** Every second part stands between quotes. An empty part between two of those is a doubled quote. */
function* readInto(table: Table<string>, text: string): Generator<void, void> {
  let wasDoubled = false
  for (let index = 0, from = 0; ; index++) {
    const quote = text.indexOf('"', from)
    const isLast = quote === -1
    const part = text.slice(from, isLast ? undefined : quote)
    const isDoubled = index > 0 && !isLast && part === ''
    if (index % 2 === 1) {
      if (isLast || (table.field !== '' && !wasDoubled)) throw misquoted()
      table.append(part)
    } else if (isDoubled) table.append('"')
    else if (index > 0 && !/^([,\r\n]|$)/.test(part)) throw misquoted()
    else yield* readPlain(table, part)
    if (isLast) break
    if (index % stepsBetweenYields === 0) yield
    wasDoubled = isDoubled
    from = quote + 1
  }
  table.endRow()
}

/** Lines and fields without quotes. */
function* readPlain(table: Table<string>, part: string): Generator<void, void> {
  for (let line = 0, from = 0; ; line++) {
    if (line > 0) table.endRow()
    if (line % stepsBetweenYields === 0) yield
    const end = part.indexOf('\n', from)
    const text = part.slice(from, end === -1 ? undefined : end - (part[end - 1] === '\r' && end > from ? 1 : 0))
    for (const [column, piece] of text.split(',', maxColumns + 2).entries()) {
      if (column > 0) table.endField()
      table.append(piece)
    }
    if (end === -1) return
    from = end + 1
  }
}

/** The rows so far, and the one that is being read. */
class Table<Name extends string> {
  readonly rows: Record<Name, string>[] = []
  /** The field that is being read. */
  field = ''
  readonly #wanted: readonly Name[]
  #fields: string[] = []
  #columns: number[] | undefined

  constructor(wanted: readonly Name[]) {
    this.#wanted = wanted
  }

  /** More text of the field. The bound is for time too: a text of a million pieces occupies the garbage collector for a tenth of a second. */
  append(text: string): void {
    this.field += text
    if (this.field.length > maxField) throw tooLarge(`${maxField} characters in a field`)
  }

  endField(): void {
    if (this.#fields.push(this.field) > maxColumns) throw tooLarge(`${maxColumns} columns`)
    this.field = ''
  }

  endRow(): void {
    if (this.#fields.length === 0 && this.field === '') return
    this.endField()
    const row = this.#fields
    this.#fields = []
    const columns = this.#columns
    if (columns === undefined) this.#columns = this.#wanted.map((name) => row.indexOf(name))
    else if (this.rows.push(this.#pick(row, columns)) > maxRows) throw tooLarge(`${maxRows} rows`)
  }

  #pick(row: readonly string[], columns: readonly number[]): Record<Name, string> {
    return Object.fromEntries(this.#wanted.map((name, index) => [name, row[columns[index] as number] ?? ''])) as Record<Name, string>
  }
}

function misquoted(): CheckFailure {
  return new CheckFailure('protocol', 'Its table (CSV) has a misplaced quote. Is this the right service?')
}

function tooLarge(what: string): CheckFailure {
  return new CheckFailure('too_large', `Its table (CSV) has more than ${what}. Is this the right service?`)
}
