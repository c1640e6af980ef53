import { readFileSync, statSync } from 'node:fs'
import { isAlias, isCollection, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'

/** How files are read; a test may give its own. */
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

/** The text of a file. @throws Error that says what is wrong with the file, without its name */
export function readText(files: Files, path: string, maxBytes: number): string {
  let bytes: Uint8Array
  try {
    bytes = files.read(path, maxBytes)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new Error(code === 'EACCES' ? 'this process may not read it' : message.replace(/^[A-Z]+: /, ''), { cause: error })
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new Error('it is not UTF-8 text', { cause: error })
  }
}

/** Line and column, both from 1, as editors count them. */
export type Position = { line: number; column: number }

/** A YAML file as plain data, and where in the file each place of it stands. */
export type ConfigFile = {
  value: unknown
  /** The place at a path, or the nearest one around it. `isKey`: that of the field's name instead of its value. */
  position(path: readonly (string | number)[], isKey: boolean): Position | undefined
}

/** What is wrong with a file as a whole, or at a position of it. */
export type FileFault = { message: string; position?: Position }

// The parser takes seconds for a megabyte that is made to be slow. A region with a thousand checks fits.
export const maxConfigBytes = 512 * 1024
const maxDepth = 50
const maxNodes = 100_000

/**
 * Reads YAML 1.2 (so JSON too) that a person wrote. What such a file has no need for is refused: two documents, tags, a key twice,
 * anchors that multiply or contain themselves.
 */
export function parseConfigFile(text: string): ConfigFile | FileFault[] {
  const lines = new LineCounter()
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  // The library looks for duplicate keys in quadratic time, so that is done below.
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, schema: 'core', logLevel: 'error' })
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
          if (name === undefined) faults.push({ message: 'the name of a field must be a plain text', position })
          else if (seen.has(name)) faults.push({ message: `${JSON.stringify(name)} is there a second time`, position })
          else seen.add(name)
        }
      },
    })
    if (faults.length > 0) return faults
    const value: unknown = document.toJS({ maxAliasCount: 1000 })
    if (!isBounded(value))
      return [{ message: `nested deeper than ${maxDepth}, or more than ${maxNodes} values with all anchors filled in` }]
    return { value, position: (path, isKey) => locate(contents, path, isKey, at) }
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof ReferenceError)) throw error
    return [{ message: error instanceof RangeError ? `nested deeper than ${maxDepth}` : 'its anchors multiply beyond reason' }]
  }
}

function wordsOf(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; one is expected'
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag is not allowed here'
  if (message.startsWith('Maximum call stack')) return `nested deeper than ${maxDepth}`
  return message.charAt(0).toLowerCase() + message.slice(1)
}

/** Counts what an alias repeats as often as it does; a value that contains itself is too deep. */
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
    // Where the fault is inside, or at something missing inside, the name of what holds it is the better place to look.
    offset = (isLast && !isKey && !isCollection(next) ? valueOffset : keyOffset) ?? valueOffset ?? keyOffset
    node = isAlias(next) ? undefined : next
  }
  return offset === undefined || offset === null ? undefined : at(offset)
}
