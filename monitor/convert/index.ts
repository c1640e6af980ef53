import { Document, isMap, type YAMLMap } from 'yaml'
import { parseConfigFile } from '../../shared/config/file.ts'
import type { Converted, ConvertedDocument } from './converted.ts'
import { convertGatus, isGatus } from './gatus.ts'
import { convertHealthd, healthdEntries } from './healthd.ts'

/** A configuration of another tool as a checks file, with a comment above each check that is not the same; and all notes, for people. */
type ConvertedFile = { text: string; notes: string[]; checks: number }

/** The tools whose configurations can be converted. */
export type Origin = 'Gatus' | "LambdaStack's health monitor"

/** The tool that a configuration was written for; undefined if it is none of those that can be converted. @param value plain data */
export function originOf(value: unknown): Origin | undefined {
  if (isGatus(value)) return 'Gatus'
  return healthdEntries(value) === undefined ? undefined : "LambdaStack's health monitor"
}

/** The same of a file with several documents, which a checks file never has. */
export function originOfDocuments(text: string): Origin | undefined {
  for (const each of documentsOf(text) ?? []) {
    const origin = originOf(each)
    if (origin !== undefined) return origin
  }
  return undefined
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

/** The documents of a file; undefined if one of them is not what a person would write: see `parseConfigFile`. */
function documentsOf(text: string): unknown[] | undefined {
  const documents: unknown[] = []
  // A line of three dashes begins a document, unless it is the text of a block, which such a file does not have.
  for (const each of text.split(/^---(?:[ \t].*)?$/m)) {
    if (each.replaceAll(/^\s*(#.*)?$/gm, '') === '') continue
    const file = parseConfigFile(each)
    if (Array.isArray(file)) return undefined
    documents.push(file.value)
  }
  return documents
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
