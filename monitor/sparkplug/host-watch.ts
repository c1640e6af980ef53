/** What `createHostWatch` returns. */
export type HostWatch = ReturnType<typeof createHostWatch>

/**
 * Whether the primary host is online, as heard on one connection: the latest verdict counts, and none that was heard on another one. A host
 * may come and go in one read, so whoever waited for it looks again before it acts.
 */
export function createHostWatch() {
  let isOnline = false
  let came = Promise.withResolvers<void>()
  return {
    isOnline: () => isOnline,
    online(): void {
      isOnline = true
      came.resolve()
    },
    offline(): void {
      if (isOnline) came = Promise.withResolvers()
      isOnline = false
    },
    /** Resolves when it comes online; at once if it is. */
    whenOnline: () => came.promise,
  }
}
