import type { Duplex } from 'node:stream'

/**
 * Takes its leave in the words of the protocol, and closes the connection. Servers log each connection that ends without them, and a check
 * ends many. Nobody has to wait for it: the words go out first, and after `patienceMs` nothing is left of the connection, even if the server
 * neither reads nor closes.
 */
export function farewell(connection: Duplex, words: Buffer | string, { patienceMs = 1_000 } = {}): void {
  if (!connection.writable) {
    connection.destroy()
    return
  }
  // Its errors are nobody's any more.
  connection.on('error', () => {})
  const patience = AbortSignal.timeout(patienceMs)
  const leave = () => connection.destroy()
  patience.addEventListener('abort', leave)
  connection.once('close', () => patience.removeEventListener('abort', leave))
  // What still comes is read, so that its end is too.
  connection.resume()
  connection.end(words)
}
