import { CheckFailure } from './reasons.ts'
import { shorten } from './wording.ts'

/** One reply of a Redis server. */
export type Reply = { type: 'text' | 'error'; text: string }

/**
 * The complete replies at the start of the bytes read: RESP 2's simple strings, errors, integers and bulk strings, all that PING, AUTH and
 * INFO are answered with. No client library is among the dependencies, and this is smaller than one.
 * @throws CheckFailure `protocol` for anything else
 */
export function parseReplies(read: Buffer): Reply[] {
  const replies: Reply[] = []
  let from = 0
  while (from < read.length) {
    const sign = String.fromCharCode(read[from] as number)
    if (!'+-:$'.includes(sign)) throw violation(read, from)
    const end = read.indexOf('\r\n', from)
    if (end === -1) {
      if (read.length - from > 8192) throw violation(read, from)
      break
    }
    const line = read.toString('utf8', from + 1, end)
    from = end + 2
    if (sign !== '$') {
      replies.push({ type: sign === '-' ? 'error' : 'text', text: line })
      continue
    }
    const length = Number(line)
    if (!/^\d{1,9}$/.test(line)) throw violation(read, 0)
    if (read.length < from + length + 2) break
    replies.push({ type: 'text', text: read.toString('utf8', from, from + length) })
    from += length + 2
  }
  return replies
}

function violation(read: Buffer, from: number): CheckFailure {
  return new CheckFailure(
    'protocol',
    `The server does not answer like Redis: ${shorten(JSON.stringify(read.toString('latin1', from, from + 24)), 60)}. Is this the right port, with or without TLS as configured?`,
  )
}
