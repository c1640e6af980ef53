import { FieldSet } from './field-set.ts'
import type { FieldType } from './field-types.ts'
import { compare, fieldsOf, mergeApplied, removeFields } from './merge.ts'
import { equal, type Json, type KubeObject, type ManagedFieldsEntry, timestamp } from './object.ts'
import { ApiError, type Cause } from './status.ts'

/** Who writes, and through which subresource. */
export type Writer = {
  manager: string
  apiVersion: string
  subresource: '' | 'status'
  /** Whether the kind has the subresource `status`. */
  hasStatus: boolean
}

type Managed = Omit<ManagedFieldsEntry, 'fieldsV1' | 'fieldsType'> & { set: FieldSet }

/** Fields without an owner: the server's own. */
const unowned = FieldSet.fromV1({
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': {
    'f:name': {},
    'f:namespace': {},
    'f:uid': {},
    'f:selfLink': {},
    'f:generation': {},
    'f:creationTimestamp': {},
    'f:deletionTimestamp': {},
    'f:deletionGracePeriodSeconds': {},
    'f:resourceVersion': {},
    'f:managedFields': {},
  },
})

/** Sets by their wire form and back, cached because most entries survive many writes unchanged. Neither is changed in place. */
const setOf = new WeakMap<object, FieldSet>()
const formOf = new WeakMap<FieldSet, Record<string, Json>>()

function setFrom(form: Record<string, Json>): FieldSet {
  const set = setOf.get(form) ?? FieldSet.fromV1(form)
  setOf.set(form, set)
  return set
}

function formFrom(set: FieldSet): Record<string, Json> {
  const form = formOf.get(set) ?? set.toV1()
  formOf.set(set, form)
  setOf.set(form, set)
  return form
}

function decode(object: KubeObject | undefined): Managed[] {
  return (object?.metadata.managedFields ?? []).map(({ fieldsV1, fieldsType: _, ...entry }) => ({
    ...entry,
    set: setFrom(fieldsV1 ?? {}),
  }))
}

function encode(entries: Managed[]): ManagedFieldsEntry[] {
  return entries
    .filter((entry) => !entry.set.empty)
    .sort((a, b) => sortKey(a).localeCompare(sortKey(b)))
    .map(({ set, manager, operation, apiVersion, time, subresource }) => ({
      manager,
      operation,
      apiVersion,
      ...(time ? { time } : {}),
      fieldsType: 'FieldsV1',
      fieldsV1: formFrom(set),
      ...(subresource ? { subresource } : {}),
    }))
}

const sortKey = (entry: Managed): string => `${entry.operation} ${entry.time} ${entry.manager} ${entry.apiVersion}`

/** A writer owns only the fields that its subresource can change. */
function through(set: FieldSet, writer: Writer): FieldSet {
  const owned = set.minusBelow(unowned)
  if (writer.subresource === 'status') return owned.underTop(['status'], true)
  return writer.hasStatus ? owned.underTop(['status'], false) : owned
}

const sameEntry = (entry: Managed, writer: Writer, operation: 'Apply' | 'Update'): boolean =>
  entry.manager === writer.manager &&
  entry.operation === operation &&
  entry.apiVersion === writer.apiVersion &&
  (entry.subresource ?? '') === writer.subresource

/**
 * The managedFields after a write that is not an apply: the writer takes the fields that it changed from all other managers.
 * Returns the old list itself if no owner changed, so that a write without effect stays one.
 */
export function recordUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  type: FieldType,
  writer: Writer,
): ManagedFieldsEntry[] | undefined {
  const { changed, removed } = compare(before ?? {}, after, type)
  const taken = through(changed, writer)
  const dropped = removed.minusBelow(unowned)
  if (taken.empty && dropped.empty) return before?.metadata.managedFields
  const entries = decode(before)
  let own = entries.find((entry) => sameEntry(entry, writer, 'Update'))
  if (!own && !taken.empty) {
    own = entryOf(writer, 'Update')
    entries.push(own)
  }
  for (const entry of entries) {
    const rest = entry.set.minusBelow(dropped)
    const set = entry === own ? rest.union(taken) : rest.minus(taken)
    if (entry === own && !set.equals(entry.set)) entry.time = timestamp()
    entry.set = set
  }
  return encode(entries)
}

const entryOf = (writer: Writer, operation: 'Apply' | 'Update'): Managed => ({
  manager: writer.manager,
  operation,
  apiVersion: writer.apiVersion,
  time: timestamp(),
  ...(writer.subresource ? { subresource: writer.subresource } : {}),
  set: new FieldSet(),
})

/**
 * Server-side apply: merges the configuration into the live object, removes the fields that this manager applied before but
 * omits now (unless another manager owns them too) and records the ownership.
 * Throws 409 naming the managers whose fields would change, unless `force`; TypedValueError where the configuration does not fit.
 */
export function applyConfiguration(
  live: KubeObject | undefined,
  config: KubeObject,
  type: FieldType,
  writer: Writer,
  force: boolean,
): KubeObject {
  const entries = decode(live)
  const own = entries.find((entry) => sameEntry(entry, writer, 'Apply'))
  const others = entries.filter((entry) => entry !== own)
  const applied = through(fieldsOf(config, type, { strict: true }), writer)

  let result: Json = mergeApplied(live ?? {}, config, type)
  const changed = through(compare(live ?? {}, result, type).changed, writer)
  if (!force) refuseConflicts(others, changed, config)
  for (const other of others) other.set = other.set.minus(changed)

  const keptByOthers = others.reduce((kept, other) => kept.union(other.set), new FieldSet())
  const gone = own ? own.set.minus(applied).minus(keptByOthers) : new FieldSet()
  // fields without a manager (defaults, the server's own fields) are in no set, and so never in `gone`
  if (!gone.empty) result = removeFields(result, gone, keptByOthers.union(applied), type)
  const { removed } = compare(live ?? {}, result, type)

  const next = own ?? entryOf(writer, 'Apply')
  const { managedFields: _, ...metadata } = result.metadata ?? {}
  const { managedFields: __, ...liveMetadata } = live?.metadata ?? {}
  const same = live && next.set.equals(applied) && equal({ ...result, metadata }, { ...live, metadata: liveMetadata })
  if (!same) next.time = timestamp()
  next.set = applied
  for (const other of others) other.set = other.set.minusBelow(removed)
  return { ...result, metadata: { ...metadata, managedFields: encode([...others, next]) } }
}

function refuseConflicts(others: Managed[], changed: FieldSet, config: KubeObject): void {
  const conflicts = others
    .map((entry) => ({ entry, paths: entry.set.intersect(changed).paths() }))
    .filter(({ paths }) => paths.length > 0)
    .sort((a, b) => a.entry.manager.localeCompare(b.entry.manager))
  if (conflicts.length === 0) return
  const causes: Cause[] = conflicts.flatMap(({ entry, paths }) =>
    paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${describe(entry)}`, field })),
  )
  const text =
    causes.length === 1
      ? `1 conflict: ${causes[0]?.message}: ${causes[0]?.field}`
      : `${causes.length} conflicts: ${conflicts.map(({ entry, paths }) => [`conflicts with ${describe(entry)}:`, ...paths.map((path) => `- ${path}`)].join('\n')).join('\n')}`
  throw new ApiError(409, 'Conflict', `Apply failed with ${text}`, { name: config.metadata.name, causes })
}

function describe(entry: Managed): string {
  const door = entry.subresource ? ` with subresource "${entry.subresource}"` : ''
  if (entry.operation === 'Apply') return `"${entry.manager}"${door}`
  return `"${entry.manager}"${door} using ${entry.apiVersion}${entry.time ? ` at ${entry.time}` : ''}`
}
