const suffixes: Record<string, number> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** The number that a Kubernetes quantity (`500m`, `10Gi`, `1e3`) stands for; undefined when it is none. */
export function parseQuantity(text: unknown): number | undefined {
  if (typeof text === 'number') return text
  if (typeof text !== 'string') return undefined
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)?$/.exec(text)
  if (!match) return undefined
  const [, digits = '', suffix = ''] = match
  return /^[eE][+-]?\d/.test(suffix) ? Number(digits + suffix) : Number(digits) * (suffixes[suffix] ?? Number.NaN)
}

/** A number as a quantity of the same family as `like`: with binary suffixes for `10Gi`, in thousandths for `500m`. */
export function formatQuantity(value: number, like: string): string {
  if (/[KMGTPE]i$/.test(like)) {
    for (const suffix of ['Ei', 'Pi', 'Ti', 'Gi', 'Mi', 'Ki']) {
      const unit = suffixes[suffix] ?? 1
      if (value !== 0 && Number.isInteger(value / unit)) return `${value / unit}${suffix}`
    }
  }
  if (/[kMGTPE]$/.test(like)) {
    for (const suffix of ['E', 'P', 'T', 'G', 'M', 'k']) {
      const unit = suffixes[suffix] ?? 1
      if (value !== 0 && Number.isInteger(value / unit)) return `${value / unit}${suffix}`
    }
  }
  return Number.isInteger(value) ? String(value) : `${Math.round(value * 1000)}m`
}
