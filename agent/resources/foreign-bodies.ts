import { crateDbFields, leavesIn } from './cratedb-fields.ts'

/** Answers to bodies that were written for another API. */
export type ForeignBodies = {
  /** What the body as a whole is, and what to send instead; undefined if it is none of those that are known. */
  whole(body: unknown): string | undefined
  /** What to send instead of a field that the API does not have; undefined if its name is not known. */
  field(path: readonly (string | number)[]): string | undefined
}

const page = 'docs/cratedb-fields.md lists all fields of a CrateDB'

/** Bodies for a database: manifests of Kubernetes, and fields of the Crate Operator, of CrateDB Cloud and of other clouds. */
export const foreignDatabases: ForeignBodies = {
  whole(body) {
    const given = kubernetesObject(body)
    if (given === undefined) return undefined
    if (given.kind === 'CrateDB') return crateDbManifest(given)
    return otherObject(given)
  },
  field(path) {
    const name = path.at(-1)
    if (typeof name !== 'string') return undefined
    return others.get(plain(name)) ?? namedInTable(name, path)
  },
}

/** Bodies that are objects of Kubernetes, where a route takes something else. */
export const foreignObjects: ForeignBodies = {
  whole(body) {
    const given = kubernetesObject(body)
    return given && otherObject(given)
  },
  field: () => undefined,
}

type Given = { apiVersion: string; kind: string; spec?: unknown }

function kubernetesObject(body: unknown): Given | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { apiVersion, kind } = body as Partial<Given>
  const isOne = typeof apiVersion === 'string' && typeof kind === 'string' && apiVersion.length <= 253 && /^[A-Z][A-Za-z]{0,62}$/.test(kind)
  return isOne ? (body as Given) : undefined
}

function otherObject({ apiVersion, kind }: Given): string {
  const what = /^[a-z0-9./-]+$/.test(apiVersion) ? `${kind} (${apiVersion})` : kind
  const ours = apiVersion.startsWith('skerry.dev/') ? '; send the members of its spec instead' : ''
  return `is a Kubernetes object, ${what}; this API has fields of its own and no apiVersion, kind, metadata and spec${ours}`
}

function crateDbManifest({ spec }: Given): string {
  const leaves = leavesIn(spec, 'spec')
  const taken = unique(
    leaves.flatMap((leaf) => (crateDbFields[leaf]?.ours === undefined ? [] : `${shown(leaf)} → ${crateDbFields[leaf].ours}`)),
  )
  const groups = (spec as { nodes?: { data?: unknown } } | undefined)?.nodes?.data
  const left = unique([
    ...(Array.isArray(groups) && groups.length > 1 ? ['more than one data group (a database of the API has one)'] : []),
    ...leaves.flatMap((leaf) => (crateDbFields[leaf]?.ours === undefined ? `${shown(leaf)} (${crateDbFields[leaf]?.note})` : [])),
  ])
  const said = [
    'is a CrateDB manifest of the Crate Operator; send the fields of this API instead',
    ...(taken.length > 0 ? [`Where its fields go: ${fitting(taken, 450)}`] : []),
    ...(left.length > 0 ? [`Without a field here: ${fitting(left, 300)}`] : []),
  ]
  return `${said.join('. ')}. ${page}`
}

/** A leaf as people write it: without the references to Secrets. */
function shown(leaf: string): string {
  return leaf.replace(/\.secretKeyRef\.(name|key)$/, '')
}

function unique(texts: string[]): string[] {
  return [...new Set(texts)]
}

/** As many as fit into that many characters, and how many more there are. */
function fitting(texts: string[], characters: number): string {
  let length = 0
  const listed = texts.filter((text, index) => {
    length += text.length + 2
    return index === 0 || length <= characters
  })
  const more = texts.length - listed.length
  return `${listed.join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}

/** More fields than that would not help the reader. */
const mostFields = 6

/** By the table: the leaves that have the name in their path, as far as they agree. */
function namedInTable(name: string, path: readonly (string | number)[]): string | undefined {
  const leaves = leavesFor(name, path)
  if (leaves.length === 0) return undefined
  const fields = leaves.map((leaf) => crateDbFields[leaf])
  const notes = unique(fields.flatMap((field) => field?.note ?? []))
  const ours = unique(fields.flatMap((field) => field?.ours ?? []))
  const why = notes.length === 1 && fields.every((field) => field?.note !== undefined) ? `: ${notes[0]}` : ''
  if (ours.length === 0) return `is a field of the Crate Operator that this API does not have${why}`
  if (ours.length > mostFields) return `is a field of the Crate Operator with other places here; ${page}`
  return `is a field of the Crate Operator; here it is ${ours.join(', ')}${why}`
}

/** The leaves with that name which fit its place best: exactly there, below it, or anywhere if only one answer is possible. */
function leavesFor(name: string, path: readonly (string | number)[]): string[] {
  const places = placesOf(path)
  const other = path[0] === 'master' ? 'nodes.data' : 'nodes.master'
  const named = Object.keys(crateDbFields).flatMap((leaf) => {
    const names = namesOf(leaf)
    const at = names.indexOf(name)
    return at < 0 || isBelow(names.join('.'), other) ? [] : [{ leaf, parent: names.slice(0, at).join('.') }]
  })
  const there = named.filter(({ parent }) => places.includes(parent))
  const below = named.filter(({ parent }) => places.some((place) => isBelow(parent, place)))
  // The body of a database is not that of a restore.
  const ofDatabase = (all: typeof named) => all.filter(({ parent }) => !isBelow(parent, restoreAt))
  const fitting = there.length > 0 ? there : below
  if (fitting.length > 0) return (ofDatabase(fitting).length > 0 ? ofDatabase(fitting) : fitting).map(({ leaf }) => leaf)
  const elsewhere = ofDatabase(named).map(({ leaf }) => leaf)
  return new Set(elsewhere.map((leaf) => crateDbFields[leaf]?.ours ?? crateDbFields[leaf]?.note)).size === 1 ? elsewhere : []
}

const restoreAt = 'cluster.restoreSnapshot'

/** The names of a leaf below `spec`, without the references to Secrets. */
function namesOf(leaf: string): string[] {
  return leaf.startsWith('spec.') ? shown(leaf).replaceAll('[]', '').split('.').slice(1) : []
}

/** Where the Crate Operator has the members of the object that a field of a body is in. */
function placesOf(path: readonly (string | number)[]): string[] {
  const parents = path.slice(0, -1).filter((each) => typeof each === 'string')
  if (parents.length === 0) return ['', 'cluster']
  const [first, ...rest] = parents.map((each) => (each === 'azureBlob' ? 'azure_blob' : each))
  const firsts = first === 'nodes' ? ['nodes', 'nodes.data'] : first === 'master' ? ['nodes.master'] : [first, `cluster.${first}`]
  return firsts.map((each) => [each, ...rest].join('.'))
}

function isBelow(path: string, place: string): boolean {
  return place === '' || path === place || path.startsWith(`${place}.`)
}

/** Without the separators and the case of other APIs. */
function plain(name: string): string {
  return name.slice(0, 100).toLowerCase().replaceAll(/[-_]/g, '')
}

const instead = (ours: string) => `is not a field here; use ${ours}`

/** Fields of CrateDB Cloud, of Amazon RDS and of Kubernetes, as `plain` writes them. */
const others = new Map<string, string>([
  ['crateversion', instead('version')],
  ['engineversion', instead('version')],
  ['engine', 'is not a field here: every database is a CrateDB'],
  ['hardwarespecs', instead('nodes.cpu, nodes.memory and nodes.disk')],
  ['cpuspernode', instead('nodes.cpu')],
  ['memorypernodebytes', instead('nodes.memory, a quantity such as "4Gi"')],
  ['disksizepernodebytes', instead('nodes.disk.size, a quantity such as "64Gi"')],
  ['diskspernode', instead('nodes.disk.count')],
  ['disktype', instead('nodes.disk.storageClass')],
  ['heapsizebytes', instead('nodes.heapRatio, a share of nodes.memory')],
  ['numnodes', instead('nodes.count')],
  ['count', instead('nodes.count, or nodes.disk.count for the volumes of each node')],
  ['ipwhitelist', instead('allowedCIDRs')],
  ['backupschedule', instead('backups.aws.cron or backups.azureBlob.cron')],
  ['username', instead('users[].name')],
  ['masterusername', instead('users[].name')],
  ['masteruserpassword', instead('users[].password')],
  ['allocatedstorage', instead('nodes.disk.size, a quantity such as "64Gi"')],
  ['dbinstanceclass', instead('nodes.cpu and nodes.memory')],
  ['dbinstanceidentifier', 'is not a field here: the id is in the path'],
  ['productname', instead('nodes, which says how many cores, how much memory and which disks')],
  ['producttier', instead('nodes, which says how many cores, how much memory and which disks')],
  ['productunit', instead('nodes.count')],
  ['projectid', 'is not a field here: the project is in the path'],
  ['channel', instead('version')],
  ['data', 'is not a field here: nodes is the one data group, with count, cpu, memory and disk'],
  ['region', 'is not a field here: each region has an agent of its own; that of a bucket is in backups'],
  ['restoresnapshot', instead('actions/restore')],
  ['secretkeyref', 'is not a field here; send the value itself: the agent writes the Secret'],
  ['metadata', instead('labels and annotations; the name is in the path')],
  ['spec', 'is not a field here: its members stand at the top of the body'],
])
