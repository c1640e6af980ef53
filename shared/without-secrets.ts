/**
 * A text of others without the secrets in it: as they are, and as a URL or the XML of a store has them. What CrateDB says of a repository repeats
 * what the store said, and stores repeat what they were sent. To be called before a text is cut: a part of a secret is not found any more.
 */
export function withoutSecrets(text: string, secrets: readonly string[], mask = '[masked]'): string {
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret), escapedForXml(secret)])
  // The longest first: one secret may begin as another one does.
  const known = [...new Set(forms)].filter((form) => form !== '').sort((a, b) => b.length - a.length)
  return known.reduce((masked, form) => masked.replaceAll(form, mask), text)
}

function escapedForXml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character)
}
