import { readFileSync, statSync } from 'node:fs'
import { isAlias, isCollection, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar, visit } from 'yaml'

/** How files are read. */
export type Files = {
  /** The bytes of a regular file. @throws Error if it cannot be read or is longer than `maxBytes` */
  read(path: string, maxBytes: number): Uint8Array
}

/** The files of this machine. A device or a pipe is refused: reading it might never end. */
export const systemFiles: Files = {
  read(path, maxBytes) {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) throw new Error('there is no such file')
    if (!found.isFile()) throw new Error('it is not a regular file')
    if (found.size > maxBytes) throw new Error(`it is larger than ${maxBytes / 1024} KiB`)
    return readFileSync(path)
  },
}

/** The bytes of a file. @throws Error with the fault of the file, without its name */
export function readBytes(files: Files, path: string, maxBytes: number): Uint8Array {
  try {
    return files.read(path, maxBytes)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === 'EACCES' ? 'permission denied' : message.replace(/^[A-Z]+: /, ''), { cause: error })
  }
}

/** The text of a file. @throws Error with the fault of the file, without its name */
export function readText(files: Files, path: string, maxBytes: number): string {
  const bytes = readBytes(files, path, maxBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error('it is not UTF-8 text', { cause: error })
  }
}

/** The text of a file, or why it cannot be read: either may change. */
export function textOrFault(files: Files, path: string, maxBytes: number): string {
  try {
    return readText(files, path, maxBytes)
  } catch (error) {
    return (error as Error).message
  }
}

/** Line and column, both from 1, as editors count them. */
export type Position = { line: number; column: number }

/** A YAML file as plain data, with the position of each value. */
export type ConfigFile = {
  value: unknown
  /** The position of the value at a path, or of the nearest one around it. `isKey`: of the field's name instead. */
  position(path: readonly (string | number)[], isKey: boolean): Position | undefined
}

/** A fault of a file as a whole, or at a position in it. */
export type FileFault = { message: string; position?: Position }

/** A malicious megabyte keeps the parser busy for seconds. A region with a thousand checks fits. */
export const maxConfigBytes = 512 * 1024
const maxDepth = 50
const maxNodes = 100_000

/**
 * Reads YAML 1.2 (so JSON too) that a person wrote. It refuses features that such a file does not need: several documents, tags, duplicate keys,
 * aliases that expand to too much or contain themselves.
 *
 * @param asGo for a file of a program in Go, whose decoder (gopkg.in/yaml.v3) takes more: merge keys, `!!binary`, which becomes a Uint8Array,
 * and numbers as text. A number that is not written as JavaScript would, such as `0123` or `1.0`, becomes the text as it stands.
 */
export function parseConfigFile(text: string, { asGo = false }: { asGo?: boolean } = {}): ConfigFile | FileFault[] {
  const lines = new LineCounter()
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  // The library finds duplicate keys in quadratic time, so they are looked for below.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    prettyErrors: false,
    schema: 'core',
    logLevel: 'error',
    ...(asGo && { merge: true, customTags: ['binary'] }),
  })
  const faults: FileFault[] = [...document.errors, ...document.warnings].slice(0, 20).map((error) => ({
    message: wordsOf(error.code, error.message),
    position: at(error.pos[0]),
  }))
  if (faults.length > 0) return faults
  const contents = document.contents as Node | null
  try {
    visit(document, {
      Map(_key, map) {
        const seen = new Set<string>()
        for (const { key } of map.items) {
          const name = isScalar(key) ? String(key.value) : undefined
          const position = at((key as Node | null)?.range?.[0] ?? 0)
          if (name === undefined) faults.push({ message: 'a key must be a plain string', position })
          else if (seen.has(name)) faults.push({ message: `${JSON.stringify(name)} is a duplicate key`, position })
          else seen.add(name)
        }
      },
    })
    if (faults.length > 0) return faults
    if (asGo) visit(document, { Scalar: (_key, scalar) => keepDigits(scalar) })
    const value: unknown = document.toJS({ maxAliasCount: 1000 })
    if (!isBounded(value))
      return [{ message: `nested more than ${maxDepth} levels deep, or more than ${maxNodes} values with all aliases expanded` }]
    return { value, position: (path, isKey) => locate(contents, path, isKey, at) }
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof ReferenceError)) throw error
    return [{ message: error instanceof RangeError ? `nested more than ${maxDepth} levels deep` : 'its aliases expand to too many values' }]
  }
}

/** What a password in digits must not lose: its zeros. */
function keepDigits(scalar: Scalar): void {
  if (typeof scalar.value === 'number' && scalar.source !== undefined && String(scalar.value) !== scalar.source)
    scalar.value = scalar.source
}

function wordsOf(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document starts here; only one is allowed'
  if (code === 'TAG_RESOLVE_FAILED') return 'tags are not allowed'
  if (message.startsWith('Maximum call stack')) return `nested more than ${maxDepth} levels deep`
  return message.charAt(0).toLowerCase() + message.slice(1)
}

/** Counts the values of an alias each time it is used; a value that contains itself is too deep. */
function isBounded(value: unknown): boolean {
  let nodes = 0
  const fits = (each: unknown, depth: number): boolean => {
    if (++nodes > maxNodes || depth > maxDepth) return false
    return typeof each !== 'object' || each === null || Object.values(each).every((inner) => fits(inner, depth + 1))
  }
  return fits(value, 0)
}

function locate(
  root: Node | null,
  path: readonly (string | number)[],
  isKey: boolean,
  at: (offset: number) => Position,
): Position | undefined {
  let node: unknown = root
  let offset = root?.range?.[0]
  for (const [index, piece] of path.entries()) {
    const found = isMap(node) ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(piece)) : undefined
    const next = isSeq(node) ? node.items[Number(piece)] : found?.value
    const keyOffset = (found?.key as Node | undefined)?.range?.[0]
    const valueOffset = (next as Node | null | undefined)?.range?.[0]
    if (keyOffset === undefined && valueOffset === undefined) break
    const isLast = index === path.length - 1
    // A fault inside a value, or of a missing field in it, is shown at the key of the value.
    offset = (isLast && !isKey && !isCollection(next) ? valueOffset : keyOffset) ?? valueOffset ?? keyOffset
    node = isAlias(next) ? undefined : next
  }
  return offset === undefined || offset === null ? undefined : at(offset)
}
