import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import canonicalize from 'canonicalize'

/** Characters that are made before others get a turn: a few milliseconds of work. */
const perTurn = 256 * 1024

/**
 * The canonical JSON (RFC 8785) of an object, in pieces: of the lists in it, one entry at a time. A region file may have 64 MiB, which must
 * neither stand in memory twice nor hold up everything else.
 */
export function* canonicalPieces(document: object): Generator<string, void, undefined> {
  // Sorted by UTF-16 code units (RFC 8785, section 3.2.3), as sort does without a function.
  const members = Object.entries(document).filter(([, value]) => value !== undefined)
  members.sort(([one], [other]) => (one < other ? -1 : 1))
  yield '{'
  for (const [index, [name, value]] of members.entries()) {
    yield `${index === 0 ? '' : ','}${JSON.stringify(name)}:`
    if (Array.isArray(value)) yield* piecesOfList(value)
    else yield canonicalize(value) ?? 'null'
  }
  yield '}'
}

function* piecesOfList(list: readonly unknown[]): Generator<string, void, undefined> {
  yield '['
  for (const [index, entry] of list.entries()) yield `${index === 0 ? '' : ','}${canonicalize(entry) ?? 'null'}`
  yield ']'
}

/**
 * The SHA-256 of such pieces, in lower-case hexadecimal. Others get their turn in between.
 * @param each called with each piece, in order
 * @throws the reason of the signal
 */
export async function digestOfPieces(
  pieces: Iterable<string>,
  { signal, each }: { signal?: AbortSignal | undefined; each?: (piece: string) => void } = {},
): Promise<string> {
  const hash = createHash('sha256')
  let since = 0
  for (const piece of pieces) {
    hash.update(piece)
    each?.(piece)
    since += piece.length
    if (since < perTurn) continue
    since = 0
    await nextTurn()
    signal?.throwIfAborted()
  }
  return hash.digest('hex')
}
