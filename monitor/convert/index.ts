import { Document, isMap, parseAllDocuments, type YAMLMap } from 'yaml'
import type { Converted, ConvertedDocument } from './converted.ts'
import { convertGatus, isGatus } from './gatus.ts'
import { convertHealthd, healthdEntries } from './healthd.ts'

/** A configuration of another tool as a checks file, with a comment above each check that is not the same; and all notes, for people. */
type ConvertedFile = { text: string; notes: string[]; checks: number }

/** The tools whose configurations can be converted. */
export type Origin = 'Gatus' | "LambdaStack's health monitor"

/** The tool that a file with checks was written for; undefined if it is none of those that can be converted. */
export function originOf(text: string): Origin | undefined {
  const documents = documentsOf(text) ?? []
  if (documents.some(isGatus)) return 'Gatus'
  return documents.some((each) => healthdEntries(each) !== undefined) ? "LambdaStack's health monitor" : undefined
}

/** Converts a file, which may have several documents. Undefined if it is YAML that no known tool uses, or no YAML. */
export function convert(text: string): ConvertedFile | undefined {
  const converted = (documentsOf(text) ?? []).flatMap((each) => convertDocument(each) ?? [])
  if (converted.length === 0) return undefined
  const entries = uniquelyNamed(converted.flatMap((each) => each.entries))
  const checks = entries.flatMap(({ check }) => check ?? [])
  const left = [...converted.flatMap((each) => each.notes), ...entries.flatMap(({ check, notes }) => (check === undefined ? notes : []))]
  const document = new Document({ checks })
  const items = (document.get('checks') as { items?: YAMLMap[] } | undefined)?.items ?? []
  for (const [index, { notes }] of entries.filter(({ check }) => check !== undefined).entries()) {
    const item = items[index]
    if (notes.length > 0 && isMap(item)) item.commentBefore = notes.map((note) => ` ${note}`).join('\n')
  }
  if (left.length > 0) document.commentBefore = left.map((note) => ` Without a counterpart: ${note}`).join('\n')
  const ofChecks = entries.flatMap(({ check, notes }) => (check === undefined ? [] : notes.map((note) => `${check.name}: ${note}`)))
  return { text: document.toString({ lineWidth: 0 }), notes: [...left, ...ofChecks], checks: checks.length }
}

/** A file may be as large as a checks file; the caller has bounded it. */
function documentsOf(text: string): unknown[] | undefined {
  const documents = parseAllDocuments(text, { uniqueKeys: false, logLevel: 'silent' })
  if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return undefined
  try {
    return documents.map((each) => each.toJS({ maxAliasCount: 1000 }))
  } catch {
    return undefined // aliases that expand to too much
  }
}

function convertDocument(document: unknown): ConvertedDocument | undefined {
  if (isGatus(document)) return convertGatus(document)
  const entries = healthdEntries(document)
  return entries && convertHealthd(entries)
}

/** Other tools allow two entries of one name, or tell them apart by their group. */
function uniquelyNamed(entries: readonly Converted[]): Converted[] {
  const taken = new Set<string>()
  return entries.map(({ check, notes }) => {
    if (check === undefined) return { notes }
    let { name } = check
    for (let number = 2; taken.has(name); number++) name = `${check.name} ${number}`
    taken.add(name)
    return { check: { ...check, name }, notes }
  })
}
