import { isMap, type Json } from './object.ts'
import { badRequest } from './status.ts'

const decimal: [suffix: string, power: number][] = [
  ['E', 18],
  ['P', 15],
  ['T', 12],
  ['G', 9],
  ['M', 6],
  ['k', 3],
  ['', 0],
  ['m', -3],
  ['u', -6],
  ['n', -9],
]
const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

const nano = 10n ** 9n
const pattern = /^([+-]?)(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$/

/** A quantity in thousand-millionths, rounded up as Kubernetes does, and the family of suffixes it is written in. */
function parse(text: unknown): { nanos: bigint; family: 'binary' | 'decimal' } | undefined {
  const match = pattern.exec(typeof text === 'number' ? String(text) : typeof text === 'string' ? text : '')
  if (!match) return undefined
  const [, sign, digits = '', exponent, suffix = ''] = match
  const [whole = '', fraction = ''] = digits.split('.')
  const mantissa = BigInt(whole + fraction || '0')
  const family = suffix.endsWith('i') ? 'binary' : 'decimal'
  const power = 9 - fraction.length + (exponent ? Number(exponent.slice(1)) : (decimal.find(([each]) => each === suffix)?.[1] ?? 0))
  if (Math.abs(power) > 60) return undefined
  const scaled = mantissa * (family === 'binary' ? 1024n ** BigInt(binary.indexOf(suffix)) : 1n)
  const nanos = power >= 0 ? scaled * 10n ** BigInt(power) : divideUp(scaled, 10n ** BigInt(-power))
  return { nanos: sign === '-' ? -nanos : nanos, family }
}

const divideUp = (value: bigint, by: bigint): bigint => (value + by - 1n) / by

/** As Kubernetes writes it: the largest suffix that leaves no fraction; binary suffixes from 1024 on. */
function print(nanos: bigint, family: 'binary' | 'decimal'): string {
  if (nanos === 0n) return '0'
  const size = nanos < 0n ? -nanos : nanos
  if (family === 'binary' && size >= 1024n * nano) {
    let value = divideUp(size, nano)
    let steps = 0
    while (value % 1024n === 0n && steps < 6) {
      value /= 1024n
      steps++
    }
    return `${nanos < 0n ? '-' : ''}${value}${binary[steps]}`
  }
  const [suffix, power] = decimal.find(([, each]) => nanos % 10n ** BigInt(each + 9) === 0n) ?? ['n', -9]
  return `${nanos / 10n ** BigInt(power + 9)}${suffix}`
}

/** The number of a Kubernetes quantity (`500m`, `10Gi`, `1e3`); undefined if it is not one. */
export function parseQuantity(text: unknown): number | undefined {
  const parsed = parse(text)
  return parsed && Number(parsed.nanos) / 1e9
}

/** A number as a quantity of the same family as `like`: with binary suffixes for `10Gi`, with decimal ones for `500m`. */
export function formatQuantity(value: number, like: string): string {
  const whole = Math.trunc(value)
  return print(BigInt(whole) * nano + BigInt(Math.round((value - whole) * 1e9)), parse(like)?.family ?? 'decimal')
}

const amounts = ['requests', 'limits']
const ofContainers = (spec: Json): Json[] =>
  ['containers', 'initContainers']
    .flatMap((field) => (Array.isArray(spec?.[field]) ? spec[field] : []))
    .map((container) => container?.resources)
const ofClaim = (claim: Json): Json[] => [claim?.spec?.resources]
const within = (holders: Json[], fields: string[]): Json[] => holders.flatMap((holder) => fields.map((field) => holder?.[field]))
const listOf = (value: Json): Json[] => (Array.isArray(value) ? value : [])

/** The fields of built-in kinds that are maps of quantities. */
const places: Record<string, (object: Json) => Json[]> = {
  ResourceQuota: ({ spec }) => [spec?.hard],
  LimitRange: ({ spec }) => within(listOf(spec?.limits), ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio']),
  PersistentVolume: ({ spec }) => [spec?.capacity],
  PersistentVolumeClaim: (claim) => [...within(ofClaim(claim), amounts), claim.status?.capacity],
  Node: ({ status }) => [status?.capacity, status?.allocatable],
  Pod: ({ spec }) => within(ofContainers(spec), amounts),
  Deployment: ({ spec }) => within(ofContainers(spec?.template?.spec), amounts),
  ReplicaSet: ({ spec }) => within(ofContainers(spec?.template?.spec), amounts),
  DaemonSet: ({ spec }) => within(ofContainers(spec?.template?.spec), amounts),
  StatefulSet: ({ spec }) => [
    ...within(ofContainers(spec?.template?.spec), amounts),
    ...within(listOf(spec?.volumeClaimTemplates).flatMap(ofClaim), amounts),
  ],
  Job: ({ spec }) => within(ofContainers(spec?.template?.spec), amounts),
  CronJob: ({ spec }) => within(ofContainers(spec?.jobTemplate?.spec?.template?.spec), amounts),
}

/**
 * Normalizes the quantities of a built-in kind as Kubernetes does, in place: `0.5` becomes `500m`, `1024Mi`
 * becomes `1Gi`. Throws 400 if one does not parse, as decoding does on the real server.
 */
export function canonicalQuantities(kind: string, object: Json): void {
  for (const place of places[kind]?.(object) ?? []) {
    if (!isMap(place)) continue
    for (const name of Object.keys(place)) {
      const parsed = parse(place[name])
      if (!parsed) {
        const rule = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        throw badRequest(`${kind} in version "v1" cannot be handled as a ${kind}: ${rule}`)
      }
      place[name] = print(parsed.nanos, parsed.family)
    }
  }
}
