import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'

/** The type of a Secret with credentials of registries. The API server accepts any JSON in it, an empty object too. */
const key = '.dockerconfigjson'

/**
 * Why no image can be pulled with a pull secret: continues "Pull secret quay-login". Undefined if it has credentials of a registry.
 * The content is not repeated.
 */
export function whyWithoutCredentials({ data }: KubernetesObject): string | undefined {
  const text = data?.[key]
  if (typeof text !== 'string' || text === '') return `holds no credentials yet: it has no ${key}`
  const config = parse(Buffer.from(text, 'base64').toString('utf8'))
  if (config === undefined) return `holds no credentials: its ${key} is not JSON`
  const { auths } = config as { auths?: unknown }
  if (auths === undefined) return 'holds no credentials yet'
  if (!isMap(auths)) return `holds no credentials: "auths" in its ${key} is not a map of registries`
  const registries = Object.entries(auths)
  if (registries.length === 0) return 'holds no credentials yet'
  if (registries.some(([, entry]) => isMap(entry) && hasLogin(entry))) return undefined
  const named = registries.slice(0, 3).map(([registry]) => registry.slice(0, 253))
  return `holds no credentials yet: it names ${named.join(', ')}, without a user and a password`
}

/** As the kubelet reads an entry: both in one, or each in a field of its own. */
function hasLogin({ auth, username, password, identitytoken }: Record<string, unknown>): boolean {
  const isText = (value: unknown) => typeof value === 'string' && value !== ''
  if (isText(identitytoken) || (isText(username) && isText(password))) return true
  return isText(auth) && /^[^:]+:./s.test(Buffer.from(auth as string, 'base64').toString('utf8'))
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isMap(value) ? value : {}
  } catch {
    return undefined
  }
}
