import { type Family, type Format, page } from './exposition.ts'

/** Pages of metrics. */
export type Pages = {
  /** Everything that there is now. Whoever asks in the same turn of the event loop gets the same page, rendered once. */
  metrics(format: Format): Promise<Buffer>
  /** These families. */
  of(families: readonly Family[], format: Format): Buffer
}

/** Pages of what the sources tell when somebody asks. A source is a function that does no I/O. */
export function createPages(sources: readonly (() => readonly Family[] | Promise<readonly Family[]>)[]): Pages {
  let current: { families: Promise<Family[]>; pages: Map<Format, Promise<Buffer>> } | undefined

  function now() {
    if (current === undefined) {
      const collected = Promise.all(sources.map(async (source) => source()))
      current = { families: collected.then((families) => families.flat()), pages: new Map() }
      // Collecting takes microtasks only, so that this comes after it and after the requests that came together.
      setImmediate(() => (current = undefined))
    }
    return current
  }

  return {
    metrics(format) {
      const { families, pages } = now()
      let rendered = pages.get(format)
      if (rendered === undefined) {
        rendered = families.then((all) => page(all, format))
        pages.set(format, rendered)
      }
      return rendered
    },
    of: page,
  }
}
