import type { Context } from 'hono'
import { Problem } from '../../shared/errors.ts'
import type { ServerBindings } from '../../shared/fetch.ts'

/** Something that an identity may be allowed to do: `databases:write`. The resources say which ones exist. */
export type Scope = `${string}:${'read' | 'write' | 'admin'}`

/** Who sends a request. */
export type Identity = {
  /** Qualified by its source: `token:cloud`. Audit records, operations, idempotency keys and rate limits go by it. */
  name: string
  /** Its name without the source, as in operations that version 0.1 accepted. */
  unqualified?: string
  scopes: ReadonlySet<Scope>
  /** The ids of the projects that it is bound to; undefined for all, and the region itself. See reach.ts. */
  projects?: ReadonlySet<string>
}

/** The context of a handler. The handler sets `operation`, for the audit record. */
export type ApiEnv = {
  Variables: {
    requestId: string
    identity: Identity
    /** Whether the credential would be recognised again, as the same identity: long answers ask this twice a minute. */
    isStillAllowed: () => Promise<boolean>
    operation: string | undefined
    dryRun: boolean | undefined
    /** The request is about a project that its identity is not bound to. */
    isOutside: boolean | undefined
  }
  /** From the listener; all are missing under `app.request()`. */
  Bindings: Partial<ServerBindings>
}

export type ApiContext = Context<ApiEnv>

/** By name in lower case, so that no header occurs twice. */
export type ResponseHeaders = Record<string, string>

/** @throws Problem `forbidden` that names the scope when the identity lacks it */
export function requireScope(c: ApiContext, scope: Scope): void {
  const identity = c.get('identity')
  if (identity.scopes.has(scope)) return
  throw new Problem('forbidden', `${identity.name} does not have the scope ${scope}.`, { extensions: { scope } })
}
