import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { etag } from '../conditions.ts'
import type { Page } from '../pages.ts'

/** A resource, rendered once and sent many times: a Buffer is sent several times as fast as a string or an object. */
export type Prepared = {
  id: string
  bytes: Buffer
  etag: string
}

/**
 * Renders a resource whose last member is `status`. The entity tag is the last member of the status, so an item of a list can be edited
 * without being read again.
 *
 * The tag's first part covers the spec alone, whatever the order of its keys; the second covers every byte.
 */
export function prepare<Spec extends { id: string }>(spec: Spec, status: object): Prepared {
  const text = JSON.stringify({ ...spec, status })
  const tag = etag(specHash(spec), digest(text))
  return { id: spec.id, bytes: Buffer.from(`${text.slice(0, -2)},"etag":${JSON.stringify(tag)}}}`), etag: tag }
}

/** An entity tag for the examples of the OpenAPI document. */
export const exampleEtag = etag('4c9d1b7e0a35', '8f02e6d4b1c7')

/** Renders a read-only document. */
export function prepareDocument(id: string, document: object): Prepared {
  const text = JSON.stringify(document)
  return { id, bytes: Buffer.from(text), etag: `"${digest(text)}"` }
}

/**
 * Renders a read-only document that says when it was observed. Its tag is weak, and that of what it says besides (`lasting`): that the same was
 * observed again is no reason to send it again.
 */
export function prepareObserved(id: string, document: object, lasting: object): Prepared {
  return { id, bytes: Buffer.from(JSON.stringify(document)), etag: `W/"${digest(JSON.stringify(lasting))}"` }
}

/** The first part of an entity tag. */
function specHash(spec: object): string {
  return digest(canonicalize(spec) ?? '')
}

function digest(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 16)
}

const opening = Buffer.from('{"items":[')
const comma = Buffer.from(',')

/** A page of a list, composed of rendered items. */
export function composePage({ items, next }: Page<Prepared>, more: object = {}): Buffer {
  const rest = JSON.stringify({ ...more, ...(next !== undefined && { next }) })
  const closing = Buffer.from(rest === '{}' ? ']}' : `],${rest.slice(1)}`)
  return Buffer.concat([opening, ...items.flatMap(({ bytes }, index) => (index === 0 ? [bytes] : [comma, bytes])), closing])
}

/** Keeps the last value of each key while `madeFrom` stays the same. */
export function createMemo<Value>(): (key: string, madeFrom: unknown, make: () => Value) => Value {
  const kept = new Map<string, { madeFrom: unknown; value: Value }>()
  return (key, madeFrom, make) => {
    const known = kept.get(key)
    if (known && known.madeFrom === madeFrom) return known.value
    const value = make()
    kept.delete(key)
    kept.set(key, { madeFrom, value })
    // The oldest keys are removed, so that unused ones do not keep their values forever.
    for (const old of kept.keys()) {
      if (kept.size <= mostKept) break
      kept.delete(old)
    }
    return value
  }
}

const mostKept = 64
