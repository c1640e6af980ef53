export type Values = Record<string, unknown>

const isMap = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value)

/** An empty map accepts any keys. */
const isOpen = (value: unknown) => isMap(value) && Object.keys(value).length === 0

/** Values that decide on facts: whether CRDs are installed and kept, the environment, and who can have a claim. */
const deciding: Values = {
  ...{ env: {}, installCRDs: false, crds: { enabled: true, keep: true, create: true, annotations: {} } },
  ...{ deploymentStrategy: { type: '' }, persistence: { enabled: true, size: '', annotations: {} } },
  singleBinary: { persistence: { size: '' } },
}

/** Merges values as helm does: maps key by key; of anything else, the latter takes precedence. */
export function merged(values: Values, over: Values): Values {
  const all: Values = { ...values }
  for (const [key, value] of Object.entries(over)) {
    const own = all[key]
    all[key] = isMap(value) && isMap(own) ? merged(own, value) : value
  }
  return all
}

/** A value by its path, such as `crds.keep`. */
export function valueAt(values: Values, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), values)
}

/** The chart's defaults of the values that decide on facts. */
export function defaultsOf(values: Values, wanted = deciding): Values {
  const found: Values = {}
  for (const [key, value] of Object.entries(wanted)) {
    const own = values[key]
    if (key in values) found[key] = isMap(value) && isMap(own) && !isOpen(value) ? defaultsOf(own, value) : own
  }
  return found
}

/** Paths of our values that the chart does not list. */
export function unknownValues(values: Values, ours: Values, path = ''): string[] {
  return Object.entries(ours).flatMap(([key, value]) => {
    if (!(key in values)) return [`${path}${key}`]
    const own = values[key]
    return isMap(value) && isMap(own) && !isOpen(own) ? unknownValues(own, value, `${path}${key}.`) : []
  })
}
