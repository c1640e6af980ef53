import type { Prepared } from '../representations/prepared.ts'
import type { EventSource } from './index.ts'

/** A resource as a read would show it now; `prepared` is undefined when it is gone. */
export type Present = { project: string; id: string; prepared: Prepared | undefined }

/**
 * Emits an event exactly when the answer of a read changes. Many changes in the cluster do not affect that answer, and a change may come from
 * any of five caches.
 * @param all everything that exists now
 * @param follow calls `look` with every resource that may have changed; returns the function that unsubscribes
 */
export function shownChanges(
  all: () => Iterable<Present>,
  follow: (look: (present: Present) => void) => () => void,
): EventSource['subscribe'] {
  return (listener) => {
    const tags = new Map<string, string>()
    const keyOf = ({ project, id }: Present) => `${project}/${id}`
    for (const present of all()) if (present.prepared) tags.set(keyOf(present), present.prepared.etag)
    return follow((present) => {
      const { project, id, prepared } = present
      const before = tags.get(keyOf(present))
      if (before === prepared?.etag) return
      if (prepared === undefined) tags.delete(keyOf(present))
      else tags.set(keyOf(present), prepared.etag)
      if (prepared === undefined) listener({ type: 'removed', project, id })
      else listener({ type: before === undefined ? 'added' : 'changed', project, id, show: () => prepared.bytes })
    })
  }
}
