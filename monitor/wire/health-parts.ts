/** What `/livez?verbose` and its like answered, part by part. */
export type HealthParts = { ok: string[]; failed: string[] }

/**
 * Reads the lines that Kubernetes' health endpoints print when asked to be verbose: `[+]etcd ok`, `[-]etcd failed: reason withheld`.
 * Anything else is passed over, so an answer without them has no parts.
 */
export function parseHealthParts(text: string): HealthParts {
  const parts: HealthParts = { ok: [], failed: [] }
  for (const [, sign, name] of text.matchAll(/^\[([+-])\]([^\s:]{1,200})/gm)) (sign === '+' ? parts.ok : parts.failed).push(name as string)
  return parts
}
