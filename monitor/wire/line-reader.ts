import type { Socket } from 'node:net'
import { CheckFailure } from './reasons.ts'
import { asError } from './socket.ts'

/** The longest line, with its end: that of Go's bufio.Scanner, by which blackbox_exporter reads. */
const maxLine = 64 * 1024
/** The most bytes to read in all. A peer that sends without end does not keep a check until its time-out. */
const maxBytes = 16 * 1024 * 1024

/** Reads lines and bytes from a socket, each when it is asked for. */
export class LineReader {
  readonly #socket: Socket
  readonly #signal: AbortSignal
  #held: Buffer = Buffer.alloc(0)
  #read = 0

  /** @param signal the signal that the socket was opened with */
  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket
    this.#signal = signal
  }

  /**
   * The next line, without its end and without a carriage return before it. What stands behind the last line end is a line as well.
   * @returns undefined when the peer has closed the connection
   * @throws CheckFailure `too_large` for a line of 64 KiB or more; the socket's error; the signal's reason
   */
  async line(): Promise<Buffer | undefined> {
    for (let searched = 0; ; ) {
      const end = this.#held.indexOf(10, searched)
      if (end >= maxLine || (end === -1 && this.#held.length >= maxLine))
        throw new CheckFailure('too_large', `The peer sent a line of ${maxLine} bytes or more. Is this the right service?`)
      if (end !== -1) return withoutReturn(this.#cut(end + 1).subarray(0, -1))
      searched = this.#held.length
      if (await this.#more()) continue
      return searched === 0 ? undefined : withoutReturn(this.#cut(searched))
    }
  }

  /**
   * The next bytes, fewer if the peer closes the connection.
   * @throws CheckFailure `too_large`; the socket's error; the signal's reason
   */
  async bytes(length: number): Promise<Buffer> {
    while (this.#held.length < length && (await this.#more()));
    return this.#cut(Math.min(length, this.#held.length))
  }

  #cut(length: number): Buffer {
    const cut = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    return cut
  }

  /** Whether more was read; false at the end. */
  async #more(): Promise<boolean> {
    const chunk = await nextChunk(this.#socket, this.#signal)
    if (chunk === undefined) return false
    this.#read += chunk.length
    if (this.#read > maxBytes) throw new CheckFailure('too_large', `The peer sent more than ${maxBytes} bytes. Is this the right service?`)
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    return true
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line
}

/** What the socket receives next; undefined at its end. It is paused before and after. */
function nextChunk(socket: Socket, signal: AbortSignal): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      socket.off('data', onData).off('end', onEnd).off('error', onEnd).off('close', onEnd).pause()
      settle()
    }
    const onData = (chunk: Buffer) => end(() => resolve(chunk))
    const onEnd = () =>
      end(() => {
        if (signal.aborted) reject(asError(signal.reason))
        else if (socket.errored) reject(socket.errored)
        else resolve(undefined)
      })
    if (signal.aborted || socket.destroyed || socket.readableEnded) return onEnd()
    socket.on('data', onData).on('end', onEnd).on('error', onEnd).on('close', onEnd).resume()
  })
}
