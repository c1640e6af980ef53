import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { TLSSocket } from 'node:tls'
import { listen } from '../checks/servers.ts'

/** A line that a server sends, a line that it waits for, or what it then does. `wait` compares nothing: it takes any line. */
export type Act = { say: string } | { wait: true } | { secure: { cert: string; key: string } } | { close: true }

/** A server that acts one play for each connection, and remembers every line that it heard. */
export async function startDialogue(t: TestContext, play: readonly Act[]): Promise<DialogueServer> {
  const heard: string[] = []
  const events = new EventEmitter()
  const hear = (bytes: Buffer) => {
    heard.push(...bytes.toString().split('\n').filter(Boolean))
    events.emit('heard')
  }
  const from: (string | undefined)[] = []
  const port = await listen(t, (socket) => {
    from.push(socket.remoteAddress)
    act(socket, play, hear)
  })
  const until = async (lines: number) => {
    while (heard.length < lines) await once(events, 'heard', { signal: t.signal })
  }
  return { port, heard, from, until }
}

/** `from` are the addresses of those who connected; `until` resolves when so many lines were heard. */
type DialogueServer = { port: number; heard: string[]; from: (string | undefined)[]; until(lines: number): Promise<void> }

function act(socket: Socket, play: readonly Act[], hear: (bytes: Buffer) => void): void {
  const [next, ...rest] = play
  if (next === undefined) {
    // What comes after the last act is heard, too.
    socket.on('data', hear)
  } else if ('say' in next) socket.write(next.say, 'latin1', () => act(socket, rest, hear))
  else if ('wait' in next)
    socket.once('data', (bytes) => {
      socket.pause()
      hear(bytes)
      act(socket, rest, hear)
      socket.resume()
    })
  else if ('secure' in next) {
    const tls = new TLSSocket(socket, { isServer: true, ...next.secure })
    tls.on('error', () => {}) // the probe may not trust it
    act(tls, rest, hear)
  } else socket.end()
}
