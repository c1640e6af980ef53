/** What `createHostWatch` returns. */
export type HostWatch = ReturnType<typeof createHostWatch>

/**
 * Whether the primary host is online, as heard on one connection: the latest verdict counts, and none that was heard on another one. A host
 * may come and go in one read, so whoever waited for it looks again before it acts.
 */
export function createHostWatch() {
  let isOnline = false
  let isNews = false
  let came = Promise.withResolvers<void>()
  return {
    isOnline: () => isOnline,
    /** Whether it came online while this connection was open: then every node that listens has heard it in the same moment. */
    isNews: () => isNews,
    /** @param isRetained what is retained was said before this node listened */
    online(isRetained: boolean): void {
      isNews = !isOnline && !isRetained
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
