import type { Change } from '../../../shared/kubernetes/cache.ts'
import type { EventSource } from '../events/index.ts'
import type { Prepared } from './prepared.ts'

/** A resource of the API in an event: what a read would answer now. */
export type Shown = { metadata: { name: string; namespace?: string }; ref: { project: string; id: string }; bytes: Buffer }

/** What a read would answer of a resource now; undefined when it is gone. */
export type Present = { ref: Shown['ref']; prepared: Prepared | undefined }

export type ChangesOf = {
  kind: EventSource['kind']
  /** What there is. */
  all(): Iterable<Present>
  /** Tells of everything that may have changed. Returns what ends that. */
  follow(tell: (present: Present) => void): () => void
}

/**
 * The changes of a kind of resource as the API shows it: an event exactly when a read would answer something else. Much that
 * happens in the cluster changes nothing that is shown, and one change may come from any of five caches.
 */
export function changesOf({ kind, all, follow }: ChangesOf): EventSource<Shown> {
  return {
    kind,
    refOf: ({ ref }) => ref,
    render: ({ bytes }) => bytes,
    cache: {
      subscribe(listener: (change: Change<Shown>) => void) {
        const tags = new Map<string, string>()
        for (const { ref, prepared } of all()) if (prepared) tags.set(keyOf(ref), prepared.etag)
        return follow(({ ref, prepared }) => {
          const key = keyOf(ref)
          const before = tags.get(key)
          if (before === prepared?.etag) return
          const object = { metadata: { name: ref.id, namespace: ref.project }, ref, bytes: prepared?.bytes ?? nothing }
          if (!prepared) {
            tags.delete(key)
            listener({ type: 'removed', key, object })
            return
          }
          tags.set(key, prepared.etag)
          listener(before === undefined ? { type: 'added', key, object } : { type: 'changed', key, object, previous: object })
        })
      },
    },
  }
}

const nothing = Buffer.alloc(0)

function keyOf({ project, id }: Shown['ref']): string {
  return `${project}/${id}`
}
