import type { StoredSnapshot } from '../../cluster/index.ts'
import type { ActionScene } from './actions/scene.ts'

const bucket = 'harbour-snapshots'
const folder = (database: string) => `backups/${database}`

/** The body of a database with backups of Skerry's own. */
export function withSnapshots({ id, ...body }: Record<string, unknown>) {
  const s3 = { bucket, basePath: folder(String(id)), accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
  return { ...body, snapshots: { s3 } }
}

const tables: StoredSnapshot['tables'] = [
  { name: 'doc.readings', rows: 100, shards: 4, sequence: 120 },
  { name: 'doc.months', rows: 7, shards: 2, partitions: [{ month: '1' }, { month: '2' }] },
]

/** Puts a snapshot into the bucket of a database. */
export function snapshotIn({ region }: Pick<ActionScene, 'region'>, database: string, given: Partial<StoredSnapshot>): void {
  const { folders } = region.standIns.database.bucket(bucket)
  const others = (folders.get(folder(database)) ?? []).filter(({ name }) => name !== given.name)
  const started = Date.parse('2026-11-30T03:30:00Z')
  const usual = { id: 'a', name: 'skerry_20261130033000', tables, started, finished: started + 1_000, version: '5.10.1' }
  folders.set(folder(database), [...others, { ...usual, state: 'SUCCESS', failures: [], reason: null, ...given }])
}

/** Gives a database one snapshot of two tables, which the database itself no longer has. */
export function keepSnapshots(scene: Pick<ActionScene, 'region'>, database: string): void {
  snapshotIn(scene, database, {})
}

/** A database without tables, whose restores work. */
export function fresh({ region }: Pick<ActionScene, 'region'>, database: string): void {
  const state = region.standIns.database.state('project-harbour', database)
  state.tables.clear()
  state.statements.length = 0
  Object.assign(state.restoring, { ms: 0, held: false, unallocated: 0 })
}

/** The tables that the snapshot has, in the database itself. */
export function fill({ region }: Pick<ActionScene, 'region'>, database: string): void {
  const state = region.standIns.database.state('project-harbour', database)
  for (const { name, ...table } of tables) state.tables.set(name, table)
}
