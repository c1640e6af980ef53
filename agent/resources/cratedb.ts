import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { formatBytes, parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'
import { canonicalCidr, isLoopback } from './cidr.ts'
import type { NodeGroup, Rehearsal, StoredBackups, StoredDatabaseSpec } from './database.ts'
import { databaseLabels, desiredSecrets, userSecretName } from './database-secrets.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from './kind.ts'
import { annotation, label } from './labels.ts'
import { readSnapshots, type StoredSnapshots } from './snapshots.ts'

/** Settings that all CrateDBs of a region share. */
export type DatabaseOptions = {
  /** Repository of CrateDB's image; the image is `<imageRegistry>:<version>`. */
  imageRegistry: string
}

/** Members of the API's database for which a CrateDB has no field. They are kept in an annotation. */
type KeptByAnnotation = Pick<StoredDatabaseSpec, 'deletionProtection' | 'retainVolumes'> & {
  /** The labels of the request. The object also has Skerry's labels, and perhaps those of others. */
  labels: Record<string, string>
  /** Bucket, region and so on: the CrateDB only refers to the Secret that holds them. */
  backups?: { aws?: object; azureBlob?: object }
  /** Skerry's own backups, of which the operator knows nothing. */
  snapshots?: StoredSnapshots
  rehearsal?: Rehearsal
}

/**
 * The operator treats an absent or empty list as "everybody" (exposure.py), so "nobody" needs an entry. No packet can arrive from the
 * loopback network (RFC 1122, section 3.2.1.3). IPv4 only: because of an IPv6 entry, some cloud providers refuse the whole load balancer, and
 * without its address the operator never completes a resume.
 */
const nobody = ['127.0.0.1/32']
const everybody = ['0.0.0.0/0', '::/0']

/** The name of the only data group. It is part of the names of volumes, so it never changes. */
export const dataGroup = 'hot'

/**
 * The objects of a database in the order in which they are written: first its Secrets, since the CrateDB refers to them.
 *
 * @throws TypeError when a value is missing in `secrets`: `secretsNeeded` returns the required ones
 */
export function desiredDatabase(
  target: DatabaseTarget,
  spec: StoredDatabaseSpec,
  secrets: Secrets,
  options: DatabaseOptions,
): KubernetesObject[] {
  return [...desiredSecrets(target, spec, secrets), desiredCrateDB(target, spec, options)]
}

/** The CrateDB alone, which contains no secrets. */
export function desiredCrateDB(target: DatabaseTarget, spec: StoredDatabaseSpec, options: DatabaseOptions): KubernetesObject {
  const { database } = target
  const replicas = spec.suspended ? 0 : spec.nodes.count
  return {
    apiVersion: 'cloud.crate.io/v1',
    kind: 'CrateDB',
    metadata: {
      name: database,
      namespace: namespaceOf(target.project),
      // The operator copies the labels to everything it makes for the database.
      labels: { ...spec.labels, ...databaseLabels(target), ...(spec.rehearsal && { [label.rehearsal]: spec.rehearsal.operation }) },
      annotations: ownAnnotations(spec),
    },
    spec: {
      cluster: {
        name: database,
        version: spec.version,
        imageRegistry: options.imageRegistry,
        allowedCIDRs: openTo(spec.allowedCIDRs),
        exposure: spec.exposure.type,
        ...(spec.exposure.hostname === undefined ? {} : { externalDNS: spec.exposure.hostname }),
        ...(Object.keys(spec.settings).length === 0 ? {} : { settings: spec.settings }),
        ...(spec.ssl ? { ssl: sslReferences(database) } : {}),
      },
      nodes: {
        data: [{ name: dataGroup, replicas, ...groupSpec(spec.nodes, spec.annotations) }],
        // Suspended, the number stays: the operator resumes with it.
        ...(spec.master ? { master: { replicas: spec.master.count, ...groupSpec(spec.master, spec.annotations) } } : {}),
      },
      // Present even if empty: without this field, no password can be changed in any database of the namespace.
      users: spec.users.map(({ name }, index) => ({ name, password: secretKeyRef(userSecretName(database, index), 'password') })),
      ...(spec.backups ? { backups: backupReferences(database, spec.backups) } : {}),
    },
  }
}

/** The value of `spec.cluster.allowedCIDRs` that admits these networks and no others. */
export function openTo(networks: string[]): string[] {
  return networks.length === 0 ? nobody : networks
}

/** The annotations with the members for which the CrateDB has no field. */
export function ownAnnotations({
  nodes,
  otherGroups,
  deletionProtection,
  retainVolumes,
  labels,
  backups,
  snapshots,
  rehearsal,
}: StoredDatabaseSpec): Record<string, string> {
  const kept: KeptByAnnotation = { deletionProtection, retainVolumes, labels, ...(rehearsal && { rehearsal }) }
  if (backups?.aws) {
    const { bucket, region, endpointUrl } = backups.aws
    kept.backups = { aws: { bucket, region, endpointUrl } }
  } else if (backups?.azureBlob) {
    const { accountName, container, region } = backups.azureBlob
    kept.backups = { azureBlob: { accountName, container, region } }
  }
  if (snapshots) kept.snapshots = snapshots
  // Also written while the database runs: whoever scales it to 0 with kubectl does not record the former number.
  return { [annotation.database]: JSON.stringify(kept), [annotation.nodesWhenResumed]: countsWhenResumed(nodes, otherGroups) }
}

/** The numbers of nodes of all data groups, in their order: `3`, or `3,2` where another tool made two groups. */
export function countsWhenResumed(nodes: { count: number }, otherGroups: { count: number }[] = []): string {
  return [nodes, ...otherGroups].map(({ count }) => count).join(',')
}

/**
 * The numbers of nodes with which a suspended database resumes, by data group; undefined if they are not recorded, because another tool
 * suspended it.
 */
export function recordedCounts({ metadata, spec }: KubernetesObject): number[] | undefined {
  const counts = (metadata.annotations?.[annotation.nodesWhenResumed] ?? '').split(',').map(Number)
  const isWhole = counts.length === dataGroupsOf(spec).length && counts.every((count) => Number.isInteger(count) && count >= 0)
  return isWhole && counts.some((count) => count > 0) ? counts : undefined
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
function dataGroupsOf(spec: any): any[] {
  return Array.isArray(spec?.nodes?.data) ? spec.nodes.data : []
}

/** `resources` of a group. The requests equal the limits: with lower requests, CrateDB could be evicted in favour of other pods. */
function groupResources({ cpu, memory, heapRatio, disk }: Omit<NodeGroup, 'count'>): Record<string, unknown> {
  return { limits: { cpu, memory }, requests: { cpu, memory }, heapRatio, disk: { ...disk } }
}

function groupSpec(group: Omit<NodeGroup, 'count'>, annotations: Record<string, string>) {
  return { resources: groupResources(group), ...(Object.keys(annotations).length === 0 ? {} : { annotations }) }
}

/** A reference to one key of a Secret, as the CrateDB's fields have it. */
export function secretKeyRef(name: string, key: string) {
  return { secretKeyRef: { name, key } }
}

function sslReferences(database: string) {
  const name = `ssl-${database}`
  return {
    keystore: secretKeyRef(name, 'keystore'),
    keystorePassword: secretKeyRef(name, 'keystore-password'),
    keystoreKeyPassword: secretKeyRef(name, 'keystore-key-password'),
  }
}

function backupReferences(database: string, { aws, azureBlob }: StoredBackups) {
  const key = (name: string) => secretKeyRef(`backup-${database}`, name)
  if (azureBlob) {
    const { cron } = azureBlob
    return {
      azure_blob: {
        cron,
        accountName: key('account-name'),
        accountKey: key('account-key'),
        container: key('container'),
        region: key('region'),
      },
    }
  }
  if (!aws) return {}
  return {
    aws: {
      cron: aws.cron,
      basePath: aws.basePath ?? database,
      accessKeyId: key('access-key-id'),
      secretAccessKey: key('secret-access-key'),
      bucket: key('bucket'),
      region: key('region'),
      ...(aws.endpointUrl === undefined ? {} : { endpointUrl: key('endpoint') }),
    },
  }
}

/**
 * The database that a CrateDB object describes, whoever wrote the object: after a rolled-back upgrade with the old version, after a restore
 * with the admin user of the snapshot. It never throws: members that are missing or of the wrong type take a default.
 */
export function readDatabase({ metadata, spec = {} }: KubernetesObject): StoredDatabaseSpec {
  const { cluster = {}, nodes = {}, backups } = spec
  const users: { name?: unknown }[] = Array.isArray(spec.users) ? spec.users : []
  const kept = readKept(metadata.annotations?.[annotation.database])
  const [data = {}, ...others] = dataGroupsOf(spec)
  const suspended = [data, ...others].every(({ replicas }) => replicas === 0)
  const recorded = suspended ? recordedCounts({ apiVersion: '', kind: '', metadata, spec }) : undefined
  const countOf = ({ replicas }: { replicas?: unknown }, index: number) => (suspended ? (recorded?.[index] ?? 1) : Number(replicas ?? 1))
  const storedBackups = readBackups(metadata.name, backups, kept)
  return {
    id: metadata.name,
    version: String(cluster.version ?? ''),
    nodes: { count: countOf(data, 0), ...readGroup(data) },
    ...(others.length > 0
      ? {
          otherGroups: others.map((group, index) => ({
            name: String(group.name ?? ''),
            count: countOf(group, index + 1),
            ...readGroup(group),
          })),
        }
      : {}),
    ...(nodes.master ? { master: { count: Number(nodes.master.replicas ?? 3), ...readGroup(nodes.master) } } : {}),
    users: users.map((user) => ({ name: String(user.name ?? ''), privileges: ['ALL'] })),
    allowedCIDRs: readAllowed(cluster.allowedCIDRs),
    settings: texts(cluster.settings),
    labels: kept.labels,
    annotations: texts(data.annotations),
    ...(cluster.ssl ? { ssl: {} } : {}),
    ...(storedBackups ? { backups: storedBackups } : {}),
    ...(kept.snapshots ? { snapshots: kept.snapshots } : {}),
    exposure: {
      type: cluster.exposure === 'traefik' ? 'traefik' : 'loadbalancer',
      ...(typeof cluster.externalDNS === 'string' ? { hostname: cluster.externalDNS } : {}),
    },
    suspended,
    deletionProtection: kept.deletionProtection,
    retainVolumes: kept.retainVolumes,
    ...(kept.rehearsal ? { rehearsal: kept.rehearsal } : {}),
  }
}

/** The content of the annotation. Without a readable one: not protected, and the volumes are kept. */
function readKept(text: string | undefined): KeptByAnnotation {
  let given: Partial<Record<keyof KeptByAnnotation, unknown>> = {}
  try {
    given = JSON.parse(text ?? '{}') ?? {}
  } catch {
    // It was edited by hand. The defaults are the careful ones, and the next change replaces it.
  }
  const backups = typeof given.backups === 'object' && given.backups !== null ? given.backups : undefined
  const snapshots = readSnapshots(given.snapshots)
  return {
    deletionProtection: given.deletionProtection === true,
    retainVolumes: given.retainVolumes !== false,
    labels: texts(given.labels),
    ...(backups ? { backups } : {}),
    ...(snapshots ? { snapshots } : {}),
    ...readRehearsal(given.rehearsal),
  }
}

function readRehearsal(given: unknown): { rehearsal?: Rehearsal } {
  const { operation, of } = texts(given)
  return operation === undefined || of === undefined ? {} : { rehearsal: { operation, of } }
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
function readGroup({ resources = {} }: any): Omit<NodeGroup, 'count'> {
  const { limits = {}, disk = {} } = resources
  return {
    // `cpus` and `memory` are older fields, which the operator falls back to.
    cpu: (parseMillicores(limits.cpu ?? resources.cpus ?? 0) ?? 0) / 1000,
    memory: canonicalBytes(limits.memory ?? resources.memory),
    heapRatio: Number(resources.heapRatio ?? 0.25),
    disk: { count: Number(disk.count ?? 1), size: canonicalBytes(disk.size), storageClass: String(disk.storageClass ?? '') },
  }
}

function canonicalBytes(text: unknown): string {
  const bytes = parseBytes(String(text ?? ''))
  return bytes === undefined ? String(text ?? '') : formatBytes(bytes)
}

function readAllowed(networks: unknown): string[] {
  if (!Array.isArray(networks) || networks.length === 0) return everybody
  const others = networks.map(String).filter((network) => !isLoopback(network))
  return others.map((network) => canonicalCidr(network) ?? network)
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
function readBackups(name: string, backups: any, kept: KeptByAnnotation): StoredBackups | undefined {
  // biome-ignore lint/suspicious/noExplicitAny: read from an annotation, so any field may be anything
  const { aws = {}, azureBlob = {} } = (kept.backups ?? {}) as any
  if (backups?.azure_blob) {
    const { accountName = '', container = '', region = '' } = azureBlob
    return {
      azureBlob: {
        accountName: String(accountName),
        container: String(container),
        region: String(region),
        cron: String(backups.azure_blob.cron ?? ''),
      },
    }
  }
  if (!backups?.aws) return undefined
  const { cron = '', basePath } = backups.aws
  const { bucket = '', region = '', endpointUrl } = aws
  return {
    aws: {
      bucket: String(bucket),
      region: String(region),
      ...(endpointUrl === undefined ? {} : { endpointUrl: String(endpointUrl) }),
      ...(basePath === undefined || basePath === name ? {} : { basePath: String(basePath) }),
      cron: String(cron),
    },
  }
}

/** The entries of a map whose values are texts, numbers or booleans, as texts. */
function texts(map: unknown): Record<string, string> {
  if (typeof map !== 'object' || map === null) return {}
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]))
}
