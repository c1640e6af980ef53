import { createHash, type Hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import canonicalize from 'canonicalize'

/** Characters that are made before others get a turn: a few milliseconds of work. */
const perTurn = 256 * 1024

/** A value whose canonical JSON is known already. */
export class CanonicalText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** The canonical JSON (RFC 8785) of a value that JSON has. @throws Error for half of a surrogate pair */
export function canonicalText(value: unknown): string {
  return value instanceof CanonicalText ? value.text : (canonicalize(value) ?? 'null')
}

/** A piece of the canonical JSON of an object. */
export type Piece = {
  /** The member that it is in; empty for what is between members. */
  of: string
  text: string
}

/**
 * The canonical JSON (RFC 8785) of an object, in pieces: of the lists in it, one entry at a time, which may be made at that moment. A region file
 * may have 64 MiB, which must neither stand in memory several times nor hold up everything else.
 */
export function* canonicalPieces(document: object): Generator<Piece, void, undefined> {
  // Sorted by UTF-16 code units (RFC 8785, section 3.2.3), as sort does without a function.
  const members = Object.entries(document).filter(([, value]) => value !== undefined)
  members.sort(([one], [other]) => (one < other ? -1 : 1))
  yield { of: '', text: '{' }
  for (const [index, [of, value]] of members.entries()) {
    yield { of, text: `${index === 0 ? '' : ','}${JSON.stringify(of)}:` }
    if (isList(value)) yield* piecesOfList(of, value)
    else yield { of, text: canonicalText(value) }
  }
  yield { of: '', text: '}' }
}

function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

function* piecesOfList(of: string, list: Iterable<unknown>): Generator<Piece, void, undefined> {
  let before = '['
  for (const entry of list) {
    yield { of, text: `${before}${canonicalText(entry)}` }
    before = ','
  }
  yield { of, text: before === '[' ? '[]' : ']' }
}

/**
 * Calls with each piece, in order. Others get their turn in between.
 * @throws the reason of the signal
 */
export async function forPieces(pieces: Iterable<Piece>, each: (piece: Piece) => void, signal?: AbortSignal): Promise<void> {
  let since = 0
  for (const piece of pieces) {
    each(piece)
    since += piece.text.length
    if (since < perTurn) continue
    since = 0
    await nextTurn()
    signal?.throwIfAborted()
  }
}

/** For the digest of a document. */
export function newDigest(): Hash {
  return createHash('sha256')
}
