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
