import type { KubernetesObject } from '../client/objects.ts'
import { databaseKey, indexBy } from './index-by.ts'
import { type Bucket, freshRepositories, type RepositoryState } from './repository-state.ts'
import type { World } from './world.ts'

/** The health of a database, as CrateDB reports it. */
export type Health = 'GREEN' | 'YELLOW' | 'RED'

/** The contents of one database. They outlive restarts of its nodes, and last as long as its CrateDB object or its volumes. */
export type DatabaseState = RepositoryState & {
  settings: { persistent: Map<string, unknown>; transient: Map<string, unknown> }
  /** Passwords by user name. `crate` is the superuser that only local connections may use. */
  users: Map<string, { password?: string; jwt?: unknown }>
  privileges: { state: 'GRANT' | 'DENY'; type: string; class: string; ident: string | null; grantee: string; grantor: string }[]
  /** A running `CREATE SNAPSHOT`; it makes the operator wait before any update. */
  snapshotStatement: string | undefined
  /** Names of snapshots that a restore finds; undefined finds any name. */
  snapshots: Set<string> | undefined
  /** The settings of the repositories that restores read from, in order. */
  repositories: Record<string, string>[]
  /** The health in `sys.health`, which takes precedence over the state of the nodes. Set by `setHealth`. */
  health: Health | undefined
  /** Every statement received over HTTP, in order. */
  statements: { stmt: string; args: unknown[]; user: string }[]
}

/** One node that has joined its cluster. */
type DatabaseNode = { name: string; version: string; hostname: string; isMaster: boolean; pod: KubernetesObject }

/** The databases behind the pods of a cluster. */
export type Databases = {
  /** @param key `namespace/name` of the CrateDB */
  state(key: string): DatabaseState
  /** Nodes whose pods are ready, by name. */
  nodes(key: string): DatabaseNode[]
  /** The result of the operator's ping: unreachable without a data node, yellow while nodes are missing. */
  health(key: string): Health | 'UNREACHABLE'
  /** Number of nodes in the StatefulSets. */
  expectedNodes(key: string): number
  /** The password of the user `system`, from its Secret; undefined until that exists. */
  systemPassword(key: string): string | undefined
  /** Whether CrateDB speaks TLS over HTTP, and nothing else: with a keystore. */
  hasTls(key: string): boolean
  /** A bucket of the store that all databases can reach, by its name. */
  bucket(name: string): Bucket
  /** Overrides the health of a database; undefined makes it depend on the nodes again. */
  setHealth(key: string, health: Health | undefined): void
  /** Calls the listener after `setHealth`. Returns a function that unsubscribes. */
  onHealth(listener: (key: string) => void): () => void
  stop(): void
}

/** Watches the pods, StatefulSets and Secrets of the cluster. */
export async function createDatabases(world: World): Promise<Databases> {
  const pods = indexBy(await world.follow('Pod'), databaseKey)
  const sets = indexBy(await world.follow('StatefulSet'), databaseKey)
  const secrets = await world.follow('Secret')
  const databases = await world.follow('CrateDB')
  const states = new Map<string, DatabaseState>()
  const disks = await createDisks(world)
  const listeners = new Set<(key: string) => void>()
  const buckets = new Map<string, Bucket>()
  const forget = databases.subscribe(({ type, key }) => {
    if (type !== 'removed') return
    disks.keep(key, states.get(key))
    states.delete(key)
  })

  function state(key: string): DatabaseState {
    let found = states.get(key)
    if (!found) {
      found = disks.find(key) ?? freshState()
      states.set(key, found)
    }
    return found
  }

  function nodes(key: string): DatabaseNode[] {
    const name = key.slice(key.indexOf('/') + 1)
    return pods
      .of(key)
      .filter((pod) => pod.metadata.labels?.['app.kubernetes.io/component'] === 'cratedb' && isReady(pod))
      .map((pod) => ({
        // crate-data-hot-<name>-0 runs the node data-hot-0
        name: pod.metadata.name.slice('crate-'.length).replace(`-${name}-`, '-'),
        version: versionOf(pod),
        hostname: pod.spec.nodeName ?? '',
        isMaster: pod.metadata.labels?.['cloud.crate.io/node-name'] === 'master',
        pod,
      }))
      .sort((a, b) => a.name.localeCompare(b.name))
  }

  /** Nodes that can be elected as master: the dedicated ones, or those of the first data group (handle_create_cratedb.py). */
  function isEligible(key: string): (node: DatabaseNode) => boolean {
    const { data = [], master } = databases.get(key)?.spec?.nodes ?? {}
    if (master) return ({ isMaster }) => isMaster
    const first = data[0]?.name
    return ({ pod }) => first === undefined || pod.metadata.labels?.['cloud.crate.io/node-name'] === first
  }

  function expectedNodes(key: string): number {
    return sets.of(key).reduce((sum, { spec }) => sum + (spec.replicas ?? 0), 0)
  }

  return {
    state,
    nodes,
    expectedNodes,
    health(key) {
      const present = nodes(key)
      if (!present.some(({ isMaster }) => !isMaster) || !present.some(isEligible(key))) return 'UNREACHABLE'
      return states.get(key)?.health ?? (present.length < expectedNodes(key) ? 'YELLOW' : 'GREEN')
    },
    systemPassword(key) {
      const [namespace, name] = key.split('/')
      const data = secrets.get(`${namespace}/user-system-${name}`)?.data?.password
      return data === undefined ? undefined : Buffer.from(data, 'base64').toString()
    },
    hasTls: (key) => databases.get(key)?.spec?.cluster?.ssl !== undefined,
    bucket(name) {
      const found = buckets.get(name) ?? { fault: undefined, folders: new Map() }
      buckets.set(name, found)
      return found
    },
    setHealth(key, health) {
      state(key).health = health
      for (const listener of listeners) listener(key)
    },
    onHealth(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    stop() {
      forget()
      disks.stop()
      pods.stop()
      sets.stop()
    },
  }
}

/** The contents of volumes that outlive their database: a database that gets these volumes has these contents. */
async function createDisks(world: World) {
  const claims = await world.follow('PersistentVolumeClaim')
  const written = new Map<string, DatabaseState>()
  const volumes = new Map<string, Set<string>>()
  const stop = claims.subscribe(({ type, object }) => {
    const key = databaseKey(object)
    if (key === undefined || object.spec.volumeName === undefined) return
    // The claims of a deleted database go after it: the next one of its name has others.
    if (type === 'removed') volumes.get(key)?.delete(object.spec.volumeName)
    else volumes.set(key, (volumes.get(key) ?? new Set()).add(object.spec.volumeName))
  })
  return {
    keep(key: string, state: DatabaseState | undefined) {
      if (state) for (const volume of volumes.get(key) ?? []) written.set(volume, { ...state, health: undefined, statements: [] })
      volumes.delete(key)
    },
    find: (key: string) => [...(volumes.get(key) ?? [])].map((volume) => written.get(volume)).find((state) => state !== undefined),
    stop,
  }
}

function freshState(): DatabaseState {
  return {
    ...freshRepositories(),
    settings: { persistent: new Map(), transient: new Map() },
    users: new Map([['crate', {}]]),
    privileges: [],
    snapshotStatement: undefined,
    snapshots: undefined,
    repositories: [],
    health: undefined,
    statements: [],
  }
}

/** Whether a pod is ready and not being deleted. */
export function isReady(pod: KubernetesObject): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false
  return (pod.status?.conditions ?? []).some(({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True')
}

/** The version of a pod, from the tag of its image. */
function versionOf(pod: KubernetesObject): string {
  const crate = pod.spec.containers.find(({ name }: { name: string }) => name === 'crate')
  return (
    String(crate?.image ?? '')
      .split(':')
      .at(-1) ?? ''
  )
}

/** Every kind of privilege on the whole cluster, as GRANT ALL PRIVILEGES grants. */
export function grantAll(state: DatabaseState, grantee: string, grantor: string): void {
  for (const type of ['DQL', 'DML', 'DDL', 'AL']) grant(state, { state: 'GRANT', type, class: 'CLUSTER', ident: null, grantee, grantor })
}

/** Records a privilege. It replaces an earlier one on the same object. */
export function grant(state: DatabaseState, privilege: DatabaseState['privileges'][number]): void {
  const { type, class: level, ident, grantee } = privilege
  state.privileges = state.privileges.filter(
    (each) => !(each.type === type && each.class === level && each.ident === ident && each.grantee === grantee),
  )
  state.privileges.push(privilege)
}
