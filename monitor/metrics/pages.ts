import { type Family, type Format, type Page, page } from './exposition.ts'

/** Pages of metrics. Whoever gets one releases it when it was sent. */
export type Pages = {
  /** Everything that there is now. Whoever asks in the same turn of the event loop gets the same page, rendered once. */
  metrics(format: Format): Promise<Page>
  /** These families. */
  of(families: readonly Family[], format: Format): Page
}

/** A rendering, and by how many it is read. */
type Shared = { page: Promise<Page>; readers: number }

/** Pages of what the sources tell when somebody asks. A source is a function that does no I/O. */
export function createPages(sources: readonly (() => readonly Family[] | Promise<readonly Family[]>)[]): Pages {
  let current: Map<Format, Shared> | undefined

  async function render(format: Format): Promise<Page> {
    const families = await Promise.all(sources.map(async (source) => source()))
    return page(families.flat(), format)
  }

  function now(): Map<Format, Shared> {
    if (current === undefined) {
      current = new Map()
      // Collecting takes microtasks only, so that this comes after it and after the requests that came together.
      setImmediate(() => (current = undefined))
    }
    return current
  }

  return {
    async metrics(format) {
      const renderings = now()
      const shared = renderings.get(format) ?? { page: render(format), readers: 0 }
      renderings.set(format, shared)
      shared.readers++
      const whole = await shared.page
      return {
        ...whole,
        release: () => {
          if (--shared.readers === 0) whole.release()
        },
      }
    },
    of: page,
  }
}
