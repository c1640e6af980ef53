import type { BdSeqStore } from './bd-seq.ts'

/** What `createConnectNumbers` returns. */
export type ConnectNumbers = ReturnType<typeof createConnectNumbers>

/**
 * The bdSeq of each CONNECT [tck-id-topics-nbirth-bdseq-increment]. It is stored before its CONNECT can go out: after a crash the server
 * may still publish the will. A number whose CONNECT was not sent after all is that of the next one: it does not move with attempts.
 */
export function createConnectNumbers(store: BdSeqStore) {
  let unsent: Promise<number> | undefined
  return {
    /**
     * The number for a CONNECT that is about to be sent. If its connection is lost meanwhile, it is stored all the same.
     * @throws when it cannot be kept
     */
    take(signal: AbortSignal): Promise<number> {
      if (unsent !== undefined) return unsent
      const next = store.next(signal)
      unsent = next
      next.catch(() => {
        if (unsent === next) unsent = undefined
      })
      return next
    },
    /** The CONNECT with the number that was taken last was sent. */
    sent(): void {
      unsent = undefined
    },
    /** Another process may have taken numbers since: the store knows. */
    forget(): void {
      unsent = undefined
    },
  }
}
