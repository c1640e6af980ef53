import assert from 'node:assert/strict'
import { Registry } from 'prom-client'

/** The media types of the two formats. */
export const pageTypes = { text: Registry.PROMETHEUS_CONTENT_TYPE, openmetrics: Registry.OPENMETRICS_CONTENT_TYPE } as const

/** A sample as Prometheus would keep it. */
export type Sample = { name: string; labels: Record<string, string>; value: number }

/** A page of metrics, read. */
export type Page = {
  families: Map<string, { type: string; help: string; samples: Sample[] }>
  /** The value of the one series with this name and at least these labels. */
  value(name: string, labels?: Record<string, string>): number | undefined
  /** Every series with this name and at least these labels. */
  all(name: string, labels?: Record<string, string>): Sample[]
}

const suffixes: Record<string, string[]> = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] }

/**
 * Reads a page by the rules of its format, and refuses what a strict reader would: families out of order or in two pieces, a header
 * that is missing or comes twice, series of another family or twice, labels that are not escaped, and in OpenMetrics counters without
 * `_total`, a missing end and anything after it.
 */
export function readPage(page: string | Iterable<string>, format: keyof typeof pageTypes = 'text'): Page {
  const text = typeof page === 'string' ? page : Buffer.from([...page].join('')).toString()
  const families: Page['families'] = new Map()
  const seen = new Set<string>()
  const isOpen = format === 'openmetrics'
  assert.ok(text === '' || text.endsWith(isOpen ? '\n# EOF\n' : '\n'), 'the page has an end')
  const lines = text.split('\n').slice(0, isOpen ? -2 : -1)
  let current: { name: string; type: string; samples: Sample[] } | undefined
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string
    if (line.startsWith('# HELP ')) {
      const [, name = '', help = ''] = /^# HELP (\S+) (.+)$/.exec(line) ?? []
      const [, typeName, type = ''] = /^# TYPE (\S+) (gauge|counter|histogram|summary)$/.exec(lines[++index] ?? '') ?? []
      assert.equal(typeName, name, `HELP and TYPE of ${name} stand together`)
      assert.ok(!families.has(name), `${name} is one family`)
      current = { name, type, samples: [] }
      families.set(name, { type, help, samples: current.samples })
      continue
    }
    assert.ok(current, `a header before ${line}`)
    const sample = readSample(line)
    const allowed = suffixes[current.type] ?? [isOpen && current.type === 'counter' ? '_total' : '']
    assert.ok(
      allowed.some((suffix) => sample.name === current?.name + suffix),
      `${sample.name} belongs to ${current.name}, a ${current.type}`,
    )
    if (current.type === 'counter') assert.match(sample.name, /_total$/)
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()])
    assert.ok(!seen.has(key), `${line} is there once`)
    seen.add(key)
    current.samples.push(sample)
  }
  const samples = [...families.values()].flatMap((family) => family.samples)
  const all = (name: string, labels: Record<string, string> = {}) =>
    samples.filter((each) => each.name === name && Object.entries(labels).every(([label, value]) => each.labels[label] === value))
  return {
    families,
    all,
    value(name, labels) {
      const found = all(name, labels)
      assert.ok(found.length <= 1, `${name} is one series`)
      return found[0]?.value
    },
  }
}

function readSample(line: string): Sample {
  const [, name = '', pairs = '', number = ''] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s.exec(line) ?? []
  assert.notEqual(name, '', `a sample: ${line}`)
  const labels: Record<string, string> = {}
  const pair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,|$)/y
  while (pair.lastIndex < pairs.length) {
    const at = pair.lastIndex
    const found = pair.exec(pairs)
    assert.ok(found, `labels from ${pairs.slice(at)}`)
    const [, label = '', value = ''] = found
    assert.ok(!(label in labels), `${label} is one label of ${line}`)
    labels[label] = value.replace(/\\(.)/g, (_, letter) => (letter === 'n' ? '\n' : letter))
  }
  const value = { '+Inf': Number.POSITIVE_INFINITY, '-Inf': Number.NEGATIVE_INFINITY, NaN: Number.NaN }[number] ?? Number(number)
  assert.ok(number === 'NaN' || !Number.isNaN(value), `a number: ${line}`)
  return { name, labels, value }
}
