import { createHash } from 'node:crypto'
import { asProblem, isProblem, type Problem } from '../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { nextRun, parseCron } from '../backups/cron.ts'
import { type BackupState, backupStatePatch, readBackupState, shortened } from '../backups/state.ts'
import type { Journal } from '../operations/journal.ts'
import type { Requests } from '../operations/own-request.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { readOperatorRun } from '../resources/cratedb-run.ts'
import { type DatabaseTarget, describeTarget, projectOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { hasEnded, isRehearsal, type Operation, phaseOf, targetKey } from '../resources/operation.ts'
import { lookWhileLeading } from './leading-look.ts'

/** Who asks, in the ledger. No identity of a caller contains a blank. */
const requestedBy = 'schedule of Skerry'

/** Between two looks at what is due, in milliseconds. */
const usualTickMs = 30_000

/** After a rehearsal that gave way to another request, and after a refusal that passes, in milliseconds. */
const againMs = { superseded: 60 * 60_000, refused: 10 * 60_000 }

/** Refusals in a row after which one that usually passes is recorded too. */
const patience = 3

/** Rehearsals that are due at the same moment are spread over this time, in milliseconds: a region has one at a time. */
const spreadMs = 60 * 60_000

export type RehearsalScheduleParts = LeaderTools & {
  caches: Pick<Caches, 'databases'>
  journal: Pick<Journal, 'all'>
  requests: Requests
  /** The clock that is never ahead of another known one: nothing is begun early because one was set wrong. */
  careful: { now(): number }
}

type Rehearsal = NonNullable<BackupState['rehearsal']>
type Scheduled = { target: DatabaseTarget; object: KubernetesObject; cron: string | undefined; rehearsal: Rehearsal }

/**
 * The leader's part that begins rehearsals when they are due, one at a time: each is an entry of the ledger, as if somebody had asked for it. What
 * was missed is caught up with one. A refusal that does not pass, such as a quota without room, is recorded as a failure.
 */
export function createRehearsalSchedule({ tickMs = usualTickMs }: { tickMs?: number }, parts: RehearsalScheduleParts): Part {
  const { lease } = parts
  const log = parts.log.child({ controller: 'rehearsal schedule' })
  /** By uid: not before this moment. */
  const notBefore = new Map<string, number>()
  /** By uid: how often it was refused in a row. */
  const refusals = new Map<string, number>()

  async function look(): Promise<void> {
    const now = parts.careful.now()
    const all = [...parts.caches.databases.values()].flatMap((object) => scheduledOf(object) ?? [])
    for (const each of all) if (each.rehearsal.schedule?.cron !== each.cron) await noteBeginning(each, now)
    const rehearsals = parts.journal.all().filter(isRehearsal)
    if (rehearsals.some((each) => !hasEnded(each))) return
    const due = all
      .flatMap((each) => {
        const last = rehearsals.findLast(({ spec }) => targetKey(spec.target) === targetKey(each.target))
        const at = dueAt(each, last, now)
        return at === undefined || at > now ? [] : [{ each, at, last }]
      })
      .filter(({ each }) => (notBefore.get(each.object.metadata.uid ?? '') ?? 0) <= now)
      .sort((a, b) => a.at - b.at)
    const [first] = due
    if (first && lease.isLeader()) await begin(first.each, first.at, first.last, now)
  }

  async function begin({ target, object, rehearsal }: Scheduled, at: number, last: Operation | undefined, now: number): Promise<void> {
    const { uid = '' } = object.metadata
    // The same for two replicas that believe that they lead, and another one for each attempt.
    const key = `rehearsal ${uid} ${new Date(at).toISOString()} ${last?.spec.sequence ?? 0}`
    try {
      await parts.requests.accept({ operationId: 'rehearseRestore', target, requestedBy, key })
      refusals.delete(uid)
    } catch (error) {
      notBefore.set(uid, now + againMs.refused)
      const problem = asProblem(error)
      log.warn({ target: describeTarget(target), err: problem }, 'a rehearsal that is due was refused')
      const count = (refusals.get(uid) ?? 0) + 1
      refusals.set(uid, count)
      // The database of the last one is still being deleted, or the cluster does not answer: that passes. That another database has its name does not.
      const mayPass = isProblem(problem, 'wrong-state', 'conflict', 'busy') && count < patience
      if (problem.status >= 500 || mayPass) return
      await noteRefusal(object, rehearsal, problem, now)
      refusals.delete(uid)
    }
  }

  async function noteRefusal(object: KubernetesObject, rehearsal: Rehearsal, { type, detail }: Problem, now: number): Promise<void> {
    const lastFailure = { at: new Date(now).toISOString(), operation: '', reason: reasonOf(type), message: shortened(detail) }
    await write(object, { ...rehearsal, lastFailure })
  }

  /** Since when the schedule counts, where it is new; forgotten where it is gone. */
  async function noteBeginning({ object, cron, rehearsal }: Scheduled, now: number): Promise<void> {
    const { schedule: _, ...others } = rehearsal
    await write(object, { ...others, ...(cron !== undefined && { schedule: { cron, since: new Date(now).toISOString() } }) })
  }

  /** Not in the middle of a run of the operator, which an edit would break; then at a later look. */
  async function write(object: KubernetesObject, rehearsal: Rehearsal): Promise<void> {
    if (readOperatorRun(object).state !== 'ended' || !lease.isLeader()) return
    const { namespace, name } = object.metadata
    const path = pathOf(kinds.CrateDB, namespace, name)
    await mergePatch(parts.cluster, path, backupStatePatch(object, { rehearsal }), { fieldManager }).catch((error: unknown) => {
      log.debug({ database: name, err: error }, 'the state of rehearsals is noted later')
    })
  }

  return lookWhileLeading({ name: 'rehearsal schedule', what: 'due rehearsals', tickMs, look }, { lease, clock: parts.clock, log })
}

/** Undefined for a database that has no schedule of rehearsals and had none. */
function scheduledOf(object: KubernetesObject): Scheduled | undefined {
  const { namespace = '', name, deletionTimestamp } = object.metadata
  const project = projectOf(namespace)
  if (project === undefined || deletionTimestamp !== undefined) return undefined
  const cron = readDatabase(object).snapshots?.rehearse
  const { rehearsal = {} } = readBackupState(object)
  if (cron === undefined && rehearsal.schedule === undefined) return undefined
  return { target: { kind: 'database', project, database: name }, object, cron, rehearsal }
}

/** When the next rehearsal is due, in Unix milliseconds; undefined if none is. @param last the newest in the ledger, whoever asked for it */
function dueAt({ object, cron, rehearsal }: Scheduled, last: Operation | undefined, now: number): number | undefined {
  const { schedule, lastSuccess, lastFailure } = rehearsal
  const parsed = cron === undefined ? undefined : parseCron(cron)
  if (!parsed || !schedule || schedule.cron !== cron) return undefined
  const known = [schedule.since, lastSuccess?.at, lastFailure?.at, last?.spec.acceptedAt].flatMap((at) =>
    at === undefined ? [] : Date.parse(at),
  )
  // After a clock was set back, runs count from now on.
  const due = nextRun(parsed, Math.min(now, Math.max(...known)))
  const regular = due === undefined ? undefined : due + spread(object.metadata.uid ?? '')
  if (last === undefined || phaseOf(last) !== 'Superseded') return regular
  return Math.min(regular ?? Number.POSITIVE_INFINITY, Date.parse(last.status?.endedAt ?? '') + againMs.superseded)
}

/** Always the same for a database. */
function spread(uid: string): number {
  return createHash('sha256').update(uid).digest().readUInt32BE(0) % spreadMs
}

/** `quota-exceeded` as `QuotaExceeded`. */
function reasonOf(type: string): string {
  return type.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
