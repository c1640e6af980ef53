// The suffixes of Kubernetes (k8s.io/apimachinery, resource.Quantity), and the spelling with a final B that the Crate Operator also accepts.
const decimal = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 } as const
const binary = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n } as const
const form = /^(?<whole>\d+)(?:\.(?<fraction>\d+))?(?:(?<suffix>[numkMGTPE]|[KMGTPE]i)?(?<byte>B)?|[eE](?<exponent>[+-]?\d{1,2}))$/

/** A fraction of two integers: exact until it is rounded at the end. */
type Ratio = { numerator: bigint; denominator: bigint }

/** The exact value of a quantity; `undefined` if it is invalid, negative, or unreasonably long. */
function parseRatio(text: string): Ratio | undefined {
  const groups = text.length <= 32 ? form.exec(text)?.groups : undefined
  if (!groups) return undefined
  const { whole = '0', fraction = '', suffix = '', byte, exponent } = groups
  // `5B` and `5mB` are invalid; `128GB` and `128GiB` are not.
  if (byte !== undefined && (suffix === '' || 'num'.includes(suffix))) return undefined
  const ratio = { numerator: BigInt(whole + fraction), denominator: 10n ** BigInt(fraction.length) }
  if (suffix in binary) return { ...ratio, numerator: ratio.numerator << binary[suffix as keyof typeof binary] }
  const power = exponent === undefined ? decimal[suffix as keyof typeof decimal] : Number(exponent)
  return power >= 0
    ? { ...ratio, numerator: ratio.numerator * 10n ** BigInt(power) }
    : { ...ratio, denominator: ratio.denominator * 10n ** BigInt(-power) }
}

/** As Kubernetes rounds. */
function roundedUp({ numerator, denominator }: Ratio): bigint {
  return (numerator + denominator - 1n) / denominator
}

/** Bytes of a Kubernetes quantity (`4Gi`, `500M`, `1e9`) or of the operator's spelling (`128GiB`), rounded up; `undefined` if it is neither. */
export function parseBytes(text: string): bigint | undefined {
  const ratio = parseRatio(text)
  return ratio && roundedUp(ratio)
}

/** Millicores of an amount of processor (`2`, `0.5`, `500m`), rounded up; `undefined` if it is invalid. */
export function parseMillicores(given: string | number): number | undefined {
  const text = String(given)
  if (text.endsWith('B')) return undefined
  const ratio = parseRatio(text)
  if (!ratio) return undefined
  const millicores = roundedUp({ ...ratio, numerator: ratio.numerator * 1000n })
  return millicores <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(millicores) : undefined
}

/**
 * The spelling in which Skerry writes a number of bytes: the largest binary suffix that divides it, else plain digits. The operator and
 * Kubernetes both accept it. Not so `64GiB`: after a compute change the operator passes the memory to Kubernetes unchanged
 * (change_compute.py), and Kubernetes rejects the final B.
 */
export function formatBytes(bytes: bigint): string {
  const suffixes = Object.entries(binary).reverse()
  const [suffix, shift] = suffixes.find(([, shift]) => bytes > 0n && bytes % (1n << shift) === 0n) ?? ['', 0n]
  return `${bytes >> shift}${suffix}`
}

/** A number of bytes for people: `64 GiB`, `1.5 TiB`, `700 bytes`; at most two decimals. */
export function describeBytes(bytes: bigint): string {
  const [suffix, shift] = Object.entries(binary).findLast(([, shift]) => bytes >= 1n << shift) ?? ['', 0n]
  if (suffix === '') return `${bytes} bytes`
  const hundredths = Number((bytes * 100n) >> shift)
  return `${hundredths / 100} ${suffix}B`
}

/** Negative, zero or positive as the first is less, equal or more; `undefined` if either is invalid. */
export function compareBytes(one: string, other: string): number | undefined {
  const [a, b] = [parseBytes(one), parseBytes(other)]
  if (a === undefined || b === undefined) return undefined
  return a < b ? -1 : a > b ? 1 : 0
}

/** A number of objects. The schema of CrateDB accepts any number, even where only a whole one makes sense. */
export function whole(count: number): bigint {
  return BigInt(Number.isFinite(count) ? Math.max(0, Math.ceil(count)) : 0)
}
