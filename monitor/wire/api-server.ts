import { createSecureContext, type SecureContext } from 'node:tls'
import type { Credentials } from '../../shared/kubernetes/credentials.ts'
import { type Answer, exchange } from './http-exchange.ts'
import { CheckFailure } from './reasons.ts'

/** The Kubernetes API server as checks ask it: any path, the answer as it comes, JSON or not. */
export type ApiServer = {
  server: URL
  /**
   * One GET on a connection of its own, as exchange does it; also an answer that is not a success is returned.
   * @param path with its query
   */
  get(path: string, options: { signal: AbortSignal; accept?: string; maxBytes?: number }): Promise<Answer>
}

/**
 * Asks with the credentials of shared/kubernetes/credentials.ts. Checks use this and not the connection that everything else shares:
 * whether a new client gets through is the question, health endpoints answer in plain text, and what a sick server sends must be bounded.
 */
export function apiServerOf(credentials: Credentials): ApiServer {
  const base = credentials.server.pathname.replace(/\/+$/, '')
  let held: { ca: unknown; cert: unknown; key: unknown; context: SecureContext } | undefined
  return {
    server: credentials.server,
    async get(path, { signal, accept = '*/*', maxBytes = 4 * 1024 * 1024 }) {
      const { ca, cert, key, headers, servername, rejectUnauthorized } = await credentials.options()
      // The material changes when certificates rotate; until then one context serves all requests.
      if (held === undefined || held.ca !== ca || held.cert !== cert || held.key !== key)
        held = {
          ca,
          cert,
          key,
          context: createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key: key as string }) }),
        }
      return exchange({
        url: new URL(base + path, credentials.server),
        headers: { ...(headers as Record<string, string>), Accept: accept },
        tls: { secureContext: held.context, servername, verify: rejectUnauthorized !== false },
        maxBytes,
        signal,
      })
    },
  }
}

/** The API server of the context. @throws CheckFailure `misconfigured` if the monitor has none */
export function needApiServer(apiServer: ApiServer | undefined): ApiServer {
  if (apiServer !== undefined) return apiServer
  throw new CheckFailure(
    'misconfigured',
    'The monitor is connected to no cluster: name a kubeconfig in its configuration, or give this check a url.',
  )
}
