/** What is wrong with the address of a broker, in words; undefined when it can be used. */
export function brokerFault(url: string): string | undefined {
  if (!URL.canParse(url)) return `${JSON.stringify(url)} is no URL, such as mqtt://broker.example.com:1883`
  const { protocol, hostname } = new URL(url)
  if (!['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(protocol))
    return `${withoutCredentials(url)} is none of mqtt://, mqtts://, ws:// and wss://`
  return hostname === '' ? 'names no host' : undefined
}

/** A broker's address as it may be shown, without user and password. */
export function withoutCredentials(url: string): string {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

/** The same in parts: the monitor takes credentials beside the URL, not in it. */
export function partsOf(given: string): { url: string; username?: string; password?: string } {
  const url = new URL(given)
  const { username, password } = url
  if (username === '') return { url: given }
  url.username = ''
  url.password = ''
  return { url: url.href, username: decodeURIComponent(username), password: decodeURIComponent(password) }
}
