/** The rows of a CSV text (RFC 4180), each as an object by the names of its first line. Lines may end with LF alone. */
export function parseCsv(text: string): Record<string, string>[] {
  const [names = [], ...rows] = fieldsOf(text)
  return rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? ''])))
}

function fieldsOf(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    const [whole, quoted, plain = '', separator] = match
    if (whole === '' && row.length === 0) continue // a blank line, or the end
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'))
    if (separator !== ',') {
      rows.push(row)
      row = []
    }
  }
  return rows
}
