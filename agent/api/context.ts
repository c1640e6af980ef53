import type { Context } from 'hono'
import { Problem } from '../../shared/errors.ts'
import type { ServerBindings } from '../../shared/fetch.ts'

/** What an identity may do. Reading anything needs `region:read`. */
export const scopes = ['region:read', 'projects:write', 'databases:write', 'deployments:write', 'tunnel:write'] as const

export type Scope = (typeof scopes)[number]

/** Who sends a request. The name stands in audit records and in operations. */
export type Identity = { name: string; scopes: ReadonlySet<Scope> }

/** What a handler finds in its context. `operation` is for it to set: the audit record and the log name it. */
export type ApiEnv = {
  Variables: { identity: Identity; requestId: string; operation: string | undefined }
  /** As the listener gives them; all are missing under `app.request()`. */
  Bindings: Partial<ServerBindings>
}

export type ApiContext = Context<ApiEnv>

/** Header names in lower case: one name never stands there twice. */
export type ResponseHeaders = Record<string, string>

/** @throws Problem `forbidden` that names the scope when the identity lacks it */
export function requireScope(c: ApiContext, scope: Scope): void {
  const identity = c.get('identity')
  if (identity.scopes.has(scope)) return
  throw new Problem('forbidden', `${identity.name} does not have the scope ${scope}.`, { extensions: { scope } })
}
