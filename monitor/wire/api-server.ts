import { Agent } from 'node:https'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Credentials } from '../../shared/kubernetes/credentials.ts'
import { type Answer, exchange, hostOf } from './http-exchange.ts'
import { exchangeKept } from './kept-exchange.ts'
import { CheckFailure } from './reasons.ts'
import { sniOf } from './tls.ts'

/** The Kubernetes API server as checks use it: any path, and the answer as it comes, JSON or not. */
export type ApiServer = {
  server: URL
  /**
   * Sends one GET on a new connection, as `exchange` does. An answer that is not a success is returned like any other. With `kept`, it goes
   * over a connection that stays open for the next: for what a check looks up, and does not test. With an agent, it goes over that agent's:
   * for a check that tests the server with several requests, and needs one new connection for them.
   * @param path includes the query
   */
  get(path: string, options: { signal: AbortSignal; accept?: string; maxBytes?: number; kept?: boolean | Agent }): Promise<Answer>
}

/** An API server closes an idle connection after 90 s (net/http's IdleTimeout in k8s.io/apiserver); ours go before, in milliseconds. */
const keptMs = 75_000

/**
 * The API server, asked with the credentials of shared/kubernetes/credentials.ts. Checks do not use the connection that the rest of the
 * monitor shares: health endpoints answer in plain text, and the answers of a sick server must be bounded.
 */
export function apiServerOf(credentials: Credentials): ApiServer {
  const base = credentials.server.pathname.replace(/\/+$/, '')
  let held: { ca: unknown; cert: unknown; key: unknown; context: SecureContext; agent: Agent } | undefined
  return {
    server: credentials.server,
    async get(path, { signal, accept = '*/*', maxBytes = 4 * 1024 * 1024, kept = false }) {
      const { ca, cert, key, headers, servername, rejectUnauthorized } = await credentials.options()
      // One context serves all requests until the certificates rotate, and the kept connections go with it.
      if (held === undefined || held.ca !== ca || held.cert !== cert || held.key !== key) {
        held?.agent.destroy()
        const context = createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key: key as string }) })
        held = { ca, cert, key, context, agent: new Agent({ keepAlive: true, maxFreeSockets: 2, timeout: keptMs }) }
      }
      const tls = {
        secureContext: held.context,
        rejectUnauthorized: rejectUnauthorized !== false,
        servername: servername ?? sniOf(hostOf(credentials.server)),
      }
      const what = {
        url: new URL(base + path, credentials.server),
        headers: { ...(headers as Record<string, string>), Accept: accept },
        maxBytes,
        signal,
      }
      if (kept === false) return exchange({ ...what, tls })
      return exchangeKept({ ...what, agent: kept === true ? held.agent : kept, tls })
    },
  }
}

/** The API server of a context. @throws CheckFailure `misconfigured` if the monitor has none */
export function needApiServer(apiServer: ApiServer | undefined): ApiServer {
  if (apiServer !== undefined) return apiServer
  throw new CheckFailure(
    'misconfigured',
    'The monitor is not connected to a cluster. Set a kubeconfig in its configuration, or give this check a url.',
  )
}

/** The parts of an answer to `/livez?verbose` or a similar endpoint. */
export type HealthParts = { ok: string[]; failed: string[] }

/**
 * Reads the lines of Kubernetes' verbose health endpoints: `[+]etcd ok`, `[-]etcd failed: reason withheld`. Other lines are skipped, so an
 * answer without such lines has no parts.
 */
export function parseHealthParts(text: string): HealthParts {
  const parts: HealthParts = { ok: [], failed: [] }
  for (const [, sign, name] of text.matchAll(/^\[([+-])\]([^\s:]{1,200})/gm)) (sign === '+' ? parts.ok : parts.failed).push(name as string)
  return parts
}
