import type { Core } from './core.ts'
import { revisionOf, selectorOf } from './lists.ts'
import type { KubeObject } from './object.ts'
import { type Representation, renderObject } from './representation.ts'
import { apiVersionOf, type ResourceType } from './resources.ts'
import type { Selector } from './selectors.ts'
import { ApiError, expired } from './status.ts'
import { type Change, Entry } from './store.ts'

/** The client's end of a watch. `send` takes whole lines. */
export type Sink = { send(line: Buffer | string): void; end(): void; cut(): void }

type Wanted = { type: ResourceType; namespace: string | undefined; query: URLSearchParams; form: Representation }

const line = (type: string, object: string): string => `{"type":"${type}","object":${object}}\n`

/** One client's view of a changing resource. */
class Watch {
  readonly #core: Core
  readonly #wanted: Wanted
  readonly #sink: Sink
  readonly #selector: Selector | undefined
  readonly #bookmarks: boolean
  #sent = 0
  #first = true

  constructor(core: Core, wanted: Wanted, sink: Sink) {
    this.#core = core
    this.#wanted = wanted
    this.#sink = sink
    this.#selector = selectorOf(wanted.type, wanted.query)
    this.#bookmarks = wanted.query.get('allowWatchBookmarks') === 'true'
  }

  get type(): ResourceType {
    return this.#wanted.type
  }

  /** Sends past changes, then follows new ones. Returns a function that stops it. */
  start(): () => void {
    const { type, namespace, query } = this.#wanted
    const bucket = this.#core.store.bucket(type.bucket)
    const text = query.get('resourceVersion') ?? ''
    const initial = query.get('sendInitialEvents') === 'true'
    if (initial || text === '' || text === '0') {
      if (text !== '') revisionOf(this.#core, text)
      if (query.get('sendInitialEvents') !== 'false') {
        for (const entry of bucket.list(namespace)) {
          if (!this.#selector || this.#selector(entry.object)) this.#send('ADDED', entry)
        }
      }
      this.#sent = this.#core.store.revision
      if (initial && this.#bookmarks) this.#sendBookmark({ 'k8s.io/initial-events-end': 'true' })
    } else {
      const revision = revisionOf(this.#core, text)
      const oldest = this.#core.store.oldest(bucket)
      if (revision < oldest) {
        throw expired(`too old resource version: ${revision} (${oldest})`)
      }
      this.#sent = revision
      for (const change of bucket.since(revision)) this.#take(change)
    }
    const watcher = (change: Change): void => this.#take(change)
    bucket.watchers.add(watcher)
    return () => bucket.watchers.delete(watcher)
  }

  /** Sends a bookmark if the client requested them and does not know the revision yet. */
  bookmark(): void {
    if (this.#bookmarks && this.#core.store.revision > this.#sent) this.#sendBookmark()
  }

  #sendBookmark(annotations?: Record<string, string>): void {
    const { type, form } = this.#wanted
    this.#sent = this.#core.store.revision
    const metadata = { resourceVersion: String(this.#sent), creationTimestamp: null, ...(annotations ? { annotations } : {}) }
    const object = { kind: type.kind, apiVersion: apiVersionOf(type), metadata }
    const text = form.as === 'table' ? { kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: null, rows: [] } : object
    this.#sink.send(line('BOOKMARK', JSON.stringify(text)))
  }

  #take(change: Change): void {
    const { namespace } = this.#wanted
    const { object } = change.entry
    if (namespace !== undefined && object.metadata.namespace !== namespace) return
    this.#sent = change.revision
    if (!this.#selector) {
      this.#forward(change)
      return
    }
    // a change may move an object into or out of the selection
    const before = change.previous !== undefined && this.#selector(change.previous.object)
    const now = change.type !== 'DELETED' && this.#selector(object)
    if (before && now) this.#send('MODIFIED', change.entry)
    else if (now) this.#send('ADDED', change.entry)
    else if (before && change.type === 'DELETED') this.#send('DELETED', change.entry)
    else if (before) this.#send('DELETED', withRevision((change.previous as Entry).object, change.revision))
  }

  #forward(change: Change): void {
    const { type, form } = this.#wanted
    if (form.as === 'object') this.#sink.send(sharedLine(change, apiVersionOf(type)))
    else this.#send(change.type, change.entry)
  }

  #send(event: string, entry: Entry): void {
    const { type, form } = this.#wanted
    this.#sink.send(line(event, renderObject(entry, type, form, this.#first)))
    this.#first = false
  }
}

const withRevision = (object: KubeObject, revision: number): Entry =>
  new Entry({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } }, revision)

let shared: { change: Change; apiVersion: string; bytes: Buffer } | undefined

/** Watchers get a change one right after the other, so its line is made once and kept until the next change. */
function sharedLine(change: Change, apiVersion: string): Buffer {
  if (shared?.change !== change || shared.apiVersion !== apiVersion) {
    shared = { change, apiVersion, bytes: Buffer.from(line(change.type, change.entry.json(apiVersion))) }
  }
  return shared.bytes
}

/** All open watches of a server: their bookmarks and their ends. */
export class Watches {
  readonly #core: Core
  readonly #open = new Map<Watch, { stop: () => void; sink: Sink }>()
  readonly #timer: NodeJS.Timeout

  /** @param bookmarkMs interval of bookmarks, in milliseconds */
  constructor(core: Core, bookmarkMs: number) {
    this.#core = core
    this.#timer = setInterval(() => {
      for (const watch of this.#open.keys()) watch.bookmark()
    }, bookmarkMs)
    this.#timer.unref()
  }

  /** Opens a watch; a fault is sent as an ERROR event. Returns a function that stops it. Throws 400 for a bad selector. */
  open(wanted: Wanted, sink: Sink): () => void {
    const watch = new Watch(this.#core, wanted, sink)
    try {
      const stop = watch.start()
      const timeout = this.#timeout(wanted.query, watch)
      const close = (): void => {
        clearTimeout(timeout)
        stop()
        this.#open.delete(watch)
      }
      this.#open.set(watch, { stop: close, sink })
      return close
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      sink.send(line('ERROR', JSON.stringify(error.status())))
      sink.end()
      return () => {}
    }
  }

  /** Ends every open watch of a resource that is no longer served. */
  endAll(wanted: (type: ResourceType) => boolean = () => true): void {
    for (const [watch, { stop, sink }] of [...this.#open]) {
      if (!wanted(watch.type)) continue
      stop()
      sink.end()
    }
  }

  /** Cuts every open watch in the middle, as a broken connection does. */
  cutAll(): void {
    for (const { stop, sink } of [...this.#open.values()]) {
      stop()
      sink.cut()
    }
  }

  stop(): void {
    clearInterval(this.#timer)
    this.endAll()
  }

  #timeout(query: URLSearchParams, watch: Watch): NodeJS.Timeout {
    const seconds = Number(query.get('timeoutSeconds')) || 1800 + Math.random() * 1800
    const end = (): void => {
      const open = this.#open.get(watch)
      if (!open) return
      watch.bookmark()
      open.stop()
      open.sink.end()
    }
    return setTimeout(end, seconds * 1000).unref()
  }
}
