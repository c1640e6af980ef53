import { createHash } from 'node:crypto'
import type { KubernetesObject } from '../../client/objects.ts'

/** The prefix of the annotations in which the operator keeps an object's state. */
export const prefix = 'operator.cloud.crate.io'
export const finalizer = `${prefix}/finalizer`
export const lastKey = `${prefix}/last`
export const managedKey = `${prefix}/kopf-managed`
export const rollbackKey = `${prefix}/rollback-upgrade`

export type Purpose = 'create' | 'update' | 'delete'

/** The progress of one handler, in Kopf's form without null fields. Times are ISO 8601 with microseconds. */
export type Progress = {
  started: string
  stopped?: string
  delayed?: string
  purpose: Purpose
  retries: number
  success: boolean
  failure: boolean
  message?: string
  subrefs?: string[]
}

/** The part of an object that the operator compares: without fields that systems write. */
export type Essence = {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }
  // biome-ignore lint/suspicious/noExplicitAny: whatever the kind holds
  [field: string]: any
}

/**
 * The annotation with a handler's progress: its id with "/" replaced by ".", at most 63 characters after the prefix.
 *
 * A longer id is cut and ends in six characters of a hash. Kopf uses BLAKE2b with a digest of four bytes, which Node's
 * crypto does not offer; this hash has the same length and alphabet, so that the keys look alike.
 */
export function progressKey(handlerId: string): string {
  const safe = handlerId.replaceAll('/', '.')
  if (handlerId.length <= 63) return `${prefix}/${safe}`
  const digest = createHash('blake2b512').update(handlerId).digest().subarray(0, 4)
  const suffix = `-${digest.toString('base64').replaceAll('+', '-').replaceAll('/', '.')}`.replace(/[=.-]+$/, '')
  return `${prefix}/${safe.slice(0, 63 - suffix.length)}${suffix}`
}

export function progressOf(object: KubernetesObject, handlerId: string): Progress | undefined {
  const text = object.metadata.annotations?.[progressKey(handlerId)]
  return text === undefined ? undefined : (JSON.parse(text) as Progress)
}

export const isFinished = (progress: Progress | undefined): boolean => progress?.stopped !== undefined

/** The last handled state, successful or not; undefined for an object that has not finished a cycle. */
export function lastHandled(object: KubernetesObject): Essence | undefined {
  const text = object.metadata.annotations?.[lastKey]
  return text === undefined ? undefined : (JSON.parse(text) as Essence)
}

/** Spec (or data) with labels and annotations, without the operator's own annotations and those of kubectl apply. */
export function essenceOf({ apiVersion: _, kind: __, metadata, status: ___, ...rest }: KubernetesObject): Essence {
  const annotations = Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).filter(
      ([key]) => !key.startsWith(`${prefix}/`) && key !== 'kubectl.kubernetes.io/last-applied-configuration',
    ),
  )
  const kept = {
    ...(metadata.labels && Object.keys(metadata.labels).length > 0 && { labels: metadata.labels }),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  }
  return { ...rest, ...(Object.keys(kept).length > 0 && { metadata: kept }) }
}

/** The text in the annotation: JSON without spaces, and a newline for kubectl. */
export const encodeEssence = (essence: Essence): string => `${JSON.stringify(essence)}\n`

/** Unix milliseconds as Python's isoformat writes them. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace('Z', '000+00:00')

export const md5 = (text: string): string => createHash('md5').update(text).digest('hex')
