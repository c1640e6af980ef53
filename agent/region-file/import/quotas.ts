import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { exceededBeside, type QuotaFacts, type Usage, usageOf } from '../../resources/database-usage.ts'
import type { ProjectSpec } from '../../resources/project.ts'
import type { RetainedSum } from '../../resources/retained-keeping.ts'
import type { ImportedDatabase, ImportObstacle, Judged } from './verdict.ts'

/** What the quotas of the projects of a file depend on. */
export type QuotaScene = {
  /** As it stands, or else as the file has it. */
  project(id: string): ProjectSpec | undefined
  /** Its databases that stand or were accepted. */
  databases(project: string): StoredDatabaseSpec[]
  /** What its deleted databases hold. */
  retained(project: string): RetainedSum
  /** What a deleted database holds that this one is: it comes back. */
  takenBack(entry: ImportedDatabase): RetainedSum | undefined
  heapDumpVolume: QuotaFacts['heapDumpVolume']
}

/** Databases that are judged before others get their turn. */
const perTurn = 50

type Room = { used: Usage; retained: RetainedSum }

/**
 * The same, with those refused for which the quota of their project has no room beside those that stand and those before them in the file: in
 * that order they are made. Others get their turn while there are many.
 */
export async function withinQuotas(judged: readonly Judged[], scene: QuotaScene): Promise<Judged[]> {
  const rooms = new Map<string, Room>()
  const all: Judged[] = []
  for (const each of judged) {
    all.push(withinQuota(each, scene, rooms))
    if (all.length % perTurn === 0) await nextTurn()
  }
  return all
}

/** Takes what it needs from the room of its project, if there is so much. */
function withinQuota(judged: Judged, scene: QuotaScene, rooms: Map<string, Room>): Judged {
  const { entry, verdict } = judged
  const { heapDumpVolume } = scene
  const project = scene.project(entry.project)
  if (project?.quota === undefined || verdict.verdict === 'refused' || verdict.verdict === 'unchanged') return judged
  const room = rooms.get(project.id) ?? {
    used: usageOf(scene.databases(project.id), heapDumpVolume),
    retained: scene.retained(project.id),
  }
  const wanted = { ...entry.body, suspended: false }
  const retained = less(room.retained, scene.takenBack(entry))
  const faults = exceededBeside(room.used, { wanted, current: undefined, project, retained, heapDumpVolume })
  rooms.set(project.id, faults.length > 0 ? room : { used: usageOf([wanted], heapDumpVolume, room.used), retained })
  if (faults.length === 0) return judged
  const obstacles = faults.map(({ message }): ImportObstacle => ({ code: 'quota-exceeded', message }))
  return { ...judged, verdict: { ...verdict, verdict: 'refused', obstacles, notes: [] } }
}

function less(all: RetainedSum, one: RetainedSum | undefined): RetainedSum {
  if (one === undefined) return all
  return { databases: all.databases - one.databases, volumes: all.volumes - one.volumes, bytes: all.bytes - one.bytes }
}
