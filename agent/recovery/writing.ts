import type { PrivateKey } from '../cloud/proof.ts'
import { canonicalPieces, digestOfPieces } from './canonical.ts'
import type { RegionContent } from './region-file.ts'
import { signatureOf } from './signature.ts'

/** A region file, as bytes. */
export type WrittenRegionFile = {
  bytes: Buffer
  /** SHA-256 of the document, in lower-case hexadecimal. */
  digest: string
}

/**
 * The region file with this document, signed with the key of the region if there is one. Others get their turn while a large one is written.
 * @throws the reason of the signal
 */
export async function writeRegionFile(
  document: RegionContent,
  { key, signal }: { key?: PrivateKey | undefined; signal?: AbortSignal | undefined } = {},
): Promise<WrittenRegionFile> {
  const pieces: Buffer[] = [Buffer.from('{"document":')]
  const digest = await digestOfPieces(canonicalPieces(document), { signal, each: (piece) => void pieces.push(Buffer.from(piece)) })
  const rest = { digest, ...(key && { signature: signatureOf(digest, key) }) }
  pieces.push(Buffer.from(`,${JSON.stringify(rest).slice(1)}\n`))
  return { bytes: Buffer.concat(pieces), digest }
}
