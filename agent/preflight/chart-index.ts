/** Looks up some charts in the index of a repository. It is read line by line, since it may have many megabytes. */
export type ChartIndex = {
  /** Takes the next line. */
  line(text: string): void
  /** All versions were found: the rest need not be read. */
  readonly complete: boolean
  /** Whether the text is an index. */
  readonly isIndex: boolean
  /** Whether the index contains this version of the chart, and the first version, which helm makes the newest; undefined without the chart. */
  of(chart: string, version: string): { version: boolean; newest: string | undefined }
}

type Sought = { chart: string; version: string }

/**
 * Reads an index as helm writes it: `entries` has a list of versions for each chart, and each version is a map.
 * @param sought charts with their required versions
 */
export function createChartIndex(sought: readonly Sought[]): ChartIndex {
  const seen = new Map<string, string[]>(sought.map(({ chart }) => [chart, []]))
  const left = new Set(sought.map(({ chart, version }) => `${chart} ${bare(version)}`))
  let isIndex = false
  let within = false
  /** Columns of the charts' names, of the dashes of one chart's versions, and of the keys of one version. */
  let [nameAt, dashAt, keyAt] = [-1, -1, -1]
  let chart = ''

  function entry(column: number, text: string): void {
    if (nameAt < 0) nameAt = column
    const isDash = text === '-' || text.startsWith('- ')
    if (column === nameAt && !isDash) {
      chart = unquoted(text.replace(/:(\s.*)?$/, ''))
      dashAt = keyAt = -1
      return
    }
    if (!seen.has(chart)) return
    if (isDash && dashAt < 0) dashAt = column
    if (isDash && column === dashAt) {
      const [lead = ''] = /^-\s*/.exec(text) ?? []
      keyAt = text === '-' ? -1 : column + lead.length
      if (keyAt >= 0) field(text.slice(lead.length))
    } else if (column > dashAt && (keyAt < 0 || column === keyAt)) {
      keyAt = column
      field(text)
    }
  }

  function field(text: string): void {
    const [, value] = /^version:\s+(.+?)\s*$/.exec(text) ?? []
    if (value === undefined) return
    const version = unquoted(value.replace(/\s#.*$/, ''))
    seen.get(chart)?.push(version)
    left.delete(`${chart} ${bare(version)}`)
  }

  function readJson(text: string): void {
    const { entries }: { entries?: Record<string, { version?: string }[]> } = JSON.parse(text)
    if (entries === undefined) return
    isIndex = true
    for (const [name, versions] of seen) for (const { version } of entries[name] ?? []) if (version !== undefined) versions.push(version)
  }

  return {
    line(text) {
      // An index of one line is JSON.
      if (!isIndex && text.startsWith('{')) return readJson(text)
      const column = text.search(/[^ ]/)
      if (column < 0 || text[column] === '#' || text[column] === '\r') return
      if (column === 0) {
        within = /^["']?entries["']?:/.test(text)
        isIndex ||= within
      } else if (within) entry(column, text.slice(column).trimEnd())
    },
    get complete() {
      return left.size === 0
    },
    get isIndex() {
      return isIndex
    },
    of(name, version) {
      const versions = seen.get(name) ?? []
      return { version: versions.some((each) => bare(each) === bare(version)), newest: versions[0] }
    },
  }
}

/** For helm, `v1.2.3` is the same as `1.2.3`. */
function bare(version: string): string {
  return version.replace(/^v/, '')
}

function unquoted(text: string): string {
  return /^(["']).*\1$/.test(text) ? text.slice(1, -1) : text
}
