import { randomUUID } from 'node:crypto'
import type { DatabaseState } from './databases.ts'
import { grant, grantAll } from './databases.ts'
import {
  createRepository,
  createSnapshot,
  dropRepository,
  dropSnapshot,
  repositoryRows,
  snapshotColumns,
  snapshotRows,
} from './repositories.ts'
import { partitionRows, type Restore, restoreRows, restoreSnapshot, shardRows, tableRows } from './restores.ts'
import { type Session, SqlError } from './sql-error.ts'

/** The result of a statement as in the answer of `/_sql`, without the duration. */
export type SqlResult = { cols: string[]; rows: unknown[][]; rowcount: number }

const done = (rowcount = 1): SqlResult => ({ cols: [], rows: [], rowcount })
const identifier = '("(?:[^"]|"")+"|[a-zA-Z_][\\w]*)'
const unquoted = (text = ''): string => (text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase())

type Statement = {
  pattern: RegExp
  run(match: string[], args: unknown[], session: Session, state: DatabaseState): SqlResult | Promise<SqlResult>
}

/** The supported statements besides SELECT. */
const statements: Statement[] = [
  {
    pattern: /^set\s+global\s+(?:(transient|persistent)\s+)?(.+)$/is,
    run([, mode = 'transient', assignments = ''], args, _session, { settings }) {
      const target = settings[mode.toLowerCase() as 'transient' | 'persistent']
      const values = [...args]
      for (const each of splitList(assignments)) {
        const [, name, value] = /^("?[\w.]+(?:"?\['[^']+'\])*"?)\s*(?:=|\sto\s)\s*(.+)$/is.exec(each) ?? fail(each)
        target.set(settingName(name), literal(value as string, values))
      }
      return done()
    },
  },
  {
    pattern: /^reset\s+global\s+(.+)$/is,
    run([, names = ''], _args, _session, { settings }) {
      for (const name of splitList(names).map(settingName)) {
        for (const each of [settings.transient, settings.persistent]) {
          for (const key of [...each.keys()]) if (key === name || key.startsWith(`${name}.`)) each.delete(key)
        }
      }
      return done()
    },
  },
  {
    pattern: new RegExp(`^create\\s+user\\s+${identifier}(?:\\s+with\\s*\\((.*)\\))?$`, 'is'),
    run([, name, properties], args, _session, { users }) {
      const user = unquoted(name)
      if (users.has(user)) throw new SqlError(4099, `RoleAlreadyExistsException[Role '${user}' already exists]`)
      users.set(user, userProperties(properties, args))
      return done()
    },
  },
  {
    pattern: new RegExp(`^alter\\s+user\\s+${identifier}\\s+set\\s*\\((.*)\\)$`, 'is'),
    run([, name, properties], args, _session, { users }) {
      const user = unquoted(name)
      if (user === 'crate') throw new SqlError(4000, "UnsupportedFeatureException[A password cannot be set for the superuser 'crate']")
      users.set(user, { ...known(users, user), ...userProperties(properties, args) })
      return done()
    },
  },
  {
    pattern: new RegExp(`^drop\\s+user\\s+(if\\s+exists\\s+)?${identifier}$`, 'is'),
    run([, ifExists, name], _args, _session, state) {
      const user = unquoted(name)
      if (!ifExists) known(state.users, user)
      state.users.delete(user)
      state.privileges = state.privileges.filter(({ grantee }) => grantee !== user)
      return done()
    },
  },
  {
    pattern: /^(grant|deny|revoke)\s+(.+?)(?:\s+on\s+(schema|table|view)\s+(.+?))?\s+(?:to|from)\s+(.+)$/is,
    run: ([, verb = '', types = '', level, targets, grantees = ''], _args, session, state) =>
      changePrivileges(verb, types, level, targets, grantees, session, state),
  },
  {
    pattern: new RegExp(`^create\\s+repository\\s+${identifier}\\s+type\\s+${identifier}(?:\\s+with\\s*\\((.*)\\))?$`, 'is'),
    async run([, name, type, properties], args, session) {
      await createRepository(unquoted(name), unquoted(type), propertyTexts(properties, args), session)
      return done()
    },
  },
  {
    pattern: new RegExp(`^drop\\s+repository\\s+${identifier}$`, 'is'),
    run([, name], _args, session) {
      dropRepository(unquoted(name), session)
      return done()
    },
  },
  {
    pattern: new RegExp(`^create\\s+snapshot\\s+${identifier}\\.${identifier}\\s+all(?:\\s+with\\s*\\((.*)\\))?$`, 'is'),
    run([, repository, name, properties], args, session) {
      const known = ['wait_for_completion', 'ignore_unavailable']
      const unknown = Object.keys(propertyTexts(properties, args)).find((property) => !known.includes(property))
      if (unknown !== undefined) throw new SqlError(4000, `SQLParseException[Setting '${unknown}' is not supported]`)
      createSnapshot(unquoted(repository), unquoted(name), session)
      return done()
    },
  },
  {
    pattern: new RegExp(`^drop\\s+snapshot\\s+${identifier}\\.${identifier}$`, 'is'),
    run([, repository, name], _args, session) {
      dropSnapshot(unquoted(repository), unquoted(name), session)
      return done()
    },
  },
  {
    pattern: new RegExp(`^restore\\s+snapshot\\s+${identifier}\\.${identifier}\\s+(.+?)\\s+with\\s*\\((.*)\\)$`, 'is'),
    run([, repository, name, what = '', properties], args, session) {
      const known = ['wait_for_completion', 'ignore_unavailable']
      const unknown = Object.keys(propertyTexts(properties, args)).find((property) => !known.includes(property))
      if (unknown !== undefined) throw new SqlError(4000, `SQLParseException[Setting '${unknown}' is not supported]`)
      restoreSnapshot(unquoted(repository), unquoted(name), restoreOf(what, args), session)
      return done()
    },
  },
  {
    pattern: /^(?:update\s+sys\.node_checks|refresh|optimize|analyze|create\s+table|insert|delete|begin|commit|set\s+session)\b.*$/is,
    run: () => done(),
  },
]

/**
 * Runs one statement on the contents of a database. It supports the statements that the programs of this repository send:
 * SELECT on some system tables, global settings, users and privileges.
 *
 * @throws SqlError with CrateDB's code and form of message
 */
export async function runStatement(session: Session, stmt: string, args: unknown[]): Promise<SqlResult> {
  const { jobs, jobsLog } = session.databases.state(session.key)
  const [id, job] = [randomUUID(), { stmt, username: session.user, started: Date.now() }]
  jobs.set(id, job)
  const ended = (error: string | null) => {
    jobs.delete(id)
    jobsLog.push({ id, ...job, ended: Date.now(), error })
    if (jobsLog.length > 1_000) jobsLog.shift()
  }
  try {
    const result = await execute(session, stmt, args)
    ended(null)
    return result
  } catch (error) {
    ended(error instanceof Error ? error.message : String(error))
    throw error
  }
}

function execute(session: Session, stmt: string, args: unknown[]): SqlResult | Promise<SqlResult> {
  const text = stmt.trim().replace(/;\s*$/, '')
  const select =
    /^select\s+(.+?)(?:\s+from\s+((?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))?)(?:\s+as\s+\w+|\s+(?!where|group|order|limit)\w+)?)?(?:\s+where\s+(.+?))?(?:\s+group\s+by\s+([\w.]+(?:\s*,\s*[\w.]+)*))?(?:\s+order\s+by\s+([\w\s.,]+?))?(?:\s+limit\s+(\d+))?$/is.exec(
      text,
    )
  if (select) return runSelect(session, select, args)
  for (const { pattern, run } of statements) {
    const match = pattern.exec(text)
    if (match) return run(match, args, session, session.databases.state(session.key))
  }
  throw fail(text)
}

function fail(text: string): never {
  throw new SqlError(4000, `SQLParseException[line 1:1: mismatched input '${text.split(/\s/)[0] ?? ''}' expecting a statement]`)
}

function known(users: DatabaseState['users'], name: string) {
  const user = users.get(name)
  if (!user) throw new SqlError(40410, `RoleUnknownException[Role '${name}' does not exist]`)
  return user
}

/** The values of `name = value` in a list, as texts. */
function propertyTexts(properties: string | undefined, args: unknown[]): Record<string, string> {
  const values = [...args]
  return Object.fromEntries(
    splitList(properties ?? '').map((each) => {
      const [, name = '', value = ''] = /^"?(\w+)"?\s*=\s*(.+)$/s.exec(each) ?? fail(each)
      return [name.toLowerCase(), String(literal(value, values))]
    }),
  )
}

function userProperties(properties: string | undefined, args: unknown[]): { password?: string; jwt?: unknown } {
  const values = [...args]
  const found: { password?: string; jwt?: unknown } = {}
  for (const each of splitList(properties ?? '')) {
    const [, name = '', value = ''] = /^"?(\w+)"?\s*=\s*(.+)$/s.exec(each) ?? fail(each)
    if (name.toLowerCase() === 'password') {
      const password = literal(value, values)
      if (password !== null) found.password = String(password)
    } else if (name.toLowerCase() === 'jwt') found.jwt = value
    else throw new SqlError(4000, `IllegalArgumentException[Invalid user property '${name}']`)
  }
  return found
}

const privilegeTypes = ['DQL', 'DML', 'DDL', 'AL']

function changePrivileges(
  verb: string,
  types: string,
  level: string | undefined,
  targets: string | undefined,
  grantees: string,
  session: Session,
  state: DatabaseState,
): SqlResult {
  const wanted = /^all(\s+privileges)?$/i.test(types.trim()) ? privilegeTypes : splitList(types).map((type) => type.toUpperCase())
  const unknown = wanted.find((type) => !privilegeTypes.includes(type))
  if (unknown !== undefined) throw new SqlError(4000, `SQLParseException[Unknown permission '${unknown.toLowerCase()}']`)
  const names = splitList(grantees).map(unquoted)
  for (const name of names) known(state.users, name)
  const idents = targets === undefined ? [null] : splitList(targets).map((each) => each.split('.').map(unquoted).join('.'))
  const kind = level?.toUpperCase() ?? 'CLUSTER'
  for (const grantee of names) {
    if (verb.toLowerCase() === 'grant' && level === undefined && wanted === privilegeTypes) grantAll(state, grantee, session.user)
    else
      for (const type of wanted)
        for (const ident of idents) changeOne(verb, { type, class: kind, ident, grantee, grantor: session.user }, state)
  }
  return done(names.length)
}

function changeOne(verb: string, privilege: Omit<DatabaseState['privileges'][number], 'state'>, state: DatabaseState): void {
  if (verb.toLowerCase() !== 'revoke') {
    grant(state, { state: verb.toUpperCase() as 'GRANT' | 'DENY', ...privilege })
    return
  }
  const { type, class: level, ident, grantee } = privilege
  state.privileges = state.privileges.filter(
    (each) => !(each.type === type && each.class === level && each.ident === ident && each.grantee === grantee),
  )
}

type Row = Record<string, unknown>

/** The system tables, by name, as rows of their columns. */
const tables: Record<string, (session: Session) => Row[]> = {
  'sys.nodes': ({ databases, key }) =>
    databases.nodes(key).map(({ name, version, hostname, isMaster, pod }) => ({
      id: pod.metadata.uid,
      name,
      hostname,
      version: { number: version, build_hash: '0000000', build_snapshot: false },
      attributes: {},
      attributes_master: isMaster,
      heap: { max: 1_073_741_824, used: 268_435_456, free: 805_306_368 },
      fs: { total: { size: 17_179_869_184, used: 2_147_483_648, available: 15_032_385_536 } },
    })),
  'sys.health': ({ databases, key }) => {
    const severity = { GREEN: 1, YELLOW: 2, RED: 3, UNREACHABLE: 3 }[databases.health(key)]
    const health = databases.health(key)
    return [
      { health, severity, table_schema: 'doc', table_name: 'readings', missing_shards: 0, underreplicated_shards: severity === 2 ? 1 : 0 },
    ]
  },
  'sys.cluster': ({ databases, key }) => {
    const nodes = databases.nodes(key)
    const master = nodes.find(({ isMaster }) => isMaster) ?? nodes[0]
    return [{ id: key, name: key.split('/')[1], master_node: master?.pod.metadata.uid ?? null, settings: nested(databases.state(key)) }]
  },
  'sys.users': ({ databases, key }) =>
    [...databases.state(key).users].map(([name, { password, jwt }]) => ({
      name,
      superuser: name === 'crate',
      password: password === undefined ? null : '********',
      jwt: jwt ?? null,
    })),
  'sys.privileges': ({ databases, key }) => databases.state(key).privileges,
  'sys.jobs': ({ databases, key }) => {
    const { snapshotStatement, jobs } = databases.state(key)
    const running = [...jobs].map(([id, job]) => ({ id, ...job }))
    return snapshotStatement === undefined
      ? running
      : [...running, { id: 'snapshot', stmt: snapshotStatement, username: 'system', started: 0 }]
  },
  'sys.jobs_log': ({ databases, key }) => databases.state(key).jobsLog,
  'sys.repositories': repositoryRows,
  'sys.snapshots': (session) => [
    ...[...(session.databases.state(session.key).snapshots ?? [])].map((name) => ({
      ...Object.fromEntries(snapshotColumns(session).map((column) => [column, null])),
      ...{ name, repository: 'system_backup', state: 'SUCCESS' },
    })),
    ...snapshotRows(session),
  ],
  'sys.summits': () => [{ mountain: 'Mont Blanc', height: 4808 }],
  'sys.shards': shardRows,
  'sys.snapshot_restore': restoreRows,
  'information_schema.tables': tableRows,
  'information_schema.table_partitions': partitionRows,
  'sys.checks': () => [],
  'sys.node_checks': () => [],
}

/** The rows of a table of users: only how many is known. */
function tableOfUsers(name: string, { databases, key }: Session): (() => Row[]) | undefined {
  const parts = [...name.matchAll(/"(?:[^"]|"")+"|\w+/g)].map(([part]) => unquoted(part))
  const found = databases.state(key).tables.get(parts.join('.'))
  return found && (() => Array.from({ length: found.rows }, () => ({})))
}

/** What a RESTORE names: sections, or tables with perhaps a partition each. */
function restoreOf(what: string, args: unknown[]): Restore {
  if (!/^table\s/i.test(what))
    return {
      all: what
        .toUpperCase()
        .split(',')
        .some((section) => ['ALL', 'TABLES'].includes(section.trim())),
      tables: [],
    }
  const tables = splitList(what.replace(/^table\s+/i, '')).map((each) => {
    const [, table = '', partition] = /^(.+?)(?:\s+partition\s*\((.*)\))?$/is.exec(each) ?? fail(each)
    const name = [...table.matchAll(/"(?:[^"]|"")+"|\w+/g)].map(([part]) => unquoted(part)).join('.')
    return { name, ...(partition !== undefined && { partition: propertyTexts(partition, args) }) }
  })
  return { all: false, tables }
}

/** Settings as the object `sys.cluster.settings`: transient ones take precedence over persistent ones, and these over the defaults. */
function nested({ settings }: DatabaseState): Row {
  const watermark = { low: '85%', high: '90%', flood_stage: '95%' }
  const root: Row = { cluster: { routing: { allocation: { enable: 'all', disk: { watermark } } } } }
  for (const [name, value] of [...settings.persistent, ...settings.transient]) {
    const path = name.split('.')
    let at = root
    for (const step of path.slice(0, -1)) {
      at[step] ??= {}
      at = at[step] as Row
    }
    at[path.at(-1) as string] = value
  }
  return root
}

/** The columns that a table has even without rows, where that matters. */
const knownColumns: Record<string, (session: Session) => string[]> = { 'sys.snapshots': snapshotColumns }

function runSelect(session: Session, [, columns = '', table, where, groupBy, orderBy, limit]: string[], args: unknown[]): SqlResult {
  const rowsOf = table === undefined ? () => [{}] : (tables[table.toLowerCase()] ?? tableOfUsers(table, session))
  if (!rowsOf) throw new SqlError(4041, `RelationUnknown[Relation '${table}' unknown]`)
  const known = knownColumns[table?.toLowerCase() ?? '']?.(session)
  const unknown = splitList(columns).find((each) => known && /^\w+$/.test(each) && !known.includes(each))
  if (unknown !== undefined) throw new SqlError(4043, `ColumnUnknownException[Column ${unknown} unknown]`)
  const values = [...args]
  const outputs = splitList(columns).map((text) => output(text, values))
  const filter = where === undefined ? () => true : condition(where, values)
  const rows = ordered(rowsOf(session).filter(filter), orderBy)
  const all = grouped(rows, outputs, groupBy).map((group) =>
    outputs.map(({ of, aggregate }) => (aggregate ? aggregate(group) : of(group[0] as Row))),
  )
  const cut = limit === undefined ? all : all.slice(0, Number(limit))
  return { cols: outputs.map(({ name }) => name), rows: cut, rowcount: cut.length }
}

/** Rows in the order of one column. Several are not needed here: what else is to be sorted is unique by its first column. */
function ordered(rows: Row[], by: string | undefined): Row[] {
  const [, name = '', direction] = /^([\w.]+)(?:\s+(asc|desc))?$/i.exec(by?.trim() ?? '') ?? []
  if (name === '' || rows.some((row) => !(name in row))) return rows
  const sign = direction?.toLowerCase() === 'desc' ? -1 : 1
  return rows.toSorted((a, b) => sign * (String(a[name]) < String(b[name]) ? -1 : String(a[name]) > String(b[name]) ? 1 : 0))
}

/** The source rows of each result row: one, all if everything is aggregated, or those with the same value. */
function grouped(rows: Row[], outputs: Output[], groupBy: string | undefined): Row[][] {
  if (groupBy !== undefined) {
    const columns = splitList(groupBy).map(column)
    return [...Map.groupBy(rows, (row) => JSON.stringify(columns.map((of) => of(row)))).values()]
  }
  const isAggregate = outputs.length > 0 && outputs.every(({ aggregate }) => aggregate !== undefined)
  return isAggregate ? [rows] : rows.map((row) => [row])
}

type Output = { name: string; of(row: Row): unknown; aggregate?: (rows: Row[]) => unknown }

function output(text: string, args: unknown[]): Output {
  const [, expression = text, alias] = /^(.+?)\s+as\s+"?(\w+)"?$/is.exec(text) ?? []
  const name = alias ?? expression.trim()
  const [, fn, inner = ''] = /^(count|sum|max|min)\s*\((.+)\)$/is.exec(expression.trim()) ?? []
  if (fn) {
    const of = inner.trim() === '*' ? undefined : column(inner)
    const aggregates = {
      count: (rows: Row[]) => rows.filter((row) => of === undefined || (of(row) ?? null) !== null).length,
      sum: (rows: Row[]) => (rows.length === 0 || !of ? null : rows.reduce((sum, row) => sum + Number(of(row)), 0)),
      max: (rows: Row[]) => (rows.length === 0 || !of ? null : Math.max(...rows.map((row) => Number(of(row))))),
      min: (rows: Row[]) => (rows.length === 0 || !of ? null : Math.min(...rows.map((row) => Number(of(row))))),
    }
    return { name, of: () => null, aggregate: aggregates[fn.toLowerCase() as keyof typeof aggregates] }
  }
  const parts = expression.split('||')
  if (parts.length > 1) {
    const each = parts.map((part) => output(part, args))
    return { name, of: (row) => each.map(({ of }) => String(of(row))).join('') }
  }
  if (/^(-?\d|'|\$\d|\?|null$|true$|false$)/i.test(expression.trim())) {
    const value = literal(expression, args)
    return { name, of: () => value }
  }
  return { name, of: column(expression) }
}

/** A column, possibly inside an object: `version['number']`. */
function column(text: string): (row: Row) => unknown {
  const [, path = '', subscripts = ''] = /^([\w."]+)((?:\['[^']+'\])*)$/.exec(text.trim().replace(/::\w+$/, '')) ?? fail(text)
  const first = path.replaceAll('"', '').split('.').at(-1) as string
  const steps = [first, ...[...subscripts.matchAll(/\['([^']+)'\]/g)].flatMap(([, step = '']) => step.split('.'))]
  return (row) => {
    if (!(first in row)) throw new SqlError(4043, `ColumnUnknownException[Column ${first} unknown]`)
    return steps.reduce<unknown>((at, step) => (at as Row | null | undefined)?.[step] ?? null, row)
  }
}

/** Comparisons joined by AND; anything else fails. */
function condition(text: string, args: unknown[]): (row: Row) => boolean {
  const tests = text.split(/\s+and\s+/i).map((each) => {
    const [, left = '', operator = '', right = ''] =
      /^(.+?)\s*(=|!=|<>|\sis\s+not\s|\sis\s|\snot\s+like\s|\slike\s|\sin\s)\s*(.+)$/is.exec(each.trim()) ?? fail(each)
    return comparison(column(left), operator.trim().toLowerCase().replace(/\s+/g, ' '), right.trim(), args)
  })
  return (row) => tests.every((test) => test(row))
}

function comparison(of: (row: Row) => unknown, operator: string, right: string, args: unknown[]): (row: Row) => boolean {
  const any = /^any\s*\((.+)\)$/is.exec(right)?.[1] ?? (operator === 'in' ? right.replace(/^\(|\)$/g, '') : undefined)
  if (any !== undefined) {
    const values = splitList(any.replace(/^\[|\]$/g, '')).flatMap((each) => literal(each, args))
    return (row) => values.includes(of(row))
  }
  const value = literal(right, args)
  if (operator.endsWith('like')) {
    const pattern = new RegExp(
      `^${String(value)
        .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
        .replaceAll('%', '.*')
        .replaceAll('_', '.')}$`,
      's',
    )
    return (row) => pattern.test(String(of(row))) === (operator === 'like')
  }
  return (row) => (of(row) === value) === (operator === '=' || operator === 'is')
}

/** A literal or a parameter: `?` is the next argument, `$2` the second. */
function literal(text: string, args: unknown[]): unknown {
  const trimmed = text.trim().replace(/::\w+$/, '')
  const numbered = /^\$(\d+)$/.exec(trimmed)?.[1]
  if (trimmed === '?') return args.shift()
  if (numbered !== undefined) return args[Number(numbered) - 1]
  if (/^'(?:[^']|'')*'$/s.test(trimmed)) return trimmed.slice(1, -1).replaceAll("''", "'")
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed)
  if (/^(true|false)$/i.test(trimmed)) return trimmed.toLowerCase() === 'true'
  return /^null$/i.test(trimmed) ? null : fail(trimmed)
}

/** `"cluster.routing"` and `cluster['routing']` name the same setting as `cluster.routing`. */
const settingName = (text = ''): string =>
  text
    .trim()
    .replaceAll('"', '')
    .replace(/\['([^']+)'\]/g, '.$1')

/** Splits at commas outside quotes and brackets. */
function splitList(text: string): string[] {
  return text.trim() === ''
    ? []
    : [...text.matchAll(/(?:'(?:[^']|'')*'|"(?:[^"]|"")*"|\([^()]*\)|\{[^{}]*\}|\[[^\]]*\]|[^,])+/gs)].map(([part]) => part.trim())
}
