import type { Beat } from './beat.ts'

/** Where beats outlive the process, and where replicas see those of each other. */
export type BeatStore = {
  /** Begins to follow what is kept, and calls `found` for each beat. It resolves at once: what is kept may be out of reach for now. */
  follow(found: (id: string, beat: Beat) => void, signal: AbortSignal): void
  /** Keeps these beats, besides those that are kept already. @throws Error when they cannot be kept now */
  keep(beats: ReadonlyMap<string, Beat>): Promise<void>
  /** Why what is kept cannot be read at the moment; undefined if it is known. */
  trouble(): string | undefined
}
