import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import type { TestContext } from 'node:test'

export type SentEvent = { id: string; event: string; data: string }

/** An event stream as a browser reads it (WHATWG HTML, 9.2.6), as far as the agent uses it. */
export type OpenStream = {
  status: number
  headers: IncomingMessage['headers']
  /** The next event. Rejects when the stream ends before, or after a quarter of a minute. */
  next(): Promise<SentEvent>
  /** The id that the client would come back with. */
  lastEventId(): string
  comments: string[]
  /** The next comment has come, or the stream has ended. */
  commented(): Promise<void>
  /** Resolves when the other side has ended the stream. */
  ended: Promise<void>
  /** Takes nothing more from the connection, or goes on. */
  pause(): void
  resume(): void
  close(): void
}

export async function openStream(
  t: TestContext,
  { port, ca, path, headers = {} }: { port: number; ca: string; path: string; headers?: Record<string, string> },
): Promise<OpenStream> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, ca, headers, agent: false }, resolve).on('error', reject).end()
  })
  t.after(() => response.destroy())
  const events: SentEvent[] = []
  const comments: string[] = []
  let waiting: (() => void) | undefined
  let onComment = () => {}
  let lastId = ''
  let buffered = ''
  let event = ''
  let data: string[] = []
  let isOver = false
  const dispatch = () => {
    if (data.length > 0) events.push({ id: lastId, event: event || 'message', data: data.join('\n') })
    event = ''
    data = []
    waiting?.()
  }
  const onLine = (line: string) => {
    if (line === '') return dispatch()
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) as RegExpExecArray
    if (field === '') {
      comments.push(value as string)
      onComment()
    } else if (field === 'id') lastId = value as string
    else if (field === 'event') event = value as string
    else if (field === 'data') data.push(value as string)
  }
  response.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (buffered + chunk).split('\n')
    buffered = lines.pop() as string
    for (const line of lines) onLine(line)
  })
  const ended = new Promise<void>((resolve) => {
    response.on('close', () => {
      isOver = true
      onComment()
      waiting?.()
      resolve()
    })
  })
  response.on('error', () => {})
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    comments,
    commented: () =>
      new Promise((resolve) => {
        onComment = resolve
      }),
    ended,
    lastEventId: () => lastId,
    next: () =>
      new Promise((resolve, reject) => {
        const timeout = setTimeout(() => reject(new Error('no event for 15 seconds')), 15_000)
        waiting = () => {
          const next = events.shift()
          if (next === undefined && !isOver) return
          clearTimeout(timeout)
          waiting = undefined
          if (next === undefined) reject(new Error('the stream has ended'))
          else resolve(next)
        }
        waiting()
      }),
    pause: () => response.socket.pause(),
    resume: () => response.socket.resume(),
    close: () => response.destroy(),
  }
}
