import type { Core } from './core.ts'
import type { ResourceType } from './resources.ts'
import { fieldSelector, labelSelector, type Selector } from './selectors.ts'
import { ApiError, badRequest, expired } from './status.ts'
import type { Entry } from './store.ts'

/** The selection of a list or watch; undefined selects everything. */
export function selectorOf(type: ResourceType, query: URLSearchParams): Selector | undefined {
  const byLabel = labelSelector(query.get('labelSelector') ?? '')
  const byField = fieldSelector(query.get('fieldSelector') ?? '', type.fieldSelectors)
  if (!byLabel || !byField) return byLabel ?? byField
  return (object) => byLabel(object) && byField(object)
}

/** A revision as a number. Throws 400 for anything else, 504 for a revision that does not exist yet. */
export function revisionOf(core: Core, text: string): number {
  if (!/^\d+$/.test(text))
    throw badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    )
  const revision = Number(text)
  if (revision > core.store.revision) {
    throw new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${revision}, current: ${core.store.revision}`, {
      retryAfterSeconds: 1,
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
    })
  }
  return revision
}

type Token = { v: 'meta.k8s.io/v1'; rv: number; start: string }

const encode = (rv: number, start: string): string =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv, start } satisfies Token)).toString('base64url')

function decode(text: string): Token {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as Token
    if (typeof token.rv === 'number' && typeof token.start === 'string') return token
  } catch {
    // worded below, as for a token that parses to something else
  }
  throw badRequest(`continue key is not valid: illegal base64 data or unknown version`)
}

const tooOld =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.'

export type ListMetadata = { resourceVersion: string; continue?: string; remainingItemCount?: number }

/**
 * The selected objects, ordered by key, with the metadata of the list. All pages of a list are of one revision: later pages are
 * read at the revision of the first, or fail with 410 once that is forgotten.
 */
export function listObjects(
  core: Core,
  type: ResourceType,
  namespace: string | undefined,
  query: URLSearchParams,
): { entries: Entry[]; metadata: ListMetadata } {
  const bucket = core.store.bucket(type.bucket)
  const selector = selectorOf(type, query)
  const limit = Number(query.get('limit') ?? 0)
  const token = query.get('continue') ? decode(query.get('continue') ?? '') : undefined
  const revision = token?.rv ?? exactRevision(core, query) ?? core.store.revision
  if (revision < core.store.oldest(bucket)) throw expired(token ? tooOld : `The resourceVersion for the provided list is too old.`)
  let entries = bucket.listAt(revision, namespace)
  if (token) entries = entries.slice(firstAfter(entries, token.start))
  const metadata: ListMetadata = { resourceVersion: String(revision) }
  if (!limit) return { entries: selector ? entries.filter((entry) => selector(entry.object)) : entries, metadata }

  const page: Entry[] = []
  for (const [index, entry] of entries.entries()) {
    if (page.length === limit) {
      metadata.continue = encode(revision, (entries[index - 1] as Entry).key)
      if (!selector) metadata.remainingItemCount = entries.length - index
      break
    }
    if (!selector || selector(entry.object)) page.push(entry)
  }
  return { entries: page, metadata }
}

function exactRevision(core: Core, query: URLSearchParams): number | undefined {
  const text = query.get('resourceVersion')
  const match = query.get('resourceVersionMatch')
  if (match && !text && !query.get('sendInitialEvents')) {
    throw badRequest('resourceVersionMatch is forbidden unless resourceVersion is provided')
  }
  const revision = text ? revisionOf(core, text) : undefined
  return match === 'Exact' ? revision : undefined
}

function firstAfter(entries: Entry[], key: string): number {
  const index = entries.findIndex((entry) => entry.key > key)
  return index < 0 ? entries.length : index
}
