import { asProblem, isProblem, type Problem } from '../../../shared/errors.ts'
import { type Cache, type CacheTools, createCache } from '../../../shared/kubernetes/cache.ts'
import { kinds } from '../../../shared/kubernetes/objects.ts'
import type { Readiness } from '../../../shared/lifecycle.ts'
import { linkObjects, type RegistrationStatus } from './status.ts'

/** The Registration of this region, followed by a watch: every replica shows it, and none waits for it. */
export type ShownRegistration = {
  cache: Cache
  /** Undefined until a leader has written it for the first time. */
  readonly status: RegistrationStatus | undefined
  /**
   * Why it cannot be known how the region stands: the CRD is missing, as where somebody upgrades it by hand, or nothing was ever read. A
   * status that can no longer be followed is better than none.
   */
  readonly fault: Problem | undefined
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
    get fault() {
      if (cache.synced && !isProblem(cache.fault, 'not-served')) return undefined
      return cache.fault === undefined ? undefined : asProblem(cache.fault)
    },
  }
}

/** A warning: the region does its work without its cloud, and another replica would see no more. */
export function registrationReadiness(shown: ShownRegistration | undefined): Readiness[] {
  if (shown === undefined) return []
  const trouble = () => shown.fault?.detail ?? (shown.cache.synced ? undefined : 'not listed yet')
  return [{ name: 'cache of registration', isWarning: true, trouble }]
}
