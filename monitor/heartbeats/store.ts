import type { Beat } from './beat.ts'

/** Where beats outlive the process, and where replicas see those of each other. */
export type BeatStore = {
  /**
   * Begins to follow what is kept, and calls `found` for each beat, and `known` once all have been read, which may take until a cluster
   * answers.
   */
  follow(listener: { found(id: string, beat: Beat): void; known(): void }, signal: AbortSignal): void
  /** Keeps these beats, besides those that are kept already. @throws Error when they cannot be kept now */
  keep(beats: ReadonlyMap<string, Beat>): Promise<void>
  /** Why what is kept cannot be read at the moment; undefined if it is known. */
  trouble(): string | undefined
}
