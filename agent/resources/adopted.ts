import type { BodyFault } from '../../shared/errors.ts'
import { asFault, parseWith } from '../../shared/faults.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { compareBytes } from '../../shared/kubernetes/quantity.ts'
import { readDatabase, recordedCounts } from './cratedb.ts'
import { crateDbFields, leavesIn } from './cratedb-fields.ts'
import { databaseSpec, type StoredDatabaseSpec } from './database.ts'
import { userSecretName } from './database-secrets.ts'

/*
 * A CrateDB that kubectl or another tool made is a database of the API too. What the API can neither show nor change of it is listed in its
 * status, and stays as it is (decision 26).
 */

/** A part of a CrateDB that the API cannot show or change. `part`: a field of the CrateDB, or of the API as a JSON pointer. */
export type UnsupportedPart = { part: string; message: string }

/** The parts of a CrateDB that the API cannot show or change; empty for those that it made itself. Never throws. */
export function unsupportedParts(object: KubernetesObject): UnsupportedPart[] {
  const spec = readDatabase(object)
  return [
    ...inexpressible(spec).map(({ path, message }) => ({ part: path, message: `The API would refuse this value: it ${message}.` })),
    ...fieldsWithoutPlace(object),
    ...otherNames(object),
    ...groups(spec),
    ...lowerRequests(object),
    ...uncounted(object, spec),
    ...foreignPasswords(object),
    ...foreignCredentials(object),
  ]
}

/** The values of a database that the schema of the API refuses. */
export function inexpressible(spec: StoredDatabaseSpec): BodyFault[] {
  const parsed = parseWith(databaseSpec, spec)
  return parsed.ok ? [] : parsed.faults.map((fault) => asFault(fault))
}

/** Fields that say something else only if they differ from what the API writes. */
const compared = new Set(['spec.cluster.imageRegistry', 'spec.cluster.name', 'spec.nodes.data[].name'])

function fieldsWithoutPlace({ spec }: KubernetesObject): UnsupportedPart[] {
  const leaves = leavesIn(spec, 'spec').filter((leaf) => !compared.has(leaf))
  const found = leaves.flatMap((leaf) => {
    const { ours, note } = crateDbFields[leaf] ?? {}
    return ours === undefined && note !== undefined
      ? [{ part: leaf.replace(/\.secretKeyRef\.(name|key)$/, ''), message: sentence(note) }]
      : []
  })
  return found.filter(({ part }, index) => found.findIndex((other) => other.part === part) === index)
}

function otherNames({ metadata, spec }: KubernetesObject): UnsupportedPart[] {
  const name = spec?.cluster?.name
  if (name === metadata.name || name === undefined) return []
  return [{ part: 'spec.cluster.name', message: `The cluster is called ${JSON.stringify(name)}, not as the database.` }]
}

function groups({ otherGroups = [] }: StoredDatabaseSpec): UnsupportedPart[] {
  if (otherGroups.length === 0) return []
  const message = `There are ${otherGroups.length + 1} data groups. "nodes" is the first, and "otherGroups" shows the others: they are suspended, resumed, restarted and deleted with the first, and change in no other way.`
  return [{ part: 'spec.nodes.data', message }]
}

function lowerRequests({ spec }: KubernetesObject): UnsupportedPart[] {
  const { data = [], master } = spec?.nodes ?? {}
  const all = [...(Array.isArray(data) ? data : []).map((group, index) => [`data[${index}]`, group]), ['master', master]]
  return all.flatMap(([at, group]) => {
    const { limits = {}, requests = {} } = group?.resources ?? {}
    const isEqual =
      (requests.cpu === undefined || requests.cpu === limits.cpu) &&
      (requests.memory === undefined || compareBytes(String(requests.memory), String(limits.memory)) === 0)
    if (isEqual) return []
    const message = 'The requests differ from the limits. A read shows the limits; a change of "cpu" or "memory" sets both.'
    return [{ part: `spec.nodes.${at}.resources.requests`, message }]
  })
}

/** Why a suspended database cannot be resumed without a number of nodes; undefined if the number is known. */
export function uncountedWhy(object: KubernetesObject, { suspended, otherGroups = [] }: StoredDatabaseSpec): string | undefined {
  if (!suspended || recordedCounts(object) !== undefined) return undefined
  const why = 'how many nodes it had is not recorded, since another tool suspended it'
  if (otherGroups.length === 0) return `${why}; patch suspended: false together with nodes.count`
  return `${why}; set the replicas of its data groups with kubectl`
}

function uncounted(object: KubernetesObject, spec: StoredDatabaseSpec): UnsupportedPart[] {
  const why = uncountedWhy(object, spec)
  return why === undefined ? [] : [{ part: '/nodes/count', message: sentence(why) }]
}

type UserReference = { name?: string; password?: { secretKeyRef?: { name?: string; key?: string } } }

/** The users in the spec of a CrateDB; undefined if it has no list of them. */
export function usersOf({ spec }: KubernetesObject): UserReference[] | undefined {
  return Array.isArray(spec?.users) ? spec.users : undefined
}

/**
 * Whether the operator can set a password that changes in this Secret: it takes the name of the CrateDB from the name of the Secret
 * (handle_update_user_password_secret.py).
 */
export function isUserSecret(name: string | undefined, database: string): boolean {
  const [, of] = /^user-password-(.+)-\d+$/.exec(name ?? '') ?? []
  return of === database
}

/** Why no password can be changed in the namespace of a CrateDB without `spec.users`, and what to do about it. */
export function withoutUsers({ metadata: { namespace, name } }: KubernetesObject): string {
  return `the CrateDB ${namespace}/${name} has no spec.users, and the Crate Operator changes no password in a namespace with such a CrateDB; give it an empty list: kubectl --namespace ${namespace} patch cratedb ${name} --type merge --patch '{"spec":{"users":[]}}'`
}

function foreignPasswords(object: KubernetesObject): UnsupportedPart[] {
  const { name: database } = object.metadata
  const users = usersOf(object)
  if (users === undefined) return [{ part: 'spec.users', message: sentence(withoutUsers(object)) }]
  return users.flatMap(({ password }, index) => {
    const { name } = password?.secretKeyRef ?? {}
    if (isUserSecret(name, database)) return []
    const message = `The password cannot be rotated: its Secret ${name} is not named as the Crate Operator needs it, such as ${userSecretName(database, index)}.`
    return [{ part: `spec.users[${index}].password`, message }]
  })
}

/** The references whose Secrets the API writes, by their place in a request. */
const credentials = [
  { place: 'backups.aws.accessKeyId', path: ['backups', 'aws', 'accessKeyId'], secret: 'backup', key: 'access-key-id' },
  { place: 'backups.aws.secretAccessKey', path: ['backups', 'aws', 'secretAccessKey'], secret: 'backup', key: 'secret-access-key' },
  { place: 'backups.azureBlob.accountKey', path: ['backups', 'azure_blob', 'accountKey'], secret: 'backup', key: 'account-key' },
  { place: 'ssl.keystore', path: ['cluster', 'ssl', 'keystore'], secret: 'ssl', key: 'keystore' },
  { place: 'ssl.keystorePassword', path: ['cluster', 'ssl', 'keystorePassword'], secret: 'ssl', key: 'keystore-password' },
  { place: 'ssl.keystoreKeyPassword', path: ['cluster', 'ssl', 'keystoreKeyPassword'], secret: 'ssl', key: 'keystore-key-password' },
]

/** The credentials that are in Secrets of another tool, which the API does not write: the place in a request, and the Secret. */
export function foreignSecrets({ metadata, spec }: KubernetesObject): { place: string; part: string; secret: string }[] {
  return credentials.flatMap(({ place, path, secret, key }) => {
    // biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
    const reference = path.reduce<any>((at, name) => at?.[name], spec)?.secretKeyRef
    if (reference === undefined || (reference.name === `${secret}-${metadata.name}` && reference.key === key)) return []
    return [{ place, part: `spec.${path.join('.')}`, secret: String(reference.name) }]
  })
}

function foreignCredentials(object: KubernetesObject): UnsupportedPart[] {
  return foreignSecrets(object).map(({ part, secret }) => ({
    part,
    message: `It is in the Secret ${secret} of another tool, which the API does not overwrite. Change it there.`,
  }))
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}
