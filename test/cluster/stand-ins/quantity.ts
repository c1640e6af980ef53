const factors: Record<string, number> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
}

/**
 * A Kubernetes quantity, or one with a trailing B as in the CrateDB resource, as a number of cores or bytes.
 * @throws RangeError for any other text
 */
export function parseQuantity(text: string | number): number {
  const [, digits, unit = ''] = /^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*$/.exec(String(text)) ?? []
  const factor = factors[unit.length > 1 ? unit.replace(/B$/, '') : unit === 'B' ? '' : unit]
  if (digits === undefined || factor === undefined) throw new RangeError(`not a quantity: ${text}`)
  return Number(digits) * factor
}

/** Bytes in the largest binary unit that needs no fraction, as Kubernetes writes them: `64Gi`. */
export function formatBytes(bytes: number): string {
  for (const unit of ['Pi', 'Ti', 'Gi', 'Mi', 'Ki']) {
    const value = bytes / (factors[unit] as number)
    if (value >= 1 && Number.isInteger(value)) return `${value}${unit}`
  }
  return String(Math.ceil(bytes))
}
