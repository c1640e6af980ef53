import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { Problem } from '../../../shared/errors.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { ImportedDatabase, ImportedDeletion, ImportObstacle } from './verdict.ts'

/** One thing of a region file that is to be made again. */
export type ImportItem =
  | { kind: 'project'; spec: ProjectSpec }
  | {
      kind: 'database'
      entry: ImportedDatabase
      /** What only a look at the whole cluster shows. */
      obstacles: ImportObstacle[]
    }
  | { kind: 'deletion'; deletion: ImportedDeletion; obstacles: ImportObstacle[] }

const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** Characters of JSON in a piece before it is packed: a thousand databases of three nodes, which become about 200 KiB. */
const piece = 4 * 1024 * 1024
/** The largest piece, unpacked: that of one database with all volumes that it may have. */
const largest = 32 * 1024 * 1024

/**
 * Packs items, in order, into pieces of at most so many bytes. Each can be unpacked alone, so that nobody has the whole file in memory.
 * @throws Problem `body-too-large` if there are more pieces than that, or if one item is larger than a piece
 */
export async function packItems(
  items: Iterable<ImportItem>,
  { maxBytes, maxPieces }: { maxBytes: number; maxPieces: number },
): Promise<Buffer[]> {
  const pieces: Buffer[] = []
  let open: string[] = []
  let length = 0
  const close = async () => {
    pieces.push(...(await packed(open, maxBytes)))
    open = []
    length = 0
    if (pieces.length > maxPieces) throw tooLarge()
  }
  for (const item of items) {
    const text = JSON.stringify(item)
    open.push(text)
    length += text.length
    if (length >= piece) await close()
  }
  if (open.length > 0) await close()
  return pieces
}

async function packed(texts: string[], maxBytes: number): Promise<Buffer[]> {
  const bytes = await pack(`[${texts.join(',')}]`)
  if (bytes.byteLength <= maxBytes) return [bytes]
  if (texts.length === 1) throw tooLarge()
  const half = Math.ceil(texts.length / 2)
  return [...(await packed(texts.slice(0, half), maxBytes)), ...(await packed(texts.slice(half), maxBytes))]
}

function tooLarge(): Problem {
  return new Problem('body-too-large', 'The file is larger than what an operation keeps, even packed. Import a part of it at a time.')
}

/** The items of a piece. */
export async function unpackItems(bytes: Buffer): Promise<ImportItem[]> {
  return (await unpackJson(bytes)) as ImportItem[]
}

/** Packs a value alone. @throws Problem `body-too-large` if it is larger than that */
export async function packJson(value: unknown, maxBytes: number): Promise<Buffer> {
  const bytes = await pack(JSON.stringify(value))
  if (bytes.byteLength > maxBytes) throw tooLarge()
  return bytes
}

/** What was packed. */
export async function unpackJson(bytes: Buffer): Promise<unknown> {
  return JSON.parse((await unpack(bytes, { maxOutputLength: largest })).toString('utf8'))
}
