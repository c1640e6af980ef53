import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'

export type Answer = {
  status: number
  headers: Record<string, string | string[] | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: whatever the API answers
  body: any
  text: string
}

export type Call = {
  headers?: Record<string, string>
  body?: unknown
  timeoutMs?: number
}

/** A cloud's view of the region: requests with a token over TLS that is checked against one authority. */
export type Client = {
  call(method: string, path: string, call?: Call): Promise<Answer>
  /** Lines of a server-sent event stream, as they come, until the signal aborts or the server ends it. */
  events(path: string, signal: AbortSignal, headers?: Record<string, string>): AsyncGenerator<ServerEvent>
  close(): void
}

export type ServerEvent = { id?: string; event: string; data: string }

export function createClient({ url, ca, token }: { url: string | (() => string); ca: string; token: string }): Client {
  const agent = new Agent({ keepAlive: true, ca, maxSockets: 64 })
  const at = () => (typeof url === 'string' ? url : url())
  const authorization = `Bearer ${token}`

  return {
    call(method, path, { headers = {}, body, timeoutMs = 30_000 } = {}) {
      const content = body === undefined ? undefined : JSON.stringify(body)
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      return new Promise((resolve, reject) => {
        const outgoing = httpsRequest(
          new URL(path, at()),
          {
            agent,
            method,
            signal: AbortSignal.timeout(timeoutMs),
            headers: {
              authorization,
              ...(content !== undefined && { 'content-type': type, 'content-length': Buffer.byteLength(content) }),
              ...headers,
            },
          },
          (incoming) => {
            const chunks: Buffer[] = []
            incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
            incoming.on('error', reject)
            incoming.on('end', () => {
              const text = Buffer.concat(chunks).toString('utf8')
              const isJson = String(incoming.headers['content-type']).includes('json')
              resolve({
                status: incoming.statusCode ?? 0,
                headers: incoming.headers,
                text,
                body: isJson && text !== '' ? JSON.parse(text) : undefined,
              })
            })
          },
        )
        outgoing.on('error', reject)
        outgoing.end(content)
      })
    },

    async *events(path, signal, headers = {}) {
      const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
        const outgoing = httpsRequest(
          new URL(path, at()),
          { agent, signal, headers: { authorization, accept: 'text/event-stream', ...headers } },
          resolve,
        )
        outgoing.on('error', reject)
        outgoing.end()
      })
      if (incoming.statusCode !== 200) throw new Error(`${path}: status ${incoming.statusCode}`)
      let rest = ''
      for await (const chunk of incoming) {
        rest += String(chunk)
        for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
          const event = parseEvent(rest.slice(0, end))
          rest = rest.slice(end + 2)
          if (event) yield event
        }
      }
    },

    close: () => agent.destroy(),
  }
}

/** One event of a stream; undefined for a comment, which is how the heartbeat comes. */
function parseEvent(block: string): ServerEvent | undefined {
  const fields = block.split('\n').flatMap((line) => {
    const match = /^(id|event|data): ?(.*)$/.exec(line)
    return match ? [[match[1], match[2]] as const] : []
  })
  const data = fields.filter(([name]) => name === 'data').map(([, value]) => value)
  if (data.length === 0) return undefined
  const field = (name: string) => fields.find(([given]) => given === name)?.[1]
  const id = field('id')
  return { ...(id !== undefined && { id }), event: field('event') ?? 'message', data: data.join('\n') }
}
