import { Agent, get } from 'node:https'

/** The body, and the milliseconds from the request to its last byte. */
export type Fetched = { bytes: Buffer; ms: number }

/** A client that keeps its connection and does not parse the answers. */
export function fetchBytes({ url, ca, token }: { url: string; ca: string; token: string }) {
  const agent = new Agent({ keepAlive: true, ca, maxSockets: 1 })
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  return {
    get(path: string): Promise<Fetched> {
      const started = performance.now()
      return new Promise((resolve, reject) => {
        get(new URL(path, url), { agent, headers }, (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('error', reject)
          answer.on('end', () => {
            const took = performance.now() - started
            if (answer.statusCode === 200) resolve({ bytes: Buffer.concat(chunks), ms: took })
            else reject(new Error(`GET ${path}: ${answer.statusCode} ${Buffer.concat(chunks)}`))
          })
        }).on('error', reject)
      })
    },
    close: () => agent.destroy(),
  }
}
