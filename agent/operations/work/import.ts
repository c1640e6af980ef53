import canonicalize from 'canonicalize'
import { asProblem, type Problem } from '../../../shared/errors.ts'
import { type ImportItem, unpackItems } from '../../region-file/import/pieces.ts'
import type { DatabaseTarget, ProjectTarget, RegionTarget } from '../../resources/kind.ts'
import { hasEnded, type Operation, phaseOf, piecesOf, type StepRecord } from '../../resources/operation.ts'
import { readProject } from '../../resources/project.ts'
import type { Progress, WorkContext } from './context.ts'

/**
 * How many operations an import has open at once. Most of them wait for Kubernetes, not for the agent; more would take the workers of
 * others.
 */
export const importedAtOnce = 50

/** How many items are asked for before the progress is recorded. */
const askedAtOnce = 100

/** How many failures the result names. */
const mostNamed = 50

/** A pause between two looks at the open operations, in milliseconds. Their ends also wake the import. */
const recheckMs = 1_000

/** What an operation is about. `deleted` is the id of a deleted database. */
type Place = { project: string; database?: string; deleted?: string }
type Child = Place & { operation: string }
type Failure = Place & { operation?: string; reason: string; message: string }
type Counts = { made: number; unchanged: number; failed: number }

/** How far an import has come. It is recorded after what it says was asked for: a request that is repeated meets its own entry. */
type ImportNote = {
  /** The next item: its piece, and its place in it. */
  piece: number
  item: number
  open: Child[]
  projects: Counts
  databases: Counts
  deleted: Counts
  failures: Failure[]
}

type Context = WorkContext<RegionTarget>

/** Asks for the projects of a region file, then for its databases, a bounded number at a time, and follows them to their end. */
export async function advanceImport(context: Context): Promise<Progress> {
  const { step } = context.operation.status ?? {}
  if (!step) {
    const none = { made: 0, unchanged: 0, failed: 0 }
    const note: ImportNote = { piece: 0, item: 0, open: [], projects: none, databases: none, deleted: none, failures: [] }
    await context.begin('import', note)
    return { next: 'again' }
  }
  const before = step.note as ImportNote
  const looked = await lookAtOpen(context, before)
  const { note, isAll } = await askForMore(context, looked)
  if (note !== before) await recordProgress(context, step, note)
  if (isAll && note.open.length === 0) return finish(context, note)
  const isMoving = !isAll && note.open.length < importedAtOnce && note.open.every(({ database }) => database !== undefined)
  return isMoving ? { next: 'again' } : { next: 'wait', message: progressOf(context.operation, note), recheckMs }
}

/** Counts the operations that have ended. The watch says so; only one that it does not know is read. */
async function lookAtOpen(context: Context, note: ImportNote): Promise<ImportNote> {
  const { namespace } = context.options
  const read = ({ operation: name }: Child) =>
    context.known(name) ?? (context.cluster.read({ kind: 'Operation', namespace, name }) as Promise<Operation | undefined>)
  const found = await Promise.all(note.open.map(read))
  let next = note
  for (const [index, child] of note.open.entries()) {
    const operation = found[index]
    if (operation && !hasEnded(operation)) continue
    next = { ...next, open: next.open.filter((other) => other !== child) }
    if (operation && phaseOf(operation) === 'Succeeded') next = counted(next, child, 'made')
    else next = failed(next, child, outcomeOf(operation))
  }
  return next
}

function outcomeOf(operation: Operation | undefined): { reason: string; message: string } {
  const { reason = 'Gone', message = 'Its operation is no longer kept.' } = operation?.status ?? {}
  return { reason, message }
}

/** Asks for the next items, as many as may be open. */
async function askForMore(context: Context, note: ImportNote): Promise<{ note: ImportNote; isAll: boolean }> {
  const pieces = piecesOf(context.operation.spec)
  let next = note
  let items: ImportItem[] | undefined
  for (let asked = 0; asked < askedAtOnce && next.open.length < importedAtOnce; ) {
    if (next.piece >= pieces) return { note: next, isAll: true }
    items ??= await unpackItems(await context.piece(next.piece))
    const item = items[next.item]
    if (item === undefined) {
      next = { ...next, piece: next.piece + 1, item: 0 }
      items = undefined
      continue
    }
    // A database needs the namespace of its project.
    if (item.kind !== 'project' && next.open.some(({ database }) => database === undefined)) break
    next = { ...(await ask(context, next, item)), item: next.item + 1 }
    asked++
  }
  return { note: next, isAll: next.piece >= pieces }
}

async function ask(context: Context, note: ImportNote, item: ImportItem): Promise<ImportNote> {
  const place = placeOf(item)
  if (item.kind !== 'project' && item.obstacles.length > 0)
    return failed(note, place, { reason: 'Refused', message: item.obstacles.map(({ message }) => message).join('; ') })
  try {
    const operation = await askFor(context, item)
    if (operation === undefined) return counted(note, place, 'unchanged')
    return { ...note, open: [...note.open, { ...place, operation: operation.metadata.name }] }
  } catch (error) {
    const problem = asProblem(error)
    if (!isRefusal(problem)) throw error
    return failed(note, place, { reason: problem.type, message: whyOf(problem) })
  }
}

/** Nobody has written the request in which the faults have their paths. */
function whyOf({ faults = [], detail }: Problem): string {
  const all = faults.map((fault) => ('path' in fault && fault.path !== '' ? `${fault.path} ${fault.message}` : fault.message))
  return all.length > 0 ? all.join('; ') : detail
}

/** Whether a problem is about this item alone, and not about the cluster at this moment. */
function isRefusal({ type, retry }: Problem): boolean {
  return retry === 'never'
    ? type !== 'internal'
    : ['wrong-state', 'quota-exceeded', 'protected', 'not-empty', 'cluster-forbidden'].includes(type)
}

function placeOf(item: ImportItem): Place {
  if (item.kind === 'project') return { project: item.spec.id }
  if (item.kind === 'database') return { project: item.entry.project, database: item.entry.body.id }
  const { id, record } = item.deletion
  return { project: record.project, database: record.database, deleted: id }
}

function askFor(context: Context, item: ImportItem): Promise<Operation | undefined> {
  if (item.kind === 'project') return askForProject(context, item)
  return item.kind === 'database' ? askForDatabase(context, item) : askToKeep(context, item)
}

/** One that stands with another spec stays as it is. */
async function askForProject(context: Context, { spec }: Extract<ImportItem, { kind: 'project' }>): Promise<Operation | undefined> {
  const target: ProjectTarget = { kind: 'project', project: spec.id }
  const standing = await context.cluster.read({ kind: 'Project', name: spec.id })
  if (standing && canonicalize(readProject(standing)) !== canonicalize(spec)) return undefined
  return context.ask({ operationId: 'putProject', target, body: spec, key: `project ${spec.id}` })
}

function askForDatabase(context: Context, { entry }: Extract<ImportItem, { kind: 'database' }>): Promise<Operation | undefined> {
  const { project, body } = entry
  const target: DatabaseTarget = { kind: 'database', project, database: body.id }
  return context.ask({ operationId: 'reattachDatabase', target, body: entry, key: `database ${project}/${body.id}` })
}

function askToKeep(context: Context, { deletion }: Extract<ImportItem, { kind: 'deletion' }>): Promise<Operation | undefined> {
  const { project, database } = deletion.record
  const target: DatabaseTarget = { kind: 'database', project, database }
  return context.ask({ operationId: 'keepDeletedDatabase', target, body: deletion, key: `deleted ${project}/${deletion.id}` })
}

function counted(note: ImportNote, { database, deleted }: Place, what: keyof Counts): ImportNote {
  const member = database === undefined ? 'projects' : deleted === undefined ? 'databases' : 'deleted'
  return { ...note, [member]: { ...note[member], [what]: note[member][what] + 1 } }
}

function failed(note: ImportNote, place: Child | Place, why: { reason: string; message: string }): ImportNote {
  const failure = { ...place, reason: why.reason, message: why.message.slice(0, 500) }
  const failures = note.failures.length < mostNamed ? [...note.failures, failure] : note.failures
  return { ...counted(note, place, 'failed'), failures }
}

async function recordProgress(context: Context, step: StepRecord, note: ImportNote): Promise<void> {
  const { projects, databases, deleted, failures, open } = note
  const moreFailures = failedIn(note) - failures.length
  const result = { projects, databases, deleted, failures, moreFailures }
  const message = progressOf(context.operation, note)
  await context.record({
    phase: open.length > 0 ? 'Waiting' : 'Applying',
    step: { ...step, note, message },
    result: { import: result },
    message,
  })
}

function failedIn({ projects, databases, deleted }: ImportNote): number {
  return projects.failed + databases.failed + deleted.failed
}

function progressOf({ spec }: Operation, note: ImportNote): string {
  const { databases, open } = note
  const total = Number(spec.parameters?.databases ?? 0)
  const done = databases.made + databases.unchanged
  const failures = failedIn(note)
  const [oldest] = open
  const underWay = oldest
    ? `, ${open.length} ${open.length === 1 ? 'operation is' : 'operations are'} under way (since longest ${oldest.operation})`
    : ''
  return `${done} of ${total} databases are there${underWay}${failures > 0 ? `, ${failures} ${failures === 1 ? 'has' : 'have'} failed` : ''}.`
}

async function finish(context: Context, note: ImportNote): Promise<Progress> {
  const failures = failedIn(note)
  const { made, unchanged } = note.databases
  const told = `${made} ${made === 1 ? 'database was' : 'databases were'} made again, ${unchanged} stood already`
  if (failures > 0) {
    return {
      next: 'failed',
      reason: 'ImportIncomplete',
      message: `${told}, and ${failures} could not be made: see the result.`,
      action: 'Mend what the result names, and import the same file again: it makes only what is missing.',
    }
  }
  await context.finish()
  return {
    next: 'done',
    message: `${told}. Users have the passwords that are in the data: rotate them, so that the Secrets have them too.`,
  }
}
