/** One open event stream. */
export type Subscriber = {
  readonly stream: ReadableStream<Uint8Array>
  /** Sends it, or drops it if the client does not keep up: the client then gets `relist` as soon as it reads on. */
  send(frame: Uint8Array): void
  /** Since when frames are dropped, by the monotonic clock; undefined while the client keeps up. */
  readonly laggingSince: number | undefined
  close(): void
}

/**
 * At most `queueBytes` wait for a client. Frames that do not fit are dropped. Once half of the queue is free, the client gets the frame
 * of `relist`, and no frame is dropped in between.
 * @param ended called once, when the stream has ended for whatever reason
 */
export function createSubscriber(
  { queueBytes }: { queueBytes: number },
  { relist, ended, monotonic }: { relist: () => Uint8Array; ended: () => void; monotonic: () => number },
): Subscriber {
  let laggingSince: number | undefined
  let isOpen = true
  let controller!: ReadableStreamDefaultController<Uint8Array>

  function end(): void {
    if (!isOpen) return
    isOpen = false
    ended()
  }

  const stream = new ReadableStream<Uint8Array>(
    {
      start(given) {
        controller = given
      },
      // Called whenever there is room.
      pull() {
        if (laggingSince === undefined || (controller.desiredSize ?? 0) < queueBytes / 2) return
        laggingSince = undefined
        controller.enqueue(relist())
      },
      cancel: end,
    },
    { highWaterMark: queueBytes, size: (chunk) => chunk?.byteLength ?? 0 },
  )

  return {
    stream,
    get laggingSince() {
      return laggingSince
    },
    send(frame) {
      if (!isOpen || laggingSince !== undefined) return
      const room = controller.desiredSize ?? 0
      // A frame larger than the queue is sent to a client that has read everything before it.
      if (room >= frame.byteLength || room === queueBytes) controller.enqueue(frame)
      else laggingSince = monotonic()
    },
    close() {
      if (!isOpen) return
      controller.close()
      end()
    },
  }
}
