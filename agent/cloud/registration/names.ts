/** What one side says about the region: a name for people, and tags. */
export type Said = { name?: string | undefined; tags?: Readonly<Record<string, string>> | undefined }

/** What an answer of the cloud says, besides how the registration stands. */
export type Heard = Said & {
  /** The last operation of the region that the cloud knows. */
  ledgerKnown?: number | undefined
}

/**
 * The name and the tags that count, of what the site and the cloud say. Both may change theirs at any time. The word of the site takes
 * precedence, tag by tag: whoever stands beside the machines knows where they are. Take it back, and that of the cloud counts. Pure.
 */
export function inForce(site: Said, cloud: Said): { name?: string; tags?: Record<string, string> } {
  const name = site.name ?? cloud.name
  const tags = { ...cloud.tags, ...site.tags }
  return { ...(name !== undefined && { name }), ...(Object.keys(tags).length > 0 && { tags }) }
}

/** What the cloud says after an answer: silence about the name or about the tags leaves them as they were. Pure. */
export function saidAfter(before: Said, answer: Said): Said {
  const { name = before.name, tags = before.tags } = answer
  return { ...(name !== undefined && { name }), ...(tags !== undefined && { tags }) }
}
