import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { formatBytes, parseBytes, parseMillicores } from '../../shared/kubernetes/quantity.ts'
import { canonicalCidr, isLoopback } from './cidr.ts'
import type { NodeGroup, StoredBackups, StoredDatabaseSpec } from './database.ts'
import { databaseLabels, desiredSecrets, userSecretName } from './database-secrets.ts'
import { type DatabaseTarget, namespaceOf, type Secrets } from './kind.ts'
import { annotation } from './labels.ts'

/** What every CrateDB of a region has in common. */
export type DatabaseOptions = {
  /** Repository of CrateDB's image; the image is `<imageRegistry>:<version>`. */
  imageRegistry: string
}

/** What the API's database holds and a CrateDB has no field for; kept in an annotation. */
type KeptByAnnotation = Pick<StoredDatabaseSpec, 'deletionProtection' | 'retainVolumes'> & {
  /** Those of the request. The object's own labels are these, Skerry's, and any that somebody else added. */
  labels: Record<string, string>
  /** Bucket, region and the like: the CrateDB only refers to the Secret with them. */
  backups?: { aws?: object; azureBlob?: object }
}

/**
 * The operator takes an absent or empty list for "everybody" (exposure.py), so "nobody" needs an entry. The loopback network is one
 * from which no packet can arrive (RFC 1122, section 3.2.1.3). IPv4 only: an IPv6 entry makes some cloud providers refuse the whole
 * load balancer, and without its address the operator never ends a resume.
 */
const nobody = ['127.0.0.1/32']
const everybody = ['0.0.0.0/0', '::/0']

/** The one data group's name. It is part of volumes' names, so it never changes. */
export const dataGroup = 'hot'

/**
 * A database's objects as the Crate Operator needs them: its Secrets first, since the CrateDB refers to them.
 *
 * @throws TypeError when a value is missing in `secrets`: secretsNeeded says which are needed
 */
export function desiredDatabase(
  target: DatabaseTarget,
  spec: StoredDatabaseSpec,
  secrets: Secrets,
  options: DatabaseOptions,
): KubernetesObject[] {
  return [...desiredSecrets(target, spec, secrets), desiredCrateDB(target, spec, options)]
}

/** The CrateDB alone: what needs no value of a secret. */
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
      labels: { ...spec.labels, ...databaseLabels(target) },
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
        // Their number stays while suspended: the operator takes it as the one to come back to.
        ...(spec.master ? { master: { replicas: spec.master.count, ...groupSpec(spec.master, spec.annotations) } } : {}),
      },
      // Present even when empty: without it a changed password fails in every database of the namespace.
      users: spec.users.map(({ name }, index) => ({ name, password: secretKeyRef(userSecretName(database, index), 'password') })),
      ...(spec.backups ? { backups: backupReferences(database, spec.backups) } : {}),
    },
  }
}

/** The value of `spec.cluster.allowedCIDRs` that lets in these networks and no others. */
export function openTo(networks: string[]): string[] {
  return networks.length === 0 ? nobody : networks
}

/** The annotations by which Skerry keeps what the CrateDB has no field for. */
export function ownAnnotations({ nodes, deletionProtection, retainVolumes, labels, backups }: StoredDatabaseSpec): Record<string, string> {
  const kept: KeptByAnnotation = { deletionProtection, retainVolumes, labels }
  if (backups?.aws) {
    const { bucket, region, endpointUrl } = backups.aws
    kept.backups = { aws: { bucket, region, endpointUrl } }
  } else if (backups?.azureBlob) {
    const { accountName, container, region } = backups.azureBlob
    kept.backups = { azureBlob: { accountName, container, region } }
  }
  // Written while running too: who scales to 0 with kubectl does not note where from.
  return { [annotation.database]: JSON.stringify(kept), [annotation.nodesWhenResumed]: String(nodes.count) }
}

/** `resources` of a group. Requests are the limits: with less the operator would let CrateDB be evicted for its neighbours. */
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
 * The database that a CrateDB object describes: what is really there, whoever wrote it. After a rolled-back upgrade that is the old
 * version, after a restore the admin user of the snapshot. It never throws: what is missing or of the wrong type takes a default.
 */
export function readDatabase({ metadata, spec = {} }: KubernetesObject): StoredDatabaseSpec {
  const { cluster = {}, nodes = {}, backups } = spec
  const users: { name?: unknown }[] = Array.isArray(spec.users) ? spec.users : []
  const kept = readKept(metadata.annotations?.[annotation.database])
  const data = nodes.data?.[0] ?? {}
  const suspended = data.replicas === 0
  const resumed = Number(metadata.annotations?.[annotation.nodesWhenResumed])
  const count = suspended ? (Number.isInteger(resumed) && resumed > 0 ? resumed : 1) : Number(data.replicas ?? 1)
  const storedBackups = readBackups(metadata.name, backups, kept)
  return {
    id: metadata.name,
    version: String(cluster.version ?? ''),
    nodes: { count, ...readGroup(data) },
    ...(nodes.master ? { master: { count: Number(nodes.master.replicas ?? 3), ...readGroup(nodes.master) } } : {}),
    users: users.map((user) => ({ name: String(user.name ?? ''), privileges: ['ALL'] })),
    allowedCIDRs: readAllowed(cluster.allowedCIDRs),
    settings: texts(cluster.settings),
    labels: kept.labels,
    annotations: texts(data.annotations),
    ...(cluster.ssl ? { ssl: {} } : {}),
    ...(storedBackups ? { backups: storedBackups } : {}),
    exposure: {
      type: cluster.exposure === 'traefik' ? 'traefik' : 'loadbalancer',
      ...(typeof cluster.externalDNS === 'string' ? { hostname: cluster.externalDNS } : {}),
    },
    suspended,
    deletionProtection: kept.deletionProtection,
    retainVolumes: kept.retainVolumes,
  }
}

/** What the annotation holds, or what an object without a readable one is taken for: unprotected, volumes kept. */
function readKept(text: string | undefined): KeptByAnnotation {
  let given: Partial<Record<keyof KeptByAnnotation, unknown>> = {}
  try {
    given = JSON.parse(text ?? '{}') ?? {}
  } catch {
    // Somebody edited it by hand. The defaults are the careful ones, and the next change writes it anew.
  }
  const backups = typeof given.backups === 'object' && given.backups !== null ? given.backups : undefined
  return {
    deletionProtection: given.deletionProtection === true,
    retainVolumes: given.retainVolumes !== false,
    labels: texts(given.labels),
    ...(backups ? { backups } : {}),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a part of an object of a kind that the compiler does not know
function readGroup({ resources = {} }: any): Omit<NodeGroup, 'count'> {
  const { limits = {}, disk = {} } = resources
  return {
    // The older fields that the operator falls back to.
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
