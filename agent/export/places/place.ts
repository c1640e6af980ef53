import type { RegionContent } from '../../region-file/schema.ts'
import type { WrittenRegionFile } from '../../region-file/writing.ts'

/** Every place where the file of a region can be kept. */
export const placeNames = ['cloud', 'bucket', 'file'] as const
export type PlaceName = (typeof placeNames)[number]

/** A region file that is to be kept. */
export type MadeRegionFile = WrittenRegionFile & {
  region: string
  /** RFC 3339, as in the file. */
  createdAt: string
  /** Whether the region has nothing in it that could be made again. */
  isEmpty: boolean
  /** What of the region is not in it. */
  leftOut?: RegionContent['leftOut']
}

/** Where the file of the region is kept. */
export type Place = {
  name: PlaceName
  /** Why nothing can be written there yet, although nothing is wrong; undefined if something can. */
  waits(): string | undefined
  /** The least time between two files, in milliseconds. */
  pauseMs(): number
  /**
   * Replaces the file that is there. Until it resolves, that one is still whole.
   * @param isFirst this cluster has never written there: a file that is there is that of an earlier cluster, which stays, under another name
   * @throws PlaceFault; the reason of the signal
   */
  write(file: MadeRegionFile, signal: AbortSignal, isFirst?: boolean): Promise<void>
}

/** Why a file could not be kept at a place. The message is a sentence for people, without anything secret. */
export class PlaceFault extends Error {
  override readonly name = 'PlaceFault'
  /** How long the place asks to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, { cause, retryAfterMs }: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message, { cause })
    this.retryAfterMs = retryAfterMs
  }
}
