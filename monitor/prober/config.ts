import type * as z from 'zod'
import { type ConfigFile, type Files, type Position, parseConfigFile } from '../../shared/config/file.ts'
import { loadSecrets, secretFilesOf } from '../../shared/config/secrets.ts'
import { maxFaults } from '../../shared/errors.ts'
import { type FaultAt, parseWith, unknownField } from '../../shared/faults.ts'
import { formatDuration } from '../../shared/fields.ts'
import { fieldNames, nearest } from '../../shared/schema.ts'
import { checkKinds, isCheckKindName } from '../checks/index.ts'
import type { CheckKind } from '../checks/kind.ts'
import { type Origin, originOf, originOfDocuments } from '../convert/index.ts'
import { actionOf } from './actions/config.ts'
import type { Check } from './check.ts'
import { checkFields, defaultFields, fileFields } from './check-fields.ts'
import { cyclesOf } from './dependencies.ts'
import { referencesOf, resolveReferences, type SecretReference, type SecretValues } from './secrets.ts'

/** A checks file without faults. */
export type ChecksFile = {
  checks: Check[]
  /** Whether actions may be taken; if not, no check has any. */
  allowActions: boolean
  /** The files from which secrets were read. */
  secretFiles: string[]
}

/** A fault in the checks file. */
type ChecksFault = {
  /** Such as `checks[3].timeout`; empty for the whole file. */
  path: string
  /** Continues the path: `must be at least 1s`. It quotes nothing secret. */
  message: string
  position?: Position | undefined
}

/** What the parser needs besides the text. */
export type ParseOptions = {
  /** Reads the files of secrets. */
  files: Files
  /** Whether a check of that name may be discovered in the cluster, so that others may depend on it though it is not in the file. */
  isDiscovered?: ((name: string) => boolean) | undefined
  /** The values of the Secrets that the file refers to: see `secretReferences`. */
  secrets?: SecretValues | undefined
}

/**
 * Parses the checks file, and finds all faults at once. YAML that multiplies itself, or is too deep or too large, is refused.
 */
export function parseChecks(text: string, options: ParseOptions): ChecksFile | { faults: ChecksFault[] } {
  const file = parseConfigFile(text)
  const origin = Array.isArray(file) ? originOfDocuments(text) : originOf(file.value)
  if (origin !== undefined) return { faults: [{ path: '', message: foreign(origin) }] }
  if (Array.isArray(file)) return { faults: file.map((fault) => ({ path: '', ...fault })) }
  const faults: FaultAt[] = []
  const resolved = resolveReferences(file.value ?? {}, options.secrets ?? new Map())
  faults.push(...resolved.faults.map(asValueFault))
  const { checks: listed = [], ...rest } = asRecord(resolved.value, faults)
  const whole = take(fileFields, { ...rest, defaults: {}, checks: listed }, faults, [])
  // Checks are not compared with faulty defaults, which would only invent faults.
  const defaults = take(defaultFields, rest.defaults ?? {}, faults, [], ['defaults']) ?? { ...defaultFields.parse({}), interval: Infinity }
  judgeDefaults(asRecord(rest.defaults), defaults, faults)
  const entries = Array.isArray(listed) ? listed.map((each, index) => readCheck(each, index, defaults, options.files, faults)) : []
  judgeTogether(entries, options, faults)
  judgeActions(entries, whole?.allowActions, faults)
  const checks = entries.flatMap(({ check }) => check ?? [])
  if (faults.length > 0 || whole === undefined) return { faults: told(faults, file) }
  const allowActions = whole.allowActions === true
  return {
    checks: allowActions ? checks : checks.map((check) => ({ ...check, actions: [] })),
    allowActions,
    secretFiles: secretFilesOf(checks),
  }
}

/** The Secrets of the cluster that the file refers to, to be read before it is parsed; none if it is not YAML. */
export function secretReferences(text: string): SecretReference[] {
  const file = parseConfigFile(text)
  return Array.isArray(file) ? [] : referencesOf(file.value)
}

/** A fault on one line, as compilers write it: `checks.yaml:12:5: checks[3].timeout must be at least 10ms`. */
export function sayFault({ path, message, position }: ChecksFault, name: string): string {
  const place = position === undefined ? name : `${name}:${position.line}:${position.column}`
  return `${place}: ${path === '' ? message : `${path} ${message}`}`
}

function foreign(origin: Origin): string {
  return `is a configuration of ${origin}: convert it with \`skerry-monitor convert --file FILE > checks.yaml\``
}

type Defaults = z.output<typeof defaultFields>
type Fields = z.output<typeof checkFields>
/** A check, as far as it is valid. The name is there even if the rest is not, since other checks may depend on it. */
type Entry = { index: number; name: string | undefined; dependsOn: readonly string[]; fields: Fields | undefined; check: Check | undefined }

function readCheck(given: unknown, index: number, defaults: Defaults, files: Files, faults: FaultAt[]): Entry {
  const at = ['checks', index]
  const before = faults.length
  const entry: Entry = { index, name: undefined, dependsOn: [], fields: undefined, check: undefined }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    take(checkFields, given, faults, [], at)
    return entry
  }
  const own = fieldNames(checkFields)
  const common = Object.fromEntries(Object.entries(given).filter(([name]) => own.includes(name)))
  const others = Object.fromEntries(Object.entries(given).filter(([name]) => !own.includes(name)))
  const { name, kind: kindName, dependsOn } = common
  if (typeof name === 'string') entry.name = name
  if (Array.isArray(dependsOn)) entry.dependsOn = dependsOn.filter((each) => typeof each === 'string')
  const fields = take(checkFields, common, faults, [], at)
  if (typeof kindName !== 'string') return entry
  if (!isCheckKindName(kindName)) {
    faults.push({ path: [...at, 'kind'], message: unknownKind(kindName), isKey: false })
    return entry
  }
  const kind: CheckKind = checkKinds[kindName]
  const options = take(kind.options, others, faults, own, at)
  faults.push(...loadSecrets({ ...(options as object | undefined), actions: fields?.actions }, files, at).map(asValueFault))
  if (fields === undefined || options === undefined) return entry
  const times = timesOf(fields, defaults, at, faults)
  if (faults.length > before) return { ...entry, fields }
  const check: Check = {
    name: fields.name,
    kind: kindName,
    target: kind.target(options),
    options,
    group: fields.group ?? defaults.group,
    severity: fields.severity ?? defaults.severity,
    labels: { ...defaults.labels, ...fields.labels },
    ...times,
    dependsOn: fields.dependsOn,
    actions: fields.actions.map(actionOf),
  }
  return { ...entry, fields, check }
}

type Times = Pick<Check, 'intervalMs' | 'timeoutMs' | 'degradedAfterMs' | 'downAfterMs' | 'retries' | 'retryDelayMs' | 'recoveryDelayMs'>

/** A timeout from the defaults is cut to the interval of the check; its own must not exceed it. */
function timesOf(fields: Fields, defaults: Defaults, at: (string | number)[], faults: FaultAt[]): Times {
  const intervalMs = fields.interval ?? defaults.interval
  if (fields.timeout !== undefined && fields.timeout > intervalMs)
    faults.push({ path: [...at, 'timeout'], message: longerThan(intervalMs), isKey: false })
  const timeoutMs = fields.timeout ?? Math.min(defaults.timeout, intervalMs)
  for (const name of ['degradedAfter', 'downAfter'] as const)
    if ((fields[name] ?? 0) > timeoutMs)
      faults.push({
        path: [...at, name],
        message: `must not be longer than the timeout, which is ${formatDuration(timeoutMs)}`,
        isKey: false,
      })
  return {
    intervalMs,
    timeoutMs,
    ...(fields.degradedAfter !== undefined && { degradedAfterMs: fields.degradedAfter }),
    ...(fields.downAfter !== undefined && { downAfterMs: fields.downAfter }),
    retries: fields.retries ?? defaults.retries,
    retryDelayMs: fields.retryDelay ?? defaults.retryDelay,
    recoveryDelayMs: fields.recoveryDelay ?? defaults.recoveryDelay,
  }
}

function judgeDefaults(given: Record<string, unknown>, { interval, timeout }: Defaults, faults: FaultAt[]): void {
  if (given.timeout !== undefined && timeout > interval)
    faults.push({ path: ['defaults', 'timeout'], message: longerThan(interval), isKey: false })
}

function longerThan(intervalMs: number): string {
  return `must not be longer than the interval, which is ${formatDuration(intervalMs)}`
}

function unknownKind(given: string): string {
  const meant = nearest(given, Object.keys(checkKinds))
  if (meant !== undefined) return `is not a kind of check; did you mean ${JSON.stringify(meant)}?`
  return `is not a kind of check; the kinds are ${Object.keys(checkKinds).join(', ')}`
}

/** Finds names that occur twice, and dependencies that are unknown or form a circle. */
function judgeTogether(entries: readonly Entry[], { isDiscovered = () => false }: ParseOptions, faults: FaultAt[]): void {
  const named = new Map<string, Entry>()
  for (const entry of entries) {
    if (entry.name === undefined) continue
    const first = named.get(entry.name)
    if (first === undefined) named.set(entry.name, entry)
    else faults.push({ path: ['checks', entry.index, 'name'], message: `is that of checks[${first.index}] already`, isKey: false })
  }
  const heartbeats = new Map<string, Entry>()
  for (const entry of entries) {
    if (entry.check?.kind !== 'heartbeat') continue
    const first = heartbeats.get(entry.check.target)
    if (first === undefined) heartbeats.set(entry.check.target, entry)
    else faults.push({ path: ['checks', entry.index, 'id'], message: `is that of checks[${first.index}] already`, isKey: false })
  }
  for (const { index, dependsOn } of entries) {
    for (const [place, name] of dependsOn.entries()) {
      if (named.has(name) || isDiscovered(name)) continue
      // The words for a fault that is not told are not looked for: that takes longer than finding the fault.
      const meant = faults.length < maxFaults ? nearest(name, [...named.keys()]) : undefined
      const hint = meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
      faults.push({ path: ['checks', index, 'dependsOn', place], message: `names no check${hint}`, isKey: false })
    }
  }
  const dependents = [...named].map(([name, { dependsOn }]) => ({ name, dependsOn }))
  for (const cycle of cyclesOf(dependents)) {
    const index = named.get(cycle[0] as string)?.index as number
    const message = cycle.length === 2 ? 'names the check itself' : `goes in a circle: ${cycle.join(' → ')}`
    faults.push({ path: ['checks', index, 'dependsOn'], message, isKey: false })
  }
}

/** Actions change things elsewhere, so the file must allow them explicitly. */
function judgeActions(entries: readonly Entry[], allowActions: boolean | undefined, faults: FaultAt[]): void {
  if (allowActions !== undefined) return
  for (const { index, fields } of entries)
    if (fields !== undefined && fields.actions.length > 0)
      faults.push({
        path: ['checks', index, 'actions'],
        message: 'needs allowActions: true at the top of the file; false there keeps all actions off',
        isKey: true,
      })
}

/**
 * Parses a value with a schema; undefined, with faults added, if it is not valid.
 * @param beside other names that are allowed at this place, to be suggested for an unknown one
 */
function take<S extends z.ZodType>(
  schema: S,
  given: unknown,
  faults: FaultAt[],
  beside: readonly string[],
  at: readonly (string | number)[] = [],
): z.output<S> | undefined {
  const parsed = parseWith(schema, given)
  if (parsed.ok) return parsed.value
  const known = [...fieldNames(schema), ...beside]
  for (const fault of parsed.faults) {
    const isName = fault.isKey && fault.path.length === 1 && fault.message.startsWith('is not recognized')
    const message = isName ? unknownField(String(fault.path[0]), known) : fault.message
    faults.push({ ...fault, message, path: [...at, ...fault.path] })
  }
  if (parsed.more > 0) faults.push({ path: [...at], message: `has ${parsed.more} more faults`, isKey: true })
  return undefined
}

function asRecord(value: unknown, faults?: FaultAt[]): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  faults?.push({ path: [], message: 'must be an object with the field checks', isKey: false })
  return {}
}

function asValueFault(fault: { path: (string | number)[]; message: string }): FaultAt {
  return { ...fault, isKey: false }
}

function saidOf({ path, message, isKey }: FaultAt, file: ConfigFile): ChecksFault {
  const name = path.map((piece) => (typeof piece === 'number' ? `[${piece}]` : `.${piece}`)).join('')
  return { path: name.replace(/^\./, ''), message, position: file.position(path, isKey) }
}

/** The faults as they are told, in the order of the file. Finding the position of a fault takes longer than finding the fault. */
function told(faults: readonly FaultAt[], file: ConfigFile): ChecksFault[] {
  const said = faults
    .slice(0, maxFaults)
    .map((fault) => saidOf(fault, file))
    .sort(byPosition)
  const more = faults.length - said.length
  return more > 0 ? [...said, { path: '', message: `and ${more} more faults` }] : said
}

function byPosition({ position: a }: ChecksFault, { position: b }: ChecksFault): number {
  return (a?.line ?? 0) - (b?.line ?? 0) || (a?.column ?? 0) - (b?.column ?? 0)
}
