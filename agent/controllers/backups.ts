import { type KubernetesObject, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../shared/kubernetes/patch.ts'
import type { Part } from '../../shared/lifecycle.ts'
import { type Cron, parseCron } from '../backups/cron.ts'
import { type Known, type LastBackup, nextBackup, runAt } from '../backups/due.ts'
import { backupStatePatch, readBackupState } from '../backups/state.ts'
import { proposeBackup } from '../operations/deciding/backup.ts'
import type { DecisionParts } from '../operations/deciding/decision.ts'
import { databaseOfRequest } from '../operations/deciding/present.ts'
import type { Journal } from '../operations/journal.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { readDatabase } from '../resources/cratedb.ts'
import { readOperatorRun } from '../resources/cratedb-run.ts'
import { type DatabaseTarget, describeTarget, projectOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { hasEnded, phaseOf, targetKey } from '../resources/operation.ts'
import { lookWhileLeading } from './leading-look.ts'

/** Who asks, in the ledger. No identity of a caller contains a blank. */
const requestedBy = 'schedule of Skerry'

/** Between two looks at what is due, in milliseconds. */
const usualTickMs = 10_000

/** How much is begun at one look: after an outage, what was missed comes back over minutes. */
const mostAtOnce = 10

/** Pause after a request that was refused, the first time and the longest, in milliseconds. */
const refusedMs = { first: 60_000, longest: 60 * 60_000 }

/** A database with a schedule. */
type Scheduled = { target: DatabaseTarget; uid: string; object: KubernetesObject; schedule: string | undefined; cron: Cron | undefined }

/** What is planned for a database, as long as what it was planned from is the same, and the clock was not set back behind the moment of that. */
type Planned = { from: string; made: number; at: number; refusals: number }

export type BackupScheduleParts = LeaderTools & {
  caches: Pick<Caches, 'databases'>
  journal: Pick<Journal, 'accept' | 'all' | 'unended'>
  deciding: DecisionParts
  /** The clock that is never ahead of another known one: nothing is begun early because one was set wrong. */
  careful: { now(): number }
}

/**
 * The leader's part that begins backups when they are due: each is an entry of the ledger, as if somebody had asked for it. Nothing that it remembers
 * is needed by the next leader: the CrateDB says since when its schedule counts, and the ledger which run was the last.
 */
export function createBackupSchedule({ tickMs = usualTickMs }: { tickMs?: number }, parts: BackupScheduleParts): Part {
  const log = parts.log.child({ controller: 'backup schedule' })
  const schedule = new BackupSchedule(parts, log)
  const look = (signal: AbortSignal) => schedule.look(signal)
  return lookWhileLeading({ name: 'backup schedule', what: 'due backups', tickMs, look }, { ...parts, log })
}

class BackupSchedule {
  readonly #parts: BackupScheduleParts
  readonly #log: LeaderTools['log']
  /** By uid. */
  readonly #planned = new Map<string, Planned>()
  /** What a version of a CrateDB says. */
  readonly #read = new WeakMap<KubernetesObject, Scheduled>()

  constructor(parts: BackupScheduleParts, log: LeaderTools['log']) {
    this.#parts = parts
    this.#log = log
  }

  /** Begins what is due, the longest overdue first. */
  async look(signal: AbortSignal): Promise<void> {
    const all = [...this.#parts.caches.databases.values()].flatMap((object) => this.#scheduled(object) ?? [])
    const uids = new Set(all.map(({ uid }) => uid))
    for (const uid of this.#planned.keys()) if (!uids.has(uid)) this.#planned.delete(uid)
    await this.#setBeginnings(all, signal)
    const last = this.#lastBackups()
    const now = this.#parts.careful.now()
    const due = all
      .flatMap((database) => this.#due(database, last.get(targetKey(database.target)), now) ?? [])
      .sort((a, b) => a.at - b.at)
      .slice(0, mostAtOnce)
    for (const each of due) {
      if (signal.aborted || !this.#parts.lease.isLeader()) return
      await this.#begin(each, now)
    }
  }

  #scheduled(object: KubernetesObject): Scheduled | undefined {
    const known = this.#read.get(object)
    if (known) return known
    const { namespace = '', name, uid = '', deletionTimestamp } = object.metadata
    const project = projectOf(namespace)
    if (project === undefined || deletionTimestamp !== undefined) return undefined
    const { snapshots, suspended } = readDatabase(object)
    // A suspended one is as one without: what it misses is caught up when it runs again.
    const schedule = snapshots?.schedule
    if (schedule === undefined && readBackupState(object).schedule === undefined) return undefined
    const cron = schedule === undefined || suspended ? undefined : parseCron(schedule)
    const scheduled = { target: { kind: 'database' as const, project, database: name }, uid, object, schedule, cron }
    this.#read.set(object, scheduled)
    return scheduled
  }

  /** Notes since when a schedule counts, where it is new, and forgets one that is gone. */
  async #setBeginnings(all: readonly Scheduled[], signal: AbortSignal): Promise<void> {
    const { cluster, careful, lease } = this.#parts
    const open = all.filter(({ object, schedule }) => readBackupState(object).schedule?.cron !== schedule)
    // An edit in the middle of a run of the operator would break that (see recordBackupState).
    const free = open.filter(({ object }) => readOperatorRun(object).state === 'ended').slice(0, mostAtOnce)
    for (const { object, schedule, target } of free) {
      if (signal.aborted || !lease.isLeader()) return
      const since = new Date(careful.now()).toISOString()
      const change = backupStatePatch(object, { schedule: schedule === undefined ? undefined : { cron: schedule, since, set: since } })
      const path = pathOf(kinds.CrateDB, object.metadata.namespace, target.database)
      await mergePatch(cluster, path, change, { fieldManager }).catch((error: unknown) => {
        this.#log.debug({ target: describeTarget(target), err: error }, 'the beginning of a schedule is noted later')
      })
    }
  }

  /** The newest backup of each database's schedule, by the key of its target. */
  #lastBackups(): Map<string, LastBackup & { schedule: unknown }> {
    const last = new Map<string, LastBackup & { schedule: unknown }>()
    for (const operation of this.#parts.journal.all()) {
      const { action, target, parameters, sequence } = operation.spec
      const due = Date.parse(String(parameters?.due))
      if (action !== 'backup' || Number.isNaN(due)) continue
      const failed = hasEnded(operation) && phaseOf(operation) === 'Failed' ? Date.parse(operation.status?.endedAt ?? '') : undefined
      last.set(targetKey(target), { sequence, due, failedAt: failed, schedule: parameters?.schedule })
    }
    return last
  }

  #due(
    database: Scheduled,
    newest: (LastBackup & { schedule: unknown }) | undefined,
    now: number,
  ): (Known & Scheduled & { at: number }) | undefined {
    const { cron, object, uid, schedule, target } = database
    const state = readBackupState(object)
    if (!cron || !state.schedule || state.schedule.cron !== schedule) return undefined
    const last = newest?.schedule === schedule ? newest : undefined
    const known = { uid, cron, since: Date.parse(state.schedule.since), state, last }
    const from = [schedule, known.since, last?.sequence, last?.failedAt, state.failures].join(' ')
    let planned = this.#planned.get(uid)
    if (planned?.from !== from || now < planned.made) {
      planned = { from, made: now, at: nextBackup(known, now) ?? Number.POSITIVE_INFINITY, refusals: 0 }
      this.#planned.set(uid, planned)
    }
    if (planned.at > now || this.#parts.journal.unended(target).some(({ spec }) => spec.action === 'backup')) return undefined
    return { ...database, ...known, cron, at: planned.at }
  }

  async #begin({ target, uid, schedule = '', cron, since, last }: Known & Scheduled & { cron: Cron }, now: number): Promise<void> {
    const { journal, deciding } = this.#parts
    const due = new Date(runAt({ cron, since, last }, now)).toISOString()
    // The same for two replicas that believe that they lead, and another one for each attempt.
    const key = `backup ${uid} ${due} ${last?.sequence ?? 0}`
    const decide = () => {
      const present = databaseOfRequest(deciding, { target, guard() {} })
      return { action: 'backup', target, tryOut: [], ...proposeBackup(deciding, present, { run: { schedule, due } }) }
    }
    try {
      await journal.accept({ target, requestedBy, requestId: key, idempotencyKey: key, canonical: key, decide })
    } catch (error) {
      const planned = this.#planned.get(uid)
      if (!planned) return
      planned.at = now + Math.min(refusedMs.longest, refusedMs.first * 2 ** planned.refusals)
      planned.refusals += 1
      this.#log.warn({ target: describeTarget(target), err: error }, 'a backup that is due was refused, trying again')
    }
  }
}
