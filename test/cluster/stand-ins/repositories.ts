import { randomUUID } from 'node:crypto'
import type { DatabaseState, Databases } from './databases.ts'
import type { Bucket, BucketFault, RunningSnapshot, StoredSnapshot } from './repository-state.ts'
import { type Session, SqlError } from './sql-error.ts'

/* Repositories and snapshots as CrateDB has them. Each answer is that of a fact in cratedb-facts.md. */

/** What `sys.repositories` shows in place of a masked setting (org.elasticsearch.common.settings.Settings.MASKED_VALUE). */
const masked = '[xxxxx]'
const maskedSettings = ['access_key', 'secret_key']

/** The settings of an S3 repository, and the release since which there is each; the others are in every release that the operator runs. */
const s3Settings: Record<string, string | undefined> = {
  ...Object.fromEntries(
    ['access_key', 'secret_key', 'base_path', 'bucket', 'buffer_size', 'chunk_size', 'compress', 'server_side_encryption', 'endpoint']
      .concat(['protocol', 'max_retries', 'use_throttle_retries', 'readonly', 'storage_class'])
      .concat(['max_restore_bytes_per_sec', 'max_snapshot_bytes_per_sec'])
      .map((name) => [name, '0.0.0']),
  ),
  use_path_style_access: '5.7.0',
  region: '6.3.0',
}

/** Whether a release is at least another one. */
function isSince(version: string, since: string): boolean {
  const [is, wants] = [version.split('.').map(Number), since.split('.').map(Number)]
  const first = wants.findIndex((part, index) => part !== is[index])
  return first < 0 || (is[first] ?? 0) > (wants[first] ?? 0)
}

/** The release of the oldest node. */
function releaseOf({ databases, key }: Session): string {
  const versions = databases.nodes(key).map(({ version }) => version)
  return versions.sort((a, b) => (isSince(a, b) ? 1 : -1))[0] ?? '0.0.0'
}

/** @throws SqlError unless the user may change the cluster */
export function mustHaveDdl({ user }: Session, { privileges }: DatabaseState): void {
  const may = privileges.some((each) => each.grantee === user && each.state === 'GRANT' && each.type === 'DDL' && each.class === 'CLUSTER')
  if (!may && user !== 'crate') throw new SqlError(4011, `MissingPrivilegeException[Missing 'DDL' privilege for user '${user}']`)
}

/** @throws SqlError if there is none */
export function repository(state: DatabaseState, name: string) {
  const found = state.registered.get(name)
  if (!found) throw new SqlError(4047, `RepositoryMissingException[[${name}] missing]`)
  return found
}

/** The bucket of a repository, and what is in its folder. */
export function folderOf(
  databases: Databases,
  { settings }: { settings: Record<string, string> },
): { bucket: Bucket; snapshots: StoredSnapshot[] } {
  const bucket = databases.bucket(settings.bucket ?? '')
  const path = settings.base_path ?? ''
  const snapshots = bucket.folders.get(path) ?? []
  bucket.folders.set(path, snapshots)
  return { bucket, snapshots }
}

/** What the store says through CrateDB. */
export function storeSays(fault: BucketFault, settings: Record<string, string>): string {
  if (fault === 'unreachable')
    return `SdkClientException 'Unable to execute HTTP request: Connect to ${settings.endpoint ?? 's3.amazonaws.com'} failed: connect timed out'`
  const code = fault === 'denied' ? 'InvalidAccessKeyId' : 'AccessDenied'
  const said = fault === 'denied' ? `<AWSAccessKeyId>${settings.access_key}</AWSAccessKeyId>` : 'Access Denied'
  return `AmazonS3Exception '${said} (Service: Amazon S3; Status Code: 403; Error Code: ${code}; Request ID: 1; Proxy: null)'`
}

/** `CREATE REPOSITORY`: registers it, verifies it on each node, and removes it again if one cannot write. */
export async function createRepository(name: string, type: string, settings: Record<string, string>, session: Session): Promise<void> {
  const { databases, key } = session
  const state = databases.state(key)
  mustHaveDdl(session, state)
  if (state.registered.has(name)) throw new SqlError(4095, `RepositoryAlreadyExistsException[Repository '${name}' already exists]`)
  const release = releaseOf(session)
  for (const setting of Object.keys(settings)) {
    const since = type === 's3' ? s3Settings[setting] : '0.0.0'
    if (since === undefined || !isSince(release, since))
      throw new SqlError(4000, `SQLParseException[Setting '${setting}' is not supported]`)
  }
  if (type === 's3' && !settings.bucket) throw new SqlError(5000, `RepositoryException[[${name}] No bucket defined for s3 repository]`)
  state.registered.set(name, { type, settings })
  while (state.verificationHeld) await new Promise((resolve) => setTimeout(resolve, 5))
  const { fault } = databases.bucket(settings.bucket ?? '')
  const isEnough = fault === undefined || (fault === 'read-only' && settings.readonly === 'true')
  if (isEnough || type !== 's3') return
  state.registered.delete(name)
  const how = `[${name}] Unable to verify the repository, [${name}] is not accessible on master node: ${storeSays(fault, settings)}`
  throw new SqlError(isSince(release, '6.2.0') ? 5006 : 5000, `RepositoryVerificationException[${how}]`)
}

/** `DROP REPOSITORY`: what is in the bucket stays. */
export function dropRepository(name: string, session: Session): void {
  const state = session.databases.state(session.key)
  mustHaveDdl(session, state)
  repository(state, name)
  settle(session)
  if ([...state.running, ...state.restores].some((each) => each.repository === name))
    throw new SqlError(5000, 'IllegalStateException[trying to modify or unregister repository that is currently used]')
  state.registered.delete(name)
}

/** `CREATE SNAPSHOT … ALL`: answers when it has begun. */
export function createSnapshot(repositoryName: string, name: string, session: Session): void {
  const { databases, key } = session
  const state = databases.state(key)
  mustHaveDdl(session, state)
  const { settings } = repository(state, repositoryName)
  settle(session)
  const { bucket, snapshots } = folderOf(databases, { settings })
  const at = `[${repositoryName}:${name}]`
  if (settings.readonly === 'true')
    throw new SqlError(5000, `RepositoryException[[${repositoryName}] cannot create snapshot in a readonly repository]`)
  if (bucket.fault === 'unreachable' || bucket.fault === 'denied')
    throw new SqlError(
      5000,
      `RepositoryException[[${repositoryName}] could not read repository data from index blob: ${storeSays(bucket.fault, settings)}]`,
    )
  const taken = (how: string) =>
    new SqlError(4096, `InvalidSnapshotNameException[${at} Invalid snapshot name [${name}], snapshot with the same name ${how}]`)
  if (snapshots.some((each) => each.name === name)) throw taken('already exists')
  const release = releaseOf(session)
  if (state.running.length > 0 && !isSince(release, '5.2.0'))
    throw new SqlError(5000, `ConcurrentSnapshotExecutionException[${at}  a snapshot is already running]`)
  if (state.running.some((each) => each.repository === repositoryName && each.name === name)) throw taken('is already in-progress')
  if (databases.health(key) === 'RED') throw new SqlError(5000, `SnapshotException[${at} Indices don't have primary shards [readings]]`)
  const tables = [...state.tables].map(([table, { restored: _, ...each }]) => ({ name: table, ...each }))
  const now = Date.now()
  state.running.push({
    id: randomUUID(),
    name,
    repository: repositoryName,
    tables,
    started: now,
    version: release,
    due: now + state.behaviour.ms,
  })
}

/** `DROP SNAPSHOT`: one that is being taken is aborted first. A pattern matches several, which is why names are checked before. */
export function dropSnapshot(repositoryName: string, name: string, session: Session): void {
  const { databases, key } = session
  const state = databases.state(key)
  mustHaveDdl(session, state)
  const { settings } = repository(state, repositoryName)
  settle(session)
  const { bucket, snapshots } = folderOf(databases, { settings })
  if (bucket.fault !== undefined)
    throw new SqlError(5000, `RepositoryException[[${repositoryName}] Failed to delete: ${storeSays(bucket.fault, settings)}]`)
  const pattern = new RegExp(`^${name.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)
  const running = state.running.filter((each) => each.repository === repositoryName && pattern.test(each.name))
  const stored = snapshots.filter((each) => pattern.test(each.name))
  if (running.length + stored.length === 0 && !name.includes('*'))
    throw new SqlError(4048, `SnapshotMissingException[[${repositoryName}:${name}] is missing]`)
  state.running = state.running.filter((each) => !running.includes(each))
  snapshots.splice(0, snapshots.length, ...snapshots.filter((each) => !stored.includes(each)))
}

/** Ends the snapshots whose time is up. */
function settle({ databases, key }: Session): void {
  const state = databases.state(key)
  const { held, ends, failures, reason } = state.behaviour
  if (held) return
  for (const { due, repository: of, ...snapshot } of state.running.filter(({ due }) => due <= Date.now())) {
    const registered = state.registered.get(of)
    if (registered) folderOf(databases, registered).snapshots.push({ ...snapshot, finished: Date.now(), state: ends, failures, reason })
  }
  state.running = state.running.filter(({ due }) => due > Date.now())
}

type Row = Record<string, unknown>

/** `sys.repositories`, with masked keys. */
export function repositoryRows({ databases, key }: Session): Row[] {
  return [...databases.state(key).registered].map(([name, { type, settings }]) => ({
    name,
    type,
    settings: Object.fromEntries(Object.entries(settings).map(([each, value]) => [each, maskedSettings.includes(each) ? masked : value])),
  }))
}

function partitionOf(table: string, values: Record<string, string>) {
  const [schema, name] = table.split('.')
  return { table_schema: schema, table_name: name, values: Object.values(values) }
}

/** `sys.snapshots`: those of repositories that can be read, and since 5.7.3 those that are being taken. */
export function snapshotRows(session: Session): Row[] {
  settle(session)
  const { databases, key } = session
  const { registered, running } = databases.state(key)
  const release = releaseOf(session)
  const common = ({ id, name, tables, started, version }: Omit<RunningSnapshot, 'due' | 'repository'>, repositoryName: string) => ({
    ...(isSince(release, '5.9.0') && { id }),
    name,
    repository: repositoryName,
    concrete_indices: tables.map((table) => table.name),
    tables: tables.map((table) => table.name),
    table_partitions: tables.flatMap(({ name: table, partitions = [] }) => partitions.map((values) => partitionOf(table, values))),
    started,
    version,
    ...(isSince(release, '5.9.0') && {
      total_shards: tables.reduce((sum, { shards, partitions }) => sum + shards * (partitions?.length ?? 1), 0),
      include_global_state: true,
    }),
  })
  const later = (reason: string | null) => (isSince(release, '5.9.0') ? { reason } : {})
  return [
    ...[...registered].flatMap(([name, each]) => {
      if (each.type !== 's3') return []
      const { bucket, snapshots } = folderOf(databases, each)
      if (bucket.fault === 'unreachable' || bucket.fault === 'denied') return []
      return snapshots.map(({ finished, state, failures, reason, ...snapshot }) => ({
        ...common(snapshot, name),
        finished,
        state,
        failures,
        ...later(reason),
      }))
    }),
    ...(isSince(release, '5.7.3')
      ? running.map((each) => ({ ...common(each, each.repository), finished: 0, state: 'IN_PROGRESS', failures: [], ...later(null) }))
      : []),
  ]
}

/** The columns of `sys.snapshots` in a release. */
export function snapshotColumns(session: Session): string[] {
  const all = [
    'name',
    'repository',
    'concrete_indices',
    'tables',
    'table_partitions',
    'started',
    'finished',
    'version',
    'state',
    'failures',
  ]
  return isSince(releaseOf(session), '5.9.0') ? [...all, 'id', 'reason', 'total_shards', 'include_global_state'] : all
}
