import { createGrowingBuffer } from './growing-buffer.ts'
import { CheckFailure } from './reasons.ts'
import { shorten } from './wording.ts'

/** The head of an HTTP/1.x answer. Names in lower case; a field that came several times is joined with a comma. */
export type ResponseHead = { status: number; httpVersion: string; headers: Record<string, string> }

/** Takes the bytes of one answer as they come. */
export type ResponseReader = {
  /** True once the answer is complete, or cut as asked. @throws CheckFailure `protocol` or `too_large` */
  push(chunk: Buffer): boolean
  /** The peer has closed. True if that ends the answer as it should. */
  end(): boolean
  /** Undefined until the head is complete. */
  head(): ResponseHead | undefined
  body(): Buffer
}

/** Status line and fields together; Node's own client draws the line there too. */
const maxHeadBytes = 16 * 1024
const maxLineBytes = 1024

/**
 * Reads one answer of HTTP/1.1 or 1.0 (RFC 9112), to the end of its body or to `maxBytes` of it.
 *
 * Our own, because a probe makes a connection for one answer and drops it: node:http spends more than half of its processor time on
 * what only kept connections need, and the monitor's budget for probes is not met with it (docs/decisions of the monitor, performance).
 *
 * @param hasBody false for the answer to HEAD
 * @param cut true takes the first `maxBytes` of a longer body; false refuses it
 */
export function createResponseReader({ hasBody, maxBytes, cut }: { hasBody: boolean; maxBytes: number; cut: boolean }): ResponseReader {
  const headBytes = createGrowingBuffer()
  const body = createGrowingBuffer()
  let head: ResponseHead | undefined
  let interim = 0
  /** Takes what follows the head, and says whether that was the end. */
  let take: (chunk: Buffer) => boolean = () => true
  let endsWithClose = false

  /** Keeps a piece of the body. True when no more is wanted. */
  function keep(piece: Buffer): boolean {
    const room = maxBytes - body.size
    if (piece.length <= room) {
      body.append(piece)
      return false
    }
    if (!cut) throw new CheckFailure('too_large', `The answer has more than ${maxBytes} bytes. Is this the right address?`)
    body.append(piece.subarray(0, room))
    return true
  }

  function begin(found: ResponseHead): boolean {
    head = found
    const { status, headers } = found
    const coding = headers['transfer-encoding']
    const length = headers['content-length']
    if (!hasBody || status === 204 || status === 304) return true
    if (coding !== undefined) {
      if (coding.toLowerCase() !== 'chunked') throw violation(`transfer coding ${shorten(coding, 40)}`)
      take = chunkedBody(keep)
      return false
    }
    if (length === undefined) {
      endsWithClose = true
      take = keep
      return false
    }
    let left = lengthOf(length)
    if (left > maxBytes && !cut)
      throw new CheckFailure('too_large', `The answer has ${length} bytes, more than ${maxBytes}. Is this the right address?`)
    take = (chunk) => {
      const piece = chunk.length > left ? chunk.subarray(0, left) : chunk
      left -= piece.length
      return keep(piece) || left === 0
    }
    return left === 0
  }

  function push(chunk: Buffer): boolean {
    if (head !== undefined) return chunk.length > 0 && take(chunk)
    headBytes.append(chunk)
    const bytes = headBytes.view()
    // Garbage is refused at its first bytes: it may never bring an empty line.
    if (!beginsLikeHttp(bytes)) throw violation(`it begins with ${shorten(JSON.stringify(bytes.subarray(0, 24).toString('latin1')), 60)}`)
    const end = bytes.indexOf('\r\n\r\n')
    if (end > maxHeadBytes || (end === -1 && bytes.length > maxHeadBytes))
      throw new CheckFailure('too_large', `The head of the answer has more than ${maxHeadBytes} bytes. Is this the right address?`)
    if (end === -1) return false
    const found = parseHead(bytes.toString('latin1', 0, end))
    const rest = bytes.subarray(end + 4)
    headBytes.clear()
    if (found.status === 101) throw violation('it switches protocols unasked')
    if (found.status < 200) {
      if (++interim > 10) throw violation('more than ten interim answers')
      return rest.length > 0 && push(rest)
    }
    return begin(found) || (rest.length > 0 && take(rest))
  }

  return { push, end: () => head !== undefined && endsWithClose, head: () => head, body: () => body.view() }
}

function beginsLikeHttp(bytes: Buffer): boolean {
  const start = 'HTTP/1.'
  return bytes.toString('latin1', 0, Math.min(start.length, bytes.length)) === start.slice(0, bytes.length)
}

function violation(what: string): CheckFailure {
  return new CheckFailure('protocol', `The answer is not HTTP/1.1: ${what}. Is this the right service, port and scheme?`)
}

function parseHead(text: string): ResponseHead {
  const lines = text.split('\r\n')
  const statusLine = /^HTTP\/(1\.[01]) ([1-9]\d\d)(?: |$)/.exec(lines[0] ?? '')
  if (statusLine === null) throw violation(`its first line is ${shorten(JSON.stringify(lines[0]), 60)}`)
  const headers: Record<string, string> = Object.create(null)
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index] as string
    const colon = line.indexOf(':')
    // A name that is no token, or a folded line (RFC 9112, section 5): both have been used to make two readers disagree.
    if (colon < 1 || /[^!#$%&'*+.^_`|~0-9A-Za-z-]/.test(line.slice(0, colon)))
      throw violation(`the field ${shorten(JSON.stringify(line), 60)}`)
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  return { status: Number(statusLine[2]), httpVersion: statusLine[1] as string, headers }
}

/** A length that came twice counts if both are the same (RFC 9112, section 6.3). */
function lengthOf(field: string): number {
  const [first = '', ...others] = field.split(',').map((each) => each.trim())
  const length = Number(first)
  if (!/^\d{1,16}$/.test(first) || !Number.isSafeInteger(length) || others.some((other) => other !== first))
    throw violation(`the length ${shorten(field, 40)}`)
  return length
}

/** Takes a chunked body (RFC 9112, section 7.1). True at its end; extensions and trailers are passed over. */
function chunkedBody(keep: (piece: Buffer) => boolean): (chunk: Buffer) => boolean {
  let expecting: 'size' | 'data' | 'data end' | 'trailer' = 'size'
  let left = 0
  let line = ''
  let trailerBytes = 0

  return (chunk) => {
    let from = 0
    while (from < chunk.length) {
      if (expecting === 'data') {
        const piece = chunk.subarray(from, from + left)
        if (keep(piece)) return true
        from += piece.length
        left -= piece.length
        if (left === 0) expecting = 'data end'
        continue
      }
      const end = chunk.indexOf(10, from)
      line += chunk.toString('latin1', from, end === -1 ? chunk.length : end)
      if (line.length > maxLineBytes) throw violation('a line between chunks is too long')
      if (end === -1) return false
      from = end + 1
      const whole = line.endsWith('\r') ? line.slice(0, -1) : line
      line = ''
      if (expecting === 'size') {
        const size = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/.exec(whole)
        if (size === null) throw violation(`the chunk size ${shorten(JSON.stringify(whole), 40)}`)
        left = Number.parseInt(size[1] as string, 16)
        expecting = left === 0 ? 'trailer' : 'data'
      } else if (expecting === 'data end') {
        if (whole !== '') throw violation('a chunk is longer than its size')
        expecting = 'size'
      } else {
        if (whole === '') return true
        trailerBytes += whole.length
        if (trailerBytes > maxHeadBytes) throw violation('its trailer is too long')
      }
    }
    return false
  }
}
