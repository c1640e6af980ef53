const powers: Record<string, number> = {
  ...{ n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 },
}
const form = /^(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:([numkMGTPE]|[KMGTPE]i)?(B)?|[eE]([+-]?\d{1,2}))$/

/**
 * The number that a Kubernetes quantity says, or the Crate Operator's spelling of one (`64GiB`); undefined if it is neither or negative.
 * It is for telling, not for sums that must be exact: from 2^53 on it is rounded.
 */
export function parseQuantity(given: unknown): number | undefined {
  const match = form.exec(typeof given === 'number' ? String(given) : typeof given === 'string' ? given : '')
  if (match === null) return undefined
  const [, digits, suffix = '', byte, exponent] = match
  // `5B` and `5mB` mean nothing to anybody.
  if (byte !== undefined && (suffix === '' || 'num'.includes(suffix))) return undefined
  return Number(digits) * (exponent === undefined ? (powers[suffix] as number) : 10 ** Number(exponent))
}

/** Whole bytes of a quantity, rounded up as Kubernetes does; 0 if it is none. */
export function bytesOf(given: unknown): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(parseQuantity(given) ?? 0))
}

/** Thousandths of a core, rounded up; 0 if it is none. Kept whole, so that what is added and taken away again leaves nothing. */
export function millicoresOf(given: unknown): number {
  // 0.1 times 1000 is more than 100 in floating numbers.
  return Math.ceil(Number(((parseQuantity(given) ?? 0) * 1000).toPrecision(12)))
}
