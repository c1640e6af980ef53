import { setImmediate as nextTurn } from 'node:timers/promises'
import type * as z from 'zod'
import { type BodyFault, FaultList } from '../../shared/errors.ts'
import { asFault, type FaultAt, parseWith } from '../../shared/faults.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { dataGroup } from '../resources/cratedb.ts'
import { groupNames, isClaimOf } from '../resources/data-claims.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { VolumeManifest } from '../resources/volume-manifest.ts'
import { canonicalPieces, forPieces, newDigest } from './canonical.ts'
import { bodySchema, entrySchemas, listNames, type RegionContent, regionFileBounds, regionFileFrame, regionFileVersion } from './schema.ts'
import { type Origin, originOf } from './signature.ts'
import { parseRegionText } from './text.ts'

/** A region file that was read, or everything that is wrong with it: `path` is a JSON pointer into the file. */
export type ReadRegionFile =
  | { ok: true; document: RegionContent; digest: string; origin: Origin }
  | { ok: false; faults: BodyFault[]; more: number }

type Frame = z.output<typeof regionFileFrame>

/** Entries that are judged before others get their turn. */
const perTurn = 100

/** Names with a meaning in JavaScript. No region file has one of them. */
const refusedNames = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * Reads a region file, whoever wrote it: its bytes are bounded, each member is judged by a schema, and digest and signature are compared with what
 * it says. Others get their turn while a large one is read.
 *
 * @throws the reason of the signal
 */
export async function readRegionFile(bytes: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<ReadRegionFile> {
  const faults = new FaultList<BodyFault>()
  const given = await parseRegionText(bytes, faults, signal)
  return faults.found.length > 0 ? refused(faults) : readRegionValue(given, signal)
}

/** The same of a value that `parseRegionText` has returned, or that is a part of one. */
export async function readRegionValue(given: unknown, signal?: AbortSignal): Promise<ReadRegionFile> {
  const faults = new FaultList<BodyFault>()
  if (!isOfThisVersion(given, faults)) return refused(faults)
  if (!isFramePlain(given as object, faults)) return refused(faults)
  const frame = parseWith(regionFileFrame, given, { explain: ofNewer })
  if (!frame.ok) faults.addAll(toldAt(frame.faults), frame.more)
  const content = await readEntries((given as Frame).document, faults, signal)
  if (!frame.ok || faults.found.length > 0) return refused(faults)
  const { digest, signature } = frame.value
  const found = await digestOf((given as Frame).document, signal)
  if (found !== digest)
    faults.add(() => ({ path: '/digest', message: 'does not fit the document: the file was damaged, or changed by hand' }))
  const origin = originOf(signature, found)
  if (origin === undefined)
    faults.add(() => ({ path: '/signature', message: 'does not fit: the key that it names has not signed this document' }))
  if (origin === undefined || faults.found.length > 0) return refused(faults)
  return { ok: true, document: { ...frame.value.document, ...content } as RegionContent, digest: found, origin }
}

async function digestOf(document: object, signal: AbortSignal | undefined): Promise<string> {
  const hash = newDigest()
  await forPieces(canonicalPieces(document), ({ text }) => void hash.update(text), signal)
  return hash.digest('hex')
}

function refused({ found, more }: FaultList<BodyFault>): ReadRegionFile {
  return { ok: false, faults: found, more }
}

/** A file of another version has one fault: what else is in it, only that version knows. */
function isOfThisVersion(given: unknown, faults: FaultList<BodyFault>): boolean {
  const { kind, version, skerry } = (memberOf(given, 'document') ?? {}) as { kind?: unknown; version?: unknown; skerry?: unknown }
  if (kind !== 'SkerryRegion') {
    faults.add(() => ({ path: '', message: 'is no region file: /document/kind must be "SkerryRegion"' }))
    return false
  }
  if (typeof version !== 'number' || !Number.isInteger(version) || version === regionFileVersion) return true
  const by = memberOf(skerry, 'version')
  const writer = typeof by === 'string' && /^[\w.+-]{1,40}$/.test(by) ? ` (${by})` : ''
  const message =
    version > regionFileVersion
      ? `is ${version}: a newer Skerry${writer} wrote the file, and this one reads version ${regionFileVersion}. Install that one first`
      : `is ${version}, which no Skerry has written`
  faults.add(() => ({ path: '/document/version', message }))
  return false
}

function memberOf(given: unknown, name: string): unknown {
  return typeof given === 'object' && given !== null && Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : undefined
}

/** The same as `isPlain`, of everything but the entries of the long lists. */
function isFramePlain(given: object, faults: FaultList<BodyFault>): boolean {
  const document = memberOf(given, 'document') as object
  const isLong = (name: string, value: unknown) => (listNames as readonly string[]).includes(name) && Array.isArray(value)
  const short = Object.entries(document).filter(([name, value]) => !isLong(name, value))
  const others = Object.entries(given).filter(([name]) => name !== 'document')
  if (short.length > regionFileBounds.members || others.length > regionFileBounds.members)
    return faulty(faults, [], 'is no region file: it has thousands of members')
  const all = [
    ...others.map(([name, value]) => [[name], value] as const),
    ...short.map(([name, value]) => [['document', name], value] as const),
  ]
  return all.map(([path, value]) => isNamePlain(path, faults) && isPlain(value, [...path], faults)).every(Boolean)
}

function isNamePlain(path: readonly (string | number)[], faults: FaultList<BodyFault>): boolean {
  const name = path.at(-1) ?? ''
  return typeof name === 'number' || (name.isWellFormed() && !refusedNames.has(name)) || faulty(faults, path, 'is not allowed as a name')
}

/** Whether nothing in it is too deep for those that look into it, or named as nothing may be. */
function isPlain(given: unknown, path: (string | number)[], faults: FaultList<BodyFault>): boolean {
  if (typeof given === 'string' && !given.isWellFormed()) return faulty(faults, path, 'contains half of a surrogate pair')
  if (typeof given === 'number' && !Number.isFinite(given)) return faulty(faults, path, 'is larger than any number')
  if (typeof given !== 'object' || given === null) return true
  const { depth, members: most } = regionFileBounds
  if (path.length >= depth) return faulty(faults, path, `has more than ${depth} levels`)
  const names = Array.isArray(given) ? given : Object.keys(given)
  if (names.length > most) return faulty(faults, path, `has more than ${most.toLocaleString('en')} members`)
  let isAll = true
  for (let index = 0; index < names.length; index++) {
    const name: string | number = names === given ? index : names[index]
    path.push(name)
    if (!isNamePlain(path, faults) || !isPlain((given as Record<string | number, unknown>)[name], path, faults)) isAll = false
    path.pop()
  }
  return isAll
}

function faulty(faults: FaultList<BodyFault>, path: readonly (string | number)[], message: string): false {
  faults.add(() => ({ path: pointerTo(path.map((piece) => String(piece).slice(0, 100).toWellFormed())), message }))
  return false
}

/** A field that this version does not know makes the digest one of something else: nothing can be left out. */
function ofNewer(path: readonly (string | number)[]): string | undefined {
  return path.length === 2 ? 'is not a member of a region file of this version' : undefined
}

type Entries = Pick<RegionContent, (typeof listNames)[number]>

/** Reads the entries of the long lists, and compares them with each other. */
async function readEntries(document: Partial<Frame['document']>, faults: FaultList<BodyFault>, signal?: AbortSignal): Promise<Entries> {
  const entries: Record<(typeof listNames)[number], unknown[]> = { projects: [], databases: [], retained: [] }
  let since = 0
  for (const name of listNames) {
    const given: unknown = document[name]
    if (!Array.isArray(given) || given.length > regionFileBounds.entries) continue
    for (const [index, entry] of given.entries()) {
      if (faults.more > regionFileBounds.faults) return entries as Entries
      entries[name].push(readEntry(name, entry, index, faults))
      if (++since % perTurn !== 0) continue
      await nextTurn()
      signal?.throwIfAborted()
    }
  }
  const read = entries as Entries
  compare(read, faults)
  return read
}

/** Why no reader would take this entry of a long list; undefined if any does. */
export function faultOfEntry(name: (typeof listNames)[number], entry: object): string | undefined {
  const faults = new FaultList<BodyFault>()
  readEntry(name, entry, 0, faults)
  const [first] = faults.found
  return first && `${first.path.split('/').slice(4).join('/')} ${first.message}`.trim()
}

/** The entry; undefined if it has a fault. */
function readEntry(name: (typeof listNames)[number], given: unknown, index: number, faults: FaultList<BodyFault>): unknown {
  if (!isPlain(given, ['document', name, index], faults)) return undefined
  const at = `/document/${name}/${index}`
  const read = parseWith(entrySchemas[name], given)
  if (!read.ok) faults.addAll(toldAt(read.faults, at), read.more)
  // The API could not express it, and does not have to.
  const isOfApi = name === 'databases' && typeof memberOf(given, 'body') === 'object' && memberOf(given, 'cratedb') === undefined
  if (!isOfApi) return read.ok ? read.value : undefined
  const body = parseWith(bodySchema, memberOf(given, 'body'))
  // Without an id it has been told before.
  if (!body.ok)
    faults.addAll(
      toldAt(body.faults, `${at}/body`).filter(({ path }) => read.ok || path !== `${at}/body/id`),
      body.more,
    )
  return read.ok && body.ok ? { ...(read.value as object), body: body.value } : undefined
}

function toldAt(faults: readonly FaultAt[], at = ''): BodyFault[] {
  return faults.map((each) => asFault(each, at))
}

/** What no entry shows alone: names that are given twice, databases without a project, volumes of somebody else. */
function compare({ projects, databases, retained }: Entries, faults: FaultList<BodyFault>): void {
  const fault = (path: string, message: string) => faults.add(() => ({ path: `/document${path}`, message }))
  const known = new Set<string>()
  const taken = { names: new Map<string, string>(), claims: new Map<string, string>() }
  for (const [index, project] of projects.entries()) {
    if (project === undefined) continue
    if (known.has(project.id)) fault(`/projects/${index}/id`, 'is given twice')
    known.add(project.id)
  }
  const seen = new Set<string>()
  for (const [index, entry] of databases.entries()) {
    if (entry === undefined) continue
    const { project, body, volumes, cratedb } = entry
    const name = `${project}/${body.id}`
    if (seen.has(name)) fault(`/databases/${index}/body/id`, 'is given twice in its project')
    seen.add(name)
    if (!known.has(project)) fault(`/databases/${index}/project`, 'is not one of the projects')
    const groups = groupNames(cratedb?.spec) ?? [dataGroup]
    compareVolumes(volumes, { project, database: body.id, groups, at: `/databases/${index}/volumes`, taken }, fault)
  }
  const ids = new Set<string>()
  for (const [index, entry] of retained.entries()) {
    if (entry === undefined) continue
    const { id, record, volumes } = entry
    if (ids.has(id)) fault(`/retained/${index}/id`, 'is given twice')
    ids.add(id)
    // Their claims may be those of a later database with the same name.
    const groups = record.cratedb && (groupNames(record.cratedb.spec) ?? [dataGroup])
    compareVolumes(
      volumes,
      { ...record, groups, at: `/retained/${index}/volumes`, taken: { names: taken.names, claims: new Map() } },
      fault,
    )
  }
}

type Owner = {
  project: string
  database: string
  groups: readonly string[] | undefined
  at: string
  taken: { names: Map<string, string>; claims: Map<string, string> }
}

/** A volume made for the claim of another database would give its bytes away. */
function compareVolumes(volumes: readonly VolumeManifest[], owner: Owner, fault: (path: string, message: string) => void): void {
  const { project, database, taken } = owner
  for (const [index, { metadata, spec }] of volumes.entries()) {
    const at = `${owner.at}/${index}`
    const { namespace, name } = spec.claimRef
    if (namespace !== namespaceOf(project)) fault(`${at}/spec/claimRef/namespace`, `must be ${namespaceOf(project)}`)
    else if (!isClaimOf(name, database, owner.groups)) fault(`${at}/spec/claimRef/name`, `must be a data claim of ${database}`)
    else takeOnce(taken.claims, `${namespace}/${name}`, `${at}/spec/claimRef/name`, fault)
    takeOnce(taken.names, metadata.name, `${at}/metadata/name`, fault)
  }
}

function takeOnce(taken: Map<string, string>, what: string, at: string, fault: (path: string, message: string) => void): void {
  const before = taken.get(what)
  if (before === undefined) taken.set(what, at)
  else fault(at, `is given twice: also at /document${before}`)
}
