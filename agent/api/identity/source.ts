import type { Identity, Scope } from '../context.ts'

/** Where an identity comes from: a static token, a signed token of an issuer, or a client certificate. */
export type Source = 'token' | 'cert' | `jwt:${string}`

/**
 * The identity of a credential. Its name begins with the source, so that two sources never share a name, and with it idempotency keys and
 * rate limits: `token:cloud`, `cert:cloud`, `jwt:https://team.example/cloud`.
 */
export function identityFrom(
  source: Source,
  name: string,
  granted: { scopes: Iterable<Scope>; projects?: Iterable<string> | undefined },
): Identity {
  // Earlier versions wrote no sources. A name that reads as if it had one would be that of another source's present identity.
  const hadNone = !/^(token|cert|jwt):/.test(name)
  return {
    name: source.startsWith('jwt:') ? `${source}/${name}` : `${source}:${name}`,
    ...(hadNone && { unqualified: name.slice(0, 100) }), // as earlier versions cut it
    scopes: new Set(granted.scopes),
    ...(granted.projects !== undefined && { projects: new Set(granted.projects) }),
  }
}
