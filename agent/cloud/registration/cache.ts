import { type Cache, type CacheTools, createCache } from '../../../shared/kubernetes/cache.ts'
import { kinds } from '../../../shared/kubernetes/objects.ts'
import { linkObjects, type RegistrationStatus } from './status.ts'

/** The Registration of this region, followed by a watch: every replica shows it. */
export type ShownRegistration = {
  cache: Cache
  /** Undefined until a leader has written it for the first time. */
  readonly status: RegistrationStatus | undefined
}

/** Sends nothing before the cache is started. */
export function followRegistration(namespace: string, tools: CacheTools): ShownRegistration {
  const fieldSelector = `metadata.name=${linkObjects.registration}`
  const cache = createCache({ kind: kinds.Registration, namespace, fieldSelector }, tools)
  return {
    cache,
    get status() {
      const [registration] = cache.values()
      return registration?.status as RegistrationStatus | undefined
    },
  }
}
