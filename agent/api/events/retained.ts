/** One event, as it is sent: serialised once, shared by all who get it. */
export type RetainedEvent = { sequence: number; kind: EventKind; project: string; frame: Buffer }

export const eventKinds = ['operation', 'project', 'database'] as const

export type EventKind = (typeof eventKinds)[number]

/** The last events, bounded in number and bytes. */
export type Retained = {
  add(event: RetainedEvent): void
  /** The events after this sequence, oldest first; undefined when some of them are no longer there. */
  after(sequence: number): RetainedEvent[] | undefined
  readonly count: number
  readonly bytes: number
}

/** @param first the sequence that the first event will have */
export function createRetained({ maxCount, maxBytes }: { maxCount: number; maxBytes: number }, first: number): Retained {
  // A list with a moving head: removing from the front of an array moves all of it.
  let events: RetainedEvent[] = []
  let head = 0
  let bytes = 0
  /** The sequence of the newest event that was let go. */
  let gone = first - 1

  return {
    add(event) {
      events.push(event)
      bytes += event.frame.byteLength
      while (events.length - head > maxCount || bytes > maxBytes) {
        const oldest = events[head++] as RetainedEvent
        bytes -= oldest.frame.byteLength
        gone = oldest.sequence
      }
      // Those that were let go are held until then: never more than are kept.
      if (head * 2 > events.length) {
        events = events.slice(head)
        head = 0
      }
    },
    after(sequence) {
      if (sequence < gone) return undefined
      // Sequences have no gaps.
      return events.slice(head + (sequence - gone))
    },
    get count() {
      return events.length - head
    },
    get bytes() {
      return bytes
    },
  }
}
