import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers/promises'

const pieceChars = 32 * 1024
/** How long pieces are made before checks and other requests have their turn, in milliseconds. */
const sliceMs = 8

/** Sends a long text as it is made, without holding the event loop, and no faster than the client reads. */
export async function sendPieces(outgoing: ServerResponse, headers: Record<string, string>, pieces: Iterable<string>): Promise<void> {
  outgoing.writeHead(200, headers)
  let text = ''
  let started = performance.now()
  for (const piece of pieces) {
    text += piece
    const isLong = performance.now() - started >= sliceMs
    if (text.length < pieceChars && !isLong) continue
    const isTaken = outgoing.write(text)
    text = ''
    if (!isTaken) await drained(outgoing)
    else if (isLong) await setImmediate()
    else continue
    if (outgoing.destroyed) return
    started = performance.now()
  }
  outgoing.end(text)
}

/** Resolves when the client has read what was written, or is gone. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      outgoing.off('drain', done).off('close', done)
      resolve()
    }
    outgoing.on('drain', done).on('close', done)
    if (outgoing.destroyed) done()
  })
}
