import { Gauge, Registry } from 'prom-client'

/** A registry of prom-client's with the series of a page, each a gauge with the same name, labels and value. */
export function registryOf(page: string): Registry {
  const registry = new Registry()
  const series = page.split('\n').flatMap((line) => seriesOf(line) ?? [])
  for (const [name, all] of Map.groupBy(series, ({ name }) => name)) {
    const labelNames = [...new Set(all.flatMap(({ labels }) => Object.keys(labels)))]
    const gauge = new Gauge({ name, help: name, labelNames, registers: [registry] })
    for (const { labels, value } of all) gauge.set(labels, value)
  }
  return registry
}

function seriesOf(line: string): { name: string; labels: Record<string, string>; value: number } | undefined {
  const [, name, labels = '', value] = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)/.exec(line) ?? []
  if (name === undefined) return undefined
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text])
  return { name, labels: Object.fromEntries(pairs), value: value === '+Inf' ? Infinity : Number(value) }
}
