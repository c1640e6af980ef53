import { type FaultList, Problem } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'

/**
 * An entity tag: `what` represents everything that a client can change, `when` everything else in a read.
 * If-Match compares the first part only, so a change of status never breaks an edit.
 */
export function etag(what: string, when: string): string {
  return `"${what}-${when}"`
}

/** Adds a fault for each of If-Match and If-None-Match that is malformed. */
export function validateConditions(c: ApiContext, faults: FaultList): void {
  for (const name of ['If-Match', 'If-None-Match']) {
    const given = c.req.header(name.toLowerCase())
    if (given === undefined || parseTags(given) !== undefined) continue
    faults.add(() => ({ in: 'header', name, message: 'must be "*" or entity tags in double quotes, separated by commas' }))
  }
}

/**
 * Checks If-Match and If-None-Match of a request that changes something. `current` is the entity tag of the resource, undefined
 * when it does not exist. `validateConditions` has refused malformed ones.
 * @throws Problem `precondition-failed` with the current `etag`
 */
export function checkPreconditions(c: ApiContext, current: string | undefined): void {
  const ifMatch = tagsOf(c, 'if-match')
  if (ifMatch !== undefined) {
    const wanted = current === undefined ? undefined : changeable(current)
    const matches = wanted !== undefined && (ifMatch === '*' || ifMatch.some((tag) => changeable(tag) === wanted))
    if (!matches) throw failed(current === undefined ? 'If-Match is given, but the resource does not exist.' : stale, current)
  }
  const ifNoneMatch = tagsOf(c, 'if-none-match')
  if (ifNoneMatch === undefined || current === undefined) return
  if (ifNoneMatch === '*') throw failed('If-None-Match: * is given, but the resource exists.', current)
  if (ifNoneMatch.some((tag) => weak(tag) === current)) throw failed('If-None-Match excludes the current version.', current)
}

const stale = 'The resource has changed since the version in If-Match.'

function failed(detail: string, current: string | undefined): Problem {
  return new Problem('precondition-failed', detail, current === undefined ? {} : { extensions: { etag: current } })
}

/** Whether If-None-Match says that the caller of a GET already has this version (weak comparison, RFC 9110, section 13.1.2). */
export function isNotModified(c: ApiContext, current: string): boolean {
  const given = c.req.header('if-none-match')
  if (given === undefined) return false
  if (given === current) return true
  const tags = parseTags(given)
  return tags === '*' || (tags?.some((tag) => weak(tag) === weak(current)) ?? false)
}

function tagsOf(c: ApiContext, name: string): string[] | '*' | undefined {
  const given = c.req.header(name)
  return given === undefined ? undefined : (parseTags(given) ?? [])
}

/** The entity tags of a header, `*`, or undefined when it is malformed. */
function parseTags(given: string): string[] | '*' | undefined {
  const text = given.trim()
  if (text === '*') return '*'
  if (text.length > 4096) return undefined
  const tags: string[] = []
  const syntax = /\s*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(,|$)/y
  while (syntax.lastIndex < text.length) {
    const [, tag, end] = syntax.exec(text) ?? []
    if (tag === undefined) return undefined
    tags.push(tag)
    if (end === '') break
    if (syntax.lastIndex === text.length) return undefined
  }
  return tags.length > 0 ? tags : undefined
}

/** The part of a strong tag that If-Match compares. A weak tag matches nothing. */
function changeable(tag: string): string | undefined {
  if (tag.startsWith('W/')) return undefined
  const end = tag.indexOf('-')
  return tag.slice(1, end < 0 ? -1 : end)
}

function weak(tag: string): string {
  // A proxy that compresses (Cloudflare does) makes a strong tag weak.
  return tag.startsWith('W/') ? tag.slice(2) : tag
}
