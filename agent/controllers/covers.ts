import { isDeepStrictEqual } from 'node:util'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'

/**
 * Whether an object in the cluster is as wanted: it has every field that `wanted` names, with that value. What the API server
 * or others added besides does not matter; a list must have just the entries wanted.
 */
export function covers(there: KubernetesObject, wanted: KubernetesObject): boolean {
  const { apiVersion: _, kind: __, ...fields } = wanted
  // What a Secret holds is one thing: a key that the source lost must go from the copy too.
  if (wanted.kind === 'Secret' && !isDeepStrictEqual(there.data, wanted.data)) return false
  return holds(there, fields)
}

function holds(there: unknown, wanted: unknown): boolean {
  // The API server leaves out what is empty.
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

/** `0.5` and `500m`, `1024Mi` and `1Gi`: the API server has a spelling of its own. */
function sameQuantity(there: unknown, wanted: unknown): boolean {
  if (typeof there !== 'string' || typeof wanted !== 'string') return false
  const [a, b] = [thousandths(there), thousandths(wanted)]
  return a !== undefined && a === b
}

/** A quantity in thousandths, so that those of processors are whole numbers too. */
function thousandths(text: string): bigint | undefined {
  const [, digits = '', milli] = /^(\d+)(m)$/.exec(text) ?? []
  if (milli) return BigInt(digits)
  const fraction = /^(\d*)\.(\d{1,3})$/.exec(text)
  if (fraction) return BigInt(`${fraction[1]}${fraction[2]?.padEnd(3, '0')}`)
  const whole = parseBytes(text)
  return whole === undefined ? undefined : whole * 1000n
}
