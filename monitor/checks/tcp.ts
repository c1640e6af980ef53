import * as z from 'zod'
import { discreet } from '../../shared/discretion.ts'
import { host, hostAndPort, port } from '../wire/fields.ts'
import { openSocket, readSocket } from '../wire/socket.ts'
import { shorten } from '../wire/wording.ts'
import { checkKind } from './kind.ts'

const options = z.strictObject({
  host: host.describe('Host name or IP address.'),
  port: port.describe('TCP port.'),
  send: discreet(z.string().max(4096), 'text')
    .optional()
    .describe('Text to send once connected; write line ends as \\r\\n in a double-quoted YAML string.'),
  expect: z.string().min(1).max(1000).optional().describe('Text that must come back. Without it, a connection is enough.'),
  maxBytes: z
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(16 * 1024)
    .describe('The most bytes of the answer to search for `expect`.'),
})

/** Up when a new connection opens and, if configured, the expected text comes back. */
export const tcp = checkKind({
  about:
    'Opens a new TCP connection and, if configured, sends a text and waits for another. Down when the connection does not open, or when the expected text does not come.',
  example: { host: 'mail.example.com', port: 25, expect: '220 ' },
  options,
  measures: {
    skerry_tcp_connect_seconds: { type: 'gauge', help: 'Time to resolve the name and open the connection.' },
  },
  target: hostAndPort,
  async check({ host, port, send, expect, maxBytes }, { signal }) {
    const started = performance.now()
    const socket = await openSocket({ host, port }, signal)
    const measurements = [{ name: 'skerry_tcp_connect_seconds', value: (performance.now() - started) / 1000 }]
    try {
      if (send !== undefined) socket.write(send)
      if (expect === undefined) return { state: 'up', detail: 'The connection opened.', measurements }
      const read = await readSocket(socket, { maxBytes, enough: (read) => read.includes(expect) })
      return { state: 'up', detail: `The server answered: ${shorten(read.toString('latin1'), 100)}`, measurements }
    } finally {
      socket.destroy()
    }
  },
})
