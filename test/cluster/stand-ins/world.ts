import { backoff, type Clock, systemClock } from '../client/clock.ts'
import { Collection } from '../client/collection.ts'
import { type ApiRequest, type Client, createClient } from '../client/connection.ts'
import { isFailure } from '../client/failures.ts'
import { discoverKinds, type StandInKind, type StandInKinds } from '../client/kinds.ts'
import { type Log, silent } from '../client/log.ts'
import { type KubernetesObject, pathOf } from '../client/objects.ts'
import type { TestCluster } from '../test-cluster.ts'

/** Names an object for a write. */
type Named = { namespace?: string | undefined; name: string }

type JsonPatchOperation = { op: 'replace' | 'remove'; path: string; value?: unknown }

type WriteOptions = {
  fieldManager: string
  subresource?: 'status' | 'binding'
  signal?: AbortSignal
}

/** Shared by all stand-ins of a cluster: a connection, and one watch per kind. */
export type World = {
  /** The control plane: the embedded one lacks some controllers of the real one. */
  plane: TestCluster['kind']
  cluster: Client
  clock: Clock
  log: Log
  kinds: StandInKinds
  /** The collection of a kind, complete and kept current. All callers share it. */
  follow(kind: StandInKind): Promise<Collection>
  /** Creates an object and returns it; undefined if it exists already. */
  create(
    kind: StandInKind,
    object: Omit<KubernetesObject, 'apiVersion' | 'kind'>,
    options: WriteOptions,
  ): Promise<KubernetesObject | undefined>
  /** Applies a JSON merge patch; undefined if the object is gone. */
  patch(kind: StandInKind, named: Named, body: unknown, options: WriteOptions): Promise<KubernetesObject | undefined>
  /** Applies a JSON patch, for changes that a merge patch cannot express. */
  patchJson(kind: StandInKind, named: Named, operations: JsonPatchOperation[], options: WriteOptions): Promise<KubernetesObject | undefined>
  /** Deletes an object, unless it is gone or has another uid. */
  remove(
    kind: StandInKind,
    named: Named,
    options?: { uid?: string | undefined; graceSeconds?: number; signal?: AbortSignal },
  ): Promise<void>
  close(): Promise<void>
}

export type WorldOptions = { clock?: Clock; log?: Log }

/** Connects to a cluster as its administrator. Close it when done. */
export async function openWorld(testCluster: TestCluster, { clock = systemClock, log = silent }: WorldOptions = {}): Promise<World> {
  const cluster = createClient(testCluster)
  const kinds = await discoverKinds(cluster)
  const followed = new Map<StandInKind, { collection: Collection; whole: Promise<void> }>()
  const ending = new AbortController()

  async function request(what: ApiRequest, signal?: AbortSignal): Promise<KubernetesObject> {
    const either = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal
    for (let attempt = 0; ; attempt++) {
      try {
        return await cluster.request<KubernetesObject>({ ...what, signal: either })
      } catch (error) {
        // Tests make the API server fail; a stand-in retries, as a controller does.
        if (either.aborted || !isTransient(error, what.body)) throw error
        await clock.sleep(backoff({ baseMs: 20, capMs: 1_000 }, attempt), either)
      }
    }
  }

  function keep(kind: StandInKind, object: KubernetesObject): KubernetesObject {
    followed.get(kind)?.collection.put(object)
    return object
  }

  async function patchAs(
    contentType: string,
    kind: StandInKind,
    named: Named,
    body: unknown,
    { fieldManager, subresource, signal }: WriteOptions,
  ): Promise<KubernetesObject | undefined> {
    try {
      const patched = await request(
        { method: 'PATCH', path: pathTo(kind, named, subresource), query: { fieldManager }, contentType, body },
        signal,
      )
      return keep(kind, patched)
    } catch (error) {
      if (isFailure(error, 'not-found')) return undefined
      throw error
    }
  }

  const pathTo = (kind: StandInKind, { namespace, name }: Named, subresource?: string) =>
    pathOf(kinds[kind], namespace, name) + (subresource === undefined ? '' : `/${subresource}`)

  return {
    plane: testCluster.kind,
    cluster,
    clock,
    log,
    kinds,
    async follow(kind) {
      let entry = followed.get(kind)
      if (!entry) {
        const collection = new Collection(kinds[kind], { client: cluster, clock, log })
        entry = { collection, whole: collection.start() }
        followed.set(kind, entry)
      }
      await entry.whole
      return entry.collection
    },
    async create(kind, object, { fieldManager, signal }) {
      const { apiVersion, kind: kindName } = kinds[kind]
      try {
        const made = await request(
          {
            method: 'POST',
            path: pathOf(kinds[kind], object.metadata.namespace),
            query: { fieldManager },
            body: { apiVersion, kind: kindName, ...object },
          },
          signal,
        )
        return keep(kind, made)
      } catch (error) {
        if (isFailure(error, 'already-exists')) return undefined
        throw error
      }
    },
    patch: (kind, named, body, options) => patchAs('application/merge-patch+json', kind, named, body, options),
    patchJson: (kind, named, operations, options) => patchAs('application/json-patch+json', kind, named, operations, options),
    async remove(kind, named, { uid, graceSeconds, signal } = {}) {
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(uid !== undefined && { preconditions: { uid } }),
        ...(graceSeconds !== undefined && { gracePeriodSeconds: graceSeconds }),
        propagationPolicy: 'Background',
      }
      try {
        await request({ method: 'DELETE', path: pathTo(kind, named), body }, signal)
      } catch (error) {
        if (!isFailure(error, 'not-found', 'conflict')) throw error
      }
    },
    async close() {
      ending.abort(new Error('the stand-ins were stopped'))
      await Promise.all([...followed.values()].map(({ collection }) => collection.stop()))
      cluster.close()
    },
  }
}

/** Whether the same request can be repeated, because it does not depend on the object's version. */
function isTransient(error: unknown, body: unknown): boolean {
  if (isFailure(error, 'unreachable', 'server-error')) return true
  const { resourceVersion } = (body as { metadata?: { resourceVersion?: string } } | undefined)?.metadata ?? {}
  const preconditions = (body as { preconditions?: unknown } | undefined)?.preconditions
  // A merge patch without a version cannot conflict, so this conflict is injected, or a race inside the API server.
  return isFailure(error, 'conflict') && resourceVersion === undefined && preconditions === undefined && !terminates(error)
}

const terminates = (error: unknown) => error instanceof Error && error.message.includes('terminating')
