import type { Client } from '../region/client.ts'

/** A client that writes down what became of each attempt. */
export type CountedClient = Client & {
  /** Why attempts had to be repeated, and how often: the code of the system's error, or a status. */
  causes: Map<string, number>
  /** How often each request that had to be repeated was sent: by its key, or by its method and path. */
  attempts: Map<string, number>
  answered: number
}

const retryable = [429, 502, 503, 504]

/** Counts the attempts of a client whose caller repeats them. */
export function counting(client: Client): CountedClient {
  const causes = new Map<string, number>()
  const attempts = new Map<string, number>()
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1)
  const self: CountedClient = {
    events: client.events,
    close: client.close,
    causes,
    attempts,
    answered: 0,
    async call(method, path, call = {}) {
      const key = call.headers?.['idempotency-key'] ?? `${method} ${path}`
      try {
        const answer = await client.call(method, path, call)
        if (retryable.includes(answer.status)) {
          count(causes, String(answer.status))
          count(attempts, key)
        } else self.answered++
        return answer
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        count(causes, code ?? message)
        count(attempts, key)
        throw error
      }
    },
  }
  return self
}
