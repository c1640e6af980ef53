import { isDeepStrictEqual } from 'node:util'
import type { Collection } from '../client/collection.ts'
import type { StandInKind } from '../client/kinds.ts'
import { isNewer, type KubernetesObject, pathOf } from '../client/objects.ts'
import { crateDbDefinition } from '../crds/index.ts'
import { startCluster } from '../start.ts'
import type { TestCluster } from '../test-cluster.ts'
import { lastHandled, lastKey, managedKey, type Progress, prefix, rollbackKey } from './crate-operator/traces.ts'
import { type StandInOptions, type StandIns, startStandIns } from './index.ts'
import { openWorld, type World } from './world.ts'

const fieldManager = 'test'
const withinMs = 60_000

/** A cluster with stand-ins, and an observer with its own connection. */
export type Fixture = {
  cluster: TestCluster
  standIns: StandIns
  /** The observer's connection and watches. */
  observer: World
  /** A new namespace. */
  project(): Promise<string>
  /** Creates a CrateDB and the Secret of its user, without waiting. */
  create(namespace: string, name: string, change?: (spec: Json) => void): Promise<Subject>
  /** Creates them, and resolves once the operator has finished and the database is GREEN. */
  created(namespace: string, name: string, change?: (spec: Json) => void): Promise<Subject>
  /** Resolves with an object once the condition holds. */
  until(kind: StandInKind, key: string, wanted: (object: KubernetesObject) => boolean): Promise<KubernetesObject>
  /** Resolves once the object is gone. */
  untilGone(kind: StandInKind, key: string): Promise<void>
  /** An object, or all of a namespace, from the API server: the observer's watches may lag behind one another. */
  read(kind: StandInKind, key: string): Promise<KubernetesObject>
  list(kind: StandInKind, namespace: string): Promise<KubernetesObject[]>
  /** Resolves with the database pods of a namespace once there are that many. A real control plane also has pods of backup jobs. */
  pods(namespace: string, count: number): Promise<KubernetesObject[]>
  /** Resolves with an Event of a namespace once there is one with such a message. */
  event(namespace: string, message: RegExp): Promise<KubernetesObject>
  stop(): Promise<void>
}

/** One CrateDB under observation. */
export type Subject = {
  key: string
  namespace: string
  name: string
  /** Every version that the observer's watch has seen. */
  history: KubernetesObject[]
  now(): KubernetesObject
  /** Changes it with a JSON merge patch. */
  edit(patch: Json): Promise<void>
  /** Changes the first data group. */
  editGroup(change: (group: Json) => void): Promise<void>
  /** Edits it; once the operator has finished, resolves with all versions since then. */
  run(edit: () => Promise<void>): Promise<KubernetesObject[]>
  until(wanted: (object: KubernetesObject) => boolean): Promise<KubernetesObject>
}

// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, as it should
type Json = any

/**
 * Starts the cluster that `SKERRY_CLUSTER` names, with all stand-ins.
 *
 * @param options `crds`: YAML of CRDs served from the start; by default, that of CrateDB
 */
export async function startFixture({
  crds = [crateDbDefinition],
  ...options
}: StandInOptions & { crds?: string[] } = {}): Promise<Fixture> {
  const cluster = await startCluster({ crds })
  const standIns = await startStandIns(cluster, options)
  const observer = await openWorld(cluster)
  let projects = 0

  async function until(kind: StandInKind, key: string, wanted: (object: KubernetesObject) => boolean): Promise<KubernetesObject> {
    const cache = await observer.follow(kind)
    const last = () => JSON.stringify({ metadata: cache.get(key)?.metadata, status: cache.get(key)?.status })
    await waitFor(
      cache,
      () => cache.get(key) !== undefined && wanted(cache.get(key) as KubernetesObject),
      () => `${kind} ${key} is ${last()}`,
    )
    return cache.get(key) as KubernetesObject
  }

  async function list(kind: StandInKind, namespace: string): Promise<KubernetesObject[]> {
    const path = pathOf(observer.kinds[kind], namespace)
    return (await observer.cluster.request<{ items: KubernetesObject[] }>({ method: 'GET', path })).items
  }

  async function create(namespace: string, name: string, change: (spec: Json) => void = () => {}): Promise<Subject> {
    const cache = await observer.follow('CrateDB')
    const subject = observe(cache, namespace, name)
    const secret = `user-password-${name}-0`
    const data = { password: Buffer.from('first-password').toString('base64') }
    await observer.create('Secret', { metadata: { name: secret, namespace }, data }, { fieldManager })
    const spec = databaseSpec(name, secret)
    change(spec)
    await observer.create(
      'CrateDB',
      { metadata: { name, namespace, labels: { 'example.com/project': namespace } }, spec },
      { fieldManager },
    )
    return subject
  }

  function observe(cache: Collection, namespace: string, name: string): Subject {
    const key = `${namespace}/${name}`
    const history: KubernetesObject[] = []
    cache.subscribe((change) => {
      if (change.key === key && change.type !== 'removed') history.push(change.object)
    })
    let edited = ''
    const edit = async (patch: Json) => {
      const answer = await observer.cluster.request<KubernetesObject>({
        method: 'PATCH',
        path: `/apis/cloud.crate.io/v1/namespaces/${namespace}/cratedbs/${name}`,
        query: { fieldManager },
        contentType: 'application/merge-patch+json',
        body: patch,
      })
      edited = answer.metadata.resourceVersion ?? ''
    }
    const now = () => cache.get(key) as KubernetesObject
    const subject: Subject = {
      key,
      namespace,
      name,
      history,
      now,
      edit,
      async editGroup(change) {
        const [first, ...others] = structuredClone(now().spec.nodes.data)
        change(first)
        await edit({ spec: { nodes: { data: [first, ...others] } } })
      },
      async run(change) {
        const from = history.length
        await change()
        await until('CrateDB', key, (object) => isLater(object, edited) && hasEnded(object))
        return history.slice(from)
      },
      until: (wanted) => until('CrateDB', key, wanted),
    }
    return subject
  }

  return {
    cluster,
    standIns,
    observer,
    create,
    until,
    async project() {
      const name = `project-${++projects}`
      await observer.create('Namespace', { metadata: { name } }, { fieldManager })
      return name
    },
    async created(namespace, name, change) {
      const subject = await create(namespace, name, change)
      await subject.until((object) => hasEnded(object) && object.status?.crateDBStatus?.health === 'GREEN')
      return subject
    },
    async untilGone(kind, key) {
      const cache = await observer.follow(kind)
      await waitFor(
        cache,
        () => cache.get(key) === undefined,
        () => `${kind} ${key} is still there`,
      )
    },
    async pods(namespace, count) {
      const cache = await observer.follow('Pod')
      const isOne = ({ metadata }: KubernetesObject) =>
        metadata.namespace === namespace && metadata.labels?.['app.kubernetes.io/component'] === 'cratedb'
      const find = () => [...cache.values()].filter(isOne)
      await waitFor(
        cache,
        () => find().length === count,
        () => `${namespace} has ${find().length} pods of databases, not ${count}`,
      )
      return (await list('Pod', namespace)).filter(isOne)
    },
    async event(namespace, message) {
      const cache = await observer.follow('Event')
      const find = () => [...cache.values()].find((event) => event.metadata.namespace === namespace && message.test(event.message))
      await waitFor(
        cache,
        () => find() !== undefined,
        () => `no Event in ${namespace} says ${message}`,
      )
      return find() as KubernetesObject
    },
    read(kind, key) {
      const [namespace, name] = key.split('/')
      return observer.cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(observer.kinds[kind], namespace, name) })
    },
    list,
    async stop() {
      await observer.close()
      await standIns.stop()
      await cluster.stop()
    },
  }
}

async function waitFor(cache: Collection, met: () => boolean, told: () => string): Promise<void> {
  if (met()) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const end = cache.subscribe(() => {
    if (met()) resolve()
  })
  const timer = setTimeout(() => reject(new Error(`not within ${withinMs} ms: ${told()}`)), withinMs)
  try {
    await promise
  } finally {
    clearTimeout(timer)
    end()
  }
}

const isLater = ({ metadata }: KubernetesObject, than: string) =>
  metadata.resourceVersion !== than && isNewer(metadata.resourceVersion, than)

const bookkeeping = new Set([lastKey, managedKey, rollbackKey, `${prefix}/RollbackUpgradeSubHandler`])

/** The progress of handlers in the annotations of an object, by name without the prefix. */
export function progressIn({ metadata }: KubernetesObject): Record<string, Progress> {
  return Object.fromEntries(
    Object.entries(metadata.annotations ?? {})
      .filter(([name]) => name.startsWith(`${prefix}/`) && !bookkeeping.has(name))
      .map(([name, value]) => [name.slice(prefix.length + 1), JSON.parse(value) as Progress]),
  )
}

/** Whether the operator has finished with an object: no progress is left, and the last handled spec is the current one. */
export function hasEnded(object: KubernetesObject): boolean {
  return Object.keys(progressIn(object)).length === 0 && isDeepStrictEqual(lastHandled(object)?.spec, object.spec)
}

/** The messages in the progress of one handler, in order, without repetitions. */
export function messagesOf(history: KubernetesObject[], handler: string): string[] {
  const all = history.map((object) => progressIn(object)[handler]?.message).filter((message) => message !== undefined)
  return all.filter((message, index) => message !== all[index - 1])
}

function databaseSpec(name: string, secret: string): Json {
  const resources = {
    limits: { cpu: 2, memory: '4Gi' },
    requests: { cpu: 1, memory: '4Gi' },
    heapRatio: 0.25,
    disk: { count: 1, size: '64GiB', storageClass: 'crate-premium' },
  }
  const reference = (key: string) => ({ secretKeyRef: { name: `backup-${name}`, key } })
  return {
    cluster: { name, imageRegistry: 'crate', version: '5.10.1', allowedCIDRs: ['10.20.0.0/16'] },
    nodes: { data: [{ name: 'hot', replicas: 2, resources }] },
    users: [{ name: 'harbourmaster', password: { secretKeyRef: { name: secret, key: 'password' } } }],
    backups: {
      aws: {
        cron: '17 3 * * *',
        basePath: name,
        ...Object.fromEntries(['accessKeyId', 'secretAccessKey', 'region', 'bucket'].map((key) => [key, reference(key)])),
      },
    },
  }
}
