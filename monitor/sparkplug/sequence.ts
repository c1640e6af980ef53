/** The `seq` of one connection's messages: 0 for each NBIRTH, one more for each further message, 0 again after 255. */
export function createSequence() {
  let due = 0
  const take = (seq: number, send: (seq: number) => boolean): boolean => {
    if (!send(seq)) return false
    due = (seq + 1) % 256
    return true
  }
  return {
    /**
     * Gives `send` the next number, and uses it up only if the message could be handed to the socket, so that no number is ever
     * missing [tck-id-payloads-sequence-num-incrementing].
     */
    next: (send: (seq: number) => boolean) => take(due, send),
    /** The same for an NBIRTH, which starts again at 0 [tck-id-payloads-sequence-num-req-nbirth]. */
    restart: (send: (seq: number) => boolean) => take(0, send),
  }
}

/** The bdSeq after this one; the first ever is 0 [tck-id-topics-nbirth-bdseq-increment]. */
export function bdSeqAfter(last: number | undefined): number {
  return last === undefined ? 0 : (last + 1) % 256
}
