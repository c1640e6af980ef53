import * as z from 'zod'
import type { BodyFault } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { keyFault } from './identifiers.ts'

const allowedKeys = z
  .array(
    z.string().superRefine((entry, context) => {
      const message = keyFault(entry.endsWith('/') ? `${entry}name` : entry)
      if (message !== undefined) context.addIssue(message)
    }),
  )
  .max(100)
  .default([])

/** The section `metadata` of the agent's configuration. */
export const metadataSection = z.strictObject({
  labels: allowedKeys.describe('Labels that requests may set: a key such as team, or a prefix that ends with "/", such as example.org/'),
  annotations: allowedKeys.describe('Annotations that requests may set, in the same form'),
})

/** The labels and annotations that the site allows in requests. */
export type AllowedKeys = z.output<typeof metadataSection>

type Texts = Readonly<Record<string, string>>

/**
 * The labels or annotations of a request that the site does not allow, all of them. Other programs in the cluster act on labels and
 * annotations: they inject containers, assume roles in a cloud, attach pods to networks, or exempt them from policies.
 *
 * @param current those that the object has: an entry that the request leaves as it is was allowed once, and is no fault
 */
export function disallowedKeys(member: keyof AllowedKeys, wanted: Texts, current: Texts | undefined, allowed: AllowedKeys): BodyFault[] {
  const list = allowed[member]
  const here = list.length === 0 ? `this region allows no ${member}` : `this region allows ${list.join(', ')}`
  const message = `is not allowed: ${here}; leave it out, or have the operator of the region add it to metadata.${member} of the agent's configuration`
  return keysToLeave(wanted, current, list).map((key) => ({
    path: pointerTo([member, key]),
    message,
  }))
}

/** Those of the keys that are neither allowed nor set to the same value already. @param allowed keys, and prefixes that end with a slash */
export function keysToLeave(wanted: Texts, current: Texts | undefined, allowed: readonly string[]): string[] {
  const isAllowed = (key: string) => allowed.some((entry) => (entry.endsWith('/') ? key.startsWith(entry) : key === entry))
  const isKept = (key: string, value: string) => current !== undefined && Object.hasOwn(current, key) && current[key] === value
  return Object.entries(wanted).flatMap(([key, value]) => (isAllowed(key) || isKept(key, value) ? [] : key))
}
