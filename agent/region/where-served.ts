import { isProblem } from '../../shared/errors.ts'
import type { Cache, Cached } from '../../shared/kubernetes/cache.ts'
import type { Part, Readiness } from '../../shared/lifecycle.ts'

/**
 * A cache of a kind that the cluster may not have yet: its CRD or the permission for it is missing, as where somebody upgrades one or the other
 * by hand. It is ready once it has listed the collection, as any cache, or once the API server has said that it cannot: whatever needs no such
 * object goes on. The cache keeps trying.
 */
export function whereServed<T extends Cached>(cache: Cache<T>): Part {
  return {
    name: cache.name,
    start: (signal) =>
      new Promise((resolve, reject) => {
        const unsubscribe = cache.onTrouble(() => isNotServed(cache) && resolve())
        cache.start(signal).then(resolve, reject).finally(unsubscribe)
      }),
    stop: (deadline) => cache.stop(deadline),
  }
}

/** Whether the copy is whole, and still is what the cluster has: not while its kind is not served. */
export function isFollowed<T extends Cached>(cache: Cache<T>): boolean {
  return cache.synced && !isNotServed(cache)
}

/** A warning where the cluster does not serve the kind, and not ready before that is known. */
export function servedReadiness<T extends Cached>(name: string, cache: Cache<T>): Readiness {
  const trouble = () => (isFollowed(cache) ? undefined : (cache.trouble ?? 'not listed yet'))
  return { name: `cache of ${name}`, trouble, isWarning: true }
}

function isNotServed<T extends Cached>({ fault }: Cache<T>): boolean {
  return isProblem(fault, 'not-served', 'cluster-forbidden')
}
