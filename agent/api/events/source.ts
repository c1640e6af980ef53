/** A change of one resource. */
export type ResourceChange = {
  type: 'added' | 'changed' | 'removed'
  project: string
  id: string
  /** What a read shows of it, as JSON on one line; missing from what was removed. */
  show?: () => string | Uint8Array
}

/** The changes of one kind of resource. */
export type EventSource = {
  /** The type of its events: `operation`. */
  kind: string
  /** Calls with every change from now on. Returns the function that ends that. */
  subscribe(listener: (change: ResourceChange) => void): () => void
}
