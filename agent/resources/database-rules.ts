import { isDeepStrictEqual } from 'node:util'
import type { BodyFault } from '../../shared/errors.ts'
import { pointerTo } from '../../shared/json-pointer.ts'
import { compareBytes } from '../../shared/kubernetes/quantity.ts'
import { type AllowedKeys, disallowedKeys } from './allowed-keys.ts'
import { unsupportedBackups } from './backup-place.ts'
import type { NodeGroup, StoredDatabaseSpec } from './database.ts'
import { type QuotaFacts, quotaExceeded } from './database-usage.ts'
import { type EndpointRules, endpointFault } from './endpoint.ts'
import type { DatabaseTarget, StorageClassFacts } from './kind.ts'
import { compareReleases, releaseOf } from './release.ts'
import { snapshotFaults } from './snapshots.ts'

/** Everything that a decision about a database depends on. */
export type DatabaseFacts = QuotaFacts & {
  target: DatabaseTarget
  storageClasses: StorageClassFacts[]
  /**
   * `changedSecrets`: places of secrets whose value differs from that in the cluster. `missingSecrets`: those that a creation lacks, from
   * `secretsNeeded`.
   */
  changedSecrets?: string[]
  missingSecrets?: string[]
  /** Whether the job of its backups has a variable for the address of a store; undefined before it is created. */
  backupEndpointIsRead?: boolean | undefined
  allowedKeys: AllowedKeys
  endpoints: EndpointRules
}

/** The faults of a request, by type of problem. */
export type Refusal = { type: 'invalid-fields' | 'unsupported-edit' | 'quota-exceeded'; faults: BodyFault[] }

type Rule = (facts: DatabaseFacts) => BodyFault[]
/** A rule about an edit. It applies only to a database that exists. */
type EditRule = (current: StoredDatabaseSpec, wanted: StoredDatabaseSpec, facts: DatabaseFacts) => BodyFault[]

const recreate = 'to change it, create a new database and restore a snapshot into it'

/** Every reason to refuse a request before anything is written; empty if there is none. */
export function refusals(facts: DatabaseFacts): Refusal[] {
  const { current, wanted } = facts
  const invalid = [
    severalGroups,
    unknownStorageClass,
    unknownHeapDumpClass,
    traefikWithoutHostname,
    suspendedFromTheStart,
    missingSecret,
    innerEndpoint,
    impossibleSnapshots,
    disallowedLabel,
  ]
  const edits = current ? editFaults(current, wanted, facts) : []
  return [
    { type: 'invalid-fields' as const, faults: invalid.flatMap((rule) => rule(facts)) },
    { type: 'unsupported-edit' as const, faults: edits },
    { type: 'quota-exceeded' as const, faults: quotaExceeded(facts) },
  ].filter(({ faults }) => faults.length > 0)
}

/** Of several rules that find the same place at fault, the first one speaks: what can never be is not also forbidden for the moment. */
function editFaults(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec, facts: DatabaseFacts): BodyFault[] {
  const found: BodyFault[] = []
  for (const rule of Object.values(unsupportedEdits)) {
    const known = new Set(found.map(({ path }) => path))
    found.push(...rule(current, wanted, facts).filter(({ path }) => !known.has(path)))
  }
  return found
}

const severalGroups: Rule = ({ wanted, current }) =>
  current === undefined && wanted.otherGroups !== undefined && wanted.otherGroups.length > 0
    ? [{ path: '/otherGroups', message: 'must be left out: a database of the API has one data group, "nodes"' }]
    : []

const unknownStorageClass: Rule = ({ wanted, current, storageClasses }) =>
  groups(wanted)
    // A request that does not change the class is not at fault if the class no longer exists.
    .filter(({ group, of }) => group.disk.storageClass !== (current && of(current)?.disk.storageClass))
    .filter(({ group }) => !storageClasses.some(({ name }) => name === group.disk.storageClass))
    .map(({ path }) => ({
      path: `${path}/disk/storageClass`,
      message: `is not a storage class of this cluster: ${known(storageClasses)}`,
    }))

// Its pods would wait forever for that volume. An existing database keeps the class that it was created with.
const unknownHeapDumpClass: Rule = ({ current, storageClasses, heapDumpVolume: { storageClass } }) => {
  if (current || storageClass === undefined || storageClasses.some(({ name }) => name === storageClass)) return []
  const message = `cannot start here: the Crate Operator gives each a heap-dump volume of the storage class ${storageClass}, which this cluster does not have (${known(storageClasses)}); have the class made, or another one set in the operator's CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS`
  return [{ path: '/nodes', message }]
}

function known(storageClasses: StorageClassFacts[]): string {
  const names = storageClasses.map(({ name, isDefault }) => (isDefault ? `${name} (default)` : name)).sort()
  return names.length === 0 ? 'the cluster has none' : `there are ${names.join(', ')}`
}

// The operator refuses it with a PermanentError, after the object was accepted.
const traefikWithoutHostname: Rule = ({ wanted: { exposure } }) =>
  exposure.type === 'traefik' && exposure.hostname === undefined
    ? [{ path: '/exposure/hostname', message: 'is needed for traefik, which tells databases apart by their host names' }]
    : []

// The bootstrap runs SQL in a node, so a creation without nodes never ends.
const suspendedFromTheStart: Rule = ({ wanted, current }) =>
  current === undefined && wanted.suspended
    ? [{ path: '/suspended', message: 'must be false for a new database: create it running, then use actions/suspend' }]
    : []

const missingSecret: Rule = ({ missingSecrets = [] }) =>
  missingSecrets.map((place) => ({
    path: pointerTo(place.split('.')),
    message: `is required when ${place.startsWith('snapshots.') ? 'snapshots are set up' : 'the database is created'}`,
  }))

const innerEndpoint: Rule = ({ wanted, current, endpoints }) =>
  [
    { path: '/backups/aws/endpointUrl', of: (spec: StoredDatabaseSpec) => spec.backups?.aws?.endpointUrl },
    { path: '/snapshots/s3/endpointUrl', of: (spec: StoredDatabaseSpec) => spec.snapshots?.s3.endpointUrl },
  ].flatMap(({ path, of }) => {
    const url = of(wanted)
    if (url === undefined || (current && url === of(current))) return []
    const message = endpointFault(url, endpoints)
    return message === undefined ? [] : [{ path, message }]
  })

const impossibleSnapshots: Rule = ({ wanted }) => snapshotFaults(wanted)

// Those of an existing database cannot change, whatever is allowed.
const disallowedLabel: Rule = ({ wanted, current, allowedKeys }) =>
  current ? [] : (['labels', 'annotations'] as const).flatMap((member) => disallowedKeys(member, wanted[member], undefined, allowedKeys))

/** Edits that the Crate Operator accepts, but ignores or performs only in part (crate-operator.md, sections 3 and 7). */
const unsupportedEdits: Record<string, EditRule> = {
  renamed: (current, wanted) =>
    current.id === wanted.id ? [] : [{ path: '/id', message: `must stay "${current.id}": a database cannot be renamed` }],

  otherGroups: ({ otherGroups: is = [] }, { otherGroups: wants = [] }) =>
    isDeepStrictEqual(is, wants)
      ? []
      : [{ path: '/otherGroups', message: 'must stay as a read shows it, or be left out: these groups can only be changed with kubectl' }],

  shrunkDisk: (current, wanted) =>
    groups(wanted).flatMap(({ path, group, of }) => {
      const is = of(current)
      if (!is || (compareBytes(group.disk.size, is.disk.size) ?? 0) >= 0) return []
      return [{ path: `${path}/disk/size`, message: `must be at least ${is.disk.size}: volumes cannot shrink; ${recreate}` }]
    }),

  unexpandableDisk: (current, wanted, { storageClasses }) =>
    groups(wanted).flatMap(({ path, group, of }) => {
      const is = of(current)
      const found = storageClasses.find(({ name }) => name === is?.disk.storageClass)
      if (!is || found?.expandable || (compareBytes(group.disk.size, is.disk.size) ?? 0) <= 0) return []
      if (!found) {
        const gone = `must stay ${is.disk.size}: the storage class ${is.disk.storageClass} no longer exists, and volumes cannot grow without it; create it again`
        return [{ path: `${path}/disk/size`, message: gone }]
      }
      const message = `must stay ${is.disk.size}: the storage class ${found.name} does not allow volumes to grow; have allowVolumeExpansion set on it, if its provisioner can, or ${recreate.slice('to change it, '.length)}`
      return [{ path: `${path}/disk/size`, message }]
    }),

  fixedDisk: (current, wanted) =>
    groups(wanted).flatMap(({ path, group, of }) => {
      const is = of(current)
      if (!is) return []
      return [
        ...fixed(`${path}/disk/count`, is.disk.count, group.disk.count, recreate),
        ...fixed(`${path}/disk/storageClass`, is.disk.storageClass, group.disk.storageClass, recreate),
      ]
    }),

  heapRatioAlone: (current, wanted) =>
    groups(wanted).flatMap(({ path, group, of }) => {
      const is = of(current)
      if (!is || is.heapRatio === group.heapRatio || is.cpu !== group.cpu || compareBytes(is.memory, group.memory) !== 0) return []
      return [
        {
          path: `${path}/heapRatio`,
          message: `takes effect only together with a change of cpu or memory; keep ${is.heapRatio} until then`,
        },
      ]
    }),

  masterAddedOrRemoved: (current, wanted) => {
    if (Boolean(current.master) === Boolean(wanted.master)) return []
    const now = current.master
      ? 'has dedicated master nodes, and they cannot be removed'
      : 'has no dedicated master nodes, and they cannot be added'
    return [{ path: '/master', message: `the database ${now}; create a new database and restore a snapshot into it` }]
  },

  downgraded: ({ version: is }, { version: wants }) => {
    const [from, to] = [releaseOf(is), releaseOf(wants)]
    if (compareReleases(to, from) < 0) {
      return [
        {
          path: '/version',
          message: `must be at least ${is}: CrateDB cannot read the data of a newer release; ${recreate.replace('change it', 'have another release')}`,
        },
      ]
    }
    if ((to[0] ?? 0) > (from[0] ?? 0) + 1) {
      return [
        {
          path: '/version',
          message: `cannot go from ${is} to ${wants}: CrateDB reads the data of one major release before its own; upgrade to ${(from[0] ?? 0) + 1}.x first`,
        },
      ]
    }
    return []
  },

  otherUsers: (current, wanted) => {
    const [is, wants] = [current.users.map(({ name }) => name), wanted.users.map(({ name }) => name)]
    const added = wants.filter((name) => !is.includes(name))
    const removed = is.filter((name) => !wants.includes(name))
    const order = added.length === 0 && removed.length === 0 && is.some((name, index) => name !== wants[index])
    return [
      ...added.map((name) => ({
        path: pointerTo(['users', wants.indexOf(name)]),
        message: `the user "${name}" cannot be added here; do it with SQL: CREATE USER "${name}" WITH (password = …)`,
      })),
      ...removed.map((name) => ({
        path: '/users',
        message: `the user "${name}" must stay in the list; to remove it use SQL: DROP USER "${name}", and keep it here`,
      })),
      ...(order ? [{ path: '/users', message: `must keep its order: ${is.join(', ')}` }] : []),
    ]
  },

  otherPassword: (_current, wanted, { changedSecrets = [] }) =>
    wanted.users.flatMap(({ name }, index) =>
      changedSecrets.includes(`users.${index}.password`)
        ? [
            {
              path: pointerTo(['users', index, 'password']),
              message: `cannot be changed here; use actions/rotate-password for the user "${name}"`,
            },
          ]
        : [],
    ),

  // The passwords are environment variables of pods, and nothing would restart these.
  otherKeystorePassword: (_current, _wanted, { changedSecrets = [] }) =>
    ['keystorePassword', 'keystoreKeyPassword']
      .filter((field) => changedSecrets.includes(`ssl.${field}`))
      .map((field) => ({
        path: pointerTo(['ssl', field]),
        message: 'cannot be changed; give the new keystore the passwords of the old one',
      })),

  otherSettings: (current, wanted) =>
    otherEntries(
      'settings',
      current.settings,
      wanted.settings,
      (name) => `set it with SQL, if CrateDB allows it at run time: SET GLOBAL PERSISTENT "${name}" = …`,
    ),

  otherLabels: (current, wanted) =>
    otherEntries('labels', current.labels, wanted.labels, () => 'the Crate Operator copies labels at creation only'),

  otherAnnotations: (current, wanted) =>
    otherEntries('annotations', current.annotations, wanted.annotations, () => 'the Crate Operator copies annotations at creation only'),

  sslAddedOrRemoved: (current, wanted) => {
    if (Boolean(current.ssl) === Boolean(wanted.ssl)) return []
    return [
      {
        path: '/ssl',
        message: `cannot be ${current.ssl ? 'removed' : 'added'} after creation; create a new database and restore a snapshot into it`,
      },
    ]
  },

  otherBackups: (current, wanted, { backupEndpointIsRead = current.backups?.aws?.endpointUrl !== undefined }) =>
    unsupportedBackups(current, wanted, { endpointIsRead: backupEndpointIsRead }),

  // A change together with the type takes effect: then the operator creates the Service or the route again.
  otherHostname: (current, wanted) => {
    if (current.exposure.type !== wanted.exposure.type || current.exposure.hostname === wanted.exposure.hostname) return []
    const { type, hostname } = current.exposure
    const message = `must ${hostname === undefined ? 'stay unset' : `stay "${hostname}"`} while the type stays ${type}: the Crate Operator looks at it only when the type changes; point another name to the address in your DNS`
    return [{ path: '/exposure/hostname', message }]
  },

  changedWhileSuspended,
}

/** The operator waits up to a day for the database to answer before it makes one of these changes, or ignores the change. */
function changedWhileSuspended(current: StoredDatabaseSpec, wanted: StoredDatabaseSpec): BodyFault[] {
  if (!current.suspended || !wanted.suspended) return []
  const paths = groups(wanted).flatMap(({ path, group, of }) => {
    const is = of(current)
    if (!is) return []
    return [
      ...(is.count === group.count ? [] : [`${path}/count`]),
      ...(is.cpu === group.cpu ? [] : [`${path}/cpu`]),
      ...(compareBytes(is.memory, group.memory) === 0 ? [] : [`${path}/memory`]),
      ...(compareBytes(is.disk.size, group.disk.size) === 0 ? [] : [`${path}/disk/size`]),
    ]
  })
  if (current.version !== wanted.version) paths.push('/version')
  if (current.exposure.type !== wanted.exposure.type) paths.push('/exposure/type')
  return paths.map((path) => ({
    path,
    message: 'cannot be changed while the database is suspended; set suspended to false in the same request, or use actions/resume first',
  }))
}

/** Each group of nodes with its path in the request, and the same group of another spec. */
function groups(spec: StoredDatabaseSpec): { path: string; group: NodeGroup; of: (other: StoredDatabaseSpec) => NodeGroup | undefined }[] {
  return [
    { path: '/nodes', group: spec.nodes, of: (other) => other.nodes },
    ...(spec.master ? [{ path: '/master', group: spec.master, of: (other: StoredDatabaseSpec) => other.master }] : []),
  ]
}

function fixed(path: string, is: unknown, wants: unknown, instead: string): BodyFault[] {
  if (is === wants) return []
  const stay = is === undefined ? 'stay unset' : `stay ${JSON.stringify(is)}`
  return [{ path, message: `must ${stay}; ${instead}` }]
}

function otherEntries(
  field: string,
  is: Record<string, string>,
  wants: Record<string, string>,
  instead: (name: string) => string,
): BodyFault[] {
  const names = [...new Set([...Object.keys(is), ...Object.keys(wants)])]
  return names.flatMap((name) => fixed(pointerTo([field, name]), ownText(is, name), ownText(wants, name), instead(name)))
}

function ownText(map: Record<string, string>, name: string): string | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined
}
