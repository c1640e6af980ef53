import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'

/**
 * The path of the first field of `wanted` that an object in the cluster does not have with the same value; undefined if it has all. Fields
 * that the API server or others added do not matter; a list must have exactly the wanted entries.
 */
export function differing(there: KubernetesObject, wanted: KubernetesObject): string[] | undefined {
  const { apiVersion: _, kind: __, ...fields } = wanted
  return firstDifference(there, fields)
}

/** The path of the first value of `wanted` that `there` does not have; undefined if it has all. A list counts as one value. */
export function firstDifference(there: unknown, wanted: unknown, path: string[] = []): string[] | undefined {
  // The API server omits empty values.
  if (isEmpty(wanted)) return isEmpty(there) ? undefined : path
  if (Array.isArray(wanted)) {
    const isSame =
      Array.isArray(there) &&
      there.length === wanted.length &&
      wanted.every((entry, index) => firstDifference(there[index], entry, path) === undefined)
    return isSame ? undefined : path
  }
  if (isMap(wanted)) {
    if (!isMap(there)) return path
    for (const [key, field] of Object.entries(wanted)) {
      const found = firstDifference(there[key], field, [...path, key])
      if (found) return found
    }
    return undefined
  }
  return there === wanted || sameQuantity(there, wanted) ? undefined : path
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
}

/** The API server normalizes quantities: `0.5` is `500m`, and `1024Mi` is `1Gi`. */
function sameQuantity(there: unknown, wanted: unknown): boolean {
  if (typeof there !== 'string' || typeof wanted !== 'string') return false
  const [a, b] = [thousandths(there), thousandths(wanted)]
  return a !== undefined && a === b
}

/** A quantity in thousandths, so that amounts of processor are integers too. */
function thousandths(text: string): bigint | undefined {
  const [, digits = '', milli] = /^(\d+)(m)$/.exec(text) ?? []
  if (milli) return BigInt(digits)
  const fraction = /^(\d*)\.(\d{1,3})$/.exec(text)
  if (fraction) return BigInt(`${fraction[1]}${fraction[2]?.padEnd(3, '0')}`)
  const whole = parseBytes(text)
  return whole === undefined ? undefined : whole * 1000n
}
