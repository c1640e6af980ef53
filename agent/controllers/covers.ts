import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'

/**
 * Whether an object in the cluster has every field of `wanted`, with the same value. Fields that the API server or others added do not
 * matter; a list must have exactly the wanted entries.
 */
export function covers(there: KubernetesObject, wanted: KubernetesObject): boolean {
  const { apiVersion: _, kind: __, ...fields } = wanted
  // The data of a Secret are compared as a whole: a key that was removed from the source must be removed from the copy.
  if (wanted.kind === 'Secret' && !isDeepStrictEqual(there.data, wanted.data)) return false
  return holds(there, fields)
}

function holds(there: unknown, wanted: unknown): boolean {
  // The API server omits empty values.
  if (isEmpty(wanted)) return isEmpty(there)
  if (Array.isArray(wanted)) {
    return Array.isArray(there) && there.length === wanted.length && wanted.every((entry, index) => holds(there[index], entry))
  }
  if (isMap(wanted)) return isMap(there) && Object.entries(wanted).every(([key, field]) => holds(there[key], field))
  return there === wanted || sameQuantity(there, wanted)
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
