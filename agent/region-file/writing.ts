import type { PrivateKey } from '../../shared/signing/key.ts'
import { canonicalPieces, forPieces, newDigest } from './canonical.ts'
import { type RegionContent, volatileMembers } from './schema.ts'
import { signatureOf } from './signature.ts'

/** A region file, as bytes. */
export type WrittenRegionFile = {
  bytes: Buffer
  /** SHA-256 of the document, in lower-case hexadecimal. */
  digest: string
  /** The same for what stays as long as the region stays the same. */
  content: string
}

/** A document whose long lists may be made while they are written, entry by entry. */
export type RegionSource = Omit<RegionContent, 'projects' | 'databases' | 'retained'> &
  Record<'projects' | 'databases' | 'retained', Iterable<unknown>>

export type WritingOptions = {
  /** Of the region, if it has one: the file is signed with it. */
  key?: PrivateKey | undefined
  /** Belongs to the content as well, although it is not in the file. */
  besides?: string | undefined
  signal?: AbortSignal | undefined
}

const volatile = new Set<string>(volatileMembers)

/**
 * The region file with this document. Others get their turn while a large one is written.
 * @throws the reason of the signal
 */
export async function writeRegionFile(document: RegionSource, { key, besides, signal }: WritingOptions = {}): Promise<WrittenRegionFile> {
  const pieces: Buffer[] = [Buffer.from('{"document":')]
  const [whole, lasting] = [newDigest(), newDigest()]
  const take = ({ of, text }: { of: string; text: string }): void => {
    const bytes = Buffer.from(text)
    pieces.push(bytes)
    whole.update(bytes)
    if (!volatile.has(of)) lasting.update(bytes)
  }
  await forPieces(canonicalPieces(document), take, signal)
  const digest = whole.digest('hex')
  const rest = { digest, ...(key && { signature: signatureOf(digest, key) }) }
  pieces.push(Buffer.from(`,${JSON.stringify(rest).slice(1)}\n`))
  return { bytes: Buffer.concat(pieces), digest, content: lasting.update(besides ?? '').digest('hex') }
}
