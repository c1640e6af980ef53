/** A field of the Crate Operator's CrateDB, and its place in the API. */
export type CrateDbField = {
  /** The field of the API that sets it; undefined if there is none. */
  ours?: string
  /** Why there is none, or how the API's field differs. Continues a sentence. */
  note?: string
}

type Table = { [leaf: string]: CrateDbField }

const is = (ours: string, note?: string): CrateDbField => (note === undefined ? { ours } : { ours, note })
const not = (note: string): CrateDbField => ({ note })

/** The two leaves of a reference to a Secret. The API takes the value, and writes the Secret itself. */
function reference(leaf: string, field: CrateDbField): Table {
  return { [`${leaf}.secretKeyRef.name`]: field, [`${leaf}.secretKeyRef.key`]: field }
}

const value = 'the value itself: the agent writes the Secret'
const whole = 'for all nodes of the database; a group has none of its own'
const requests = 'requests always equal the limits: with lower ones, a node could be evicted in favour of other pods'
const older = 'an older form of the limits'

/** The leaves of a group of nodes. @param ours the member of the API for it */
function group(at: string, ours: string): Table {
  const resources = `${at}.resources`
  return {
    [`${at}.replicas`]: is(`${ours}.count`, 'to stop all nodes, use actions/suspend, or suspended: true'),
    [`${at}.nodepool`]: not('each node has a host of its own; in a shared pool, the nodes of a database could all be on one host'),
    [`${at}.labels`]: is('labels', whole),
    [`${at}.annotations`]: is('annotations', whole),
    [`${at}.settings`]: is('settings', whole),
    [`${resources}.limits.cpu`]: is(`${ours}.cpu`),
    [`${resources}.limits.memory`]: is(`${ours}.memory`),
    [`${resources}.requests.cpu`]: is(`${ours}.cpu`, requests),
    [`${resources}.requests.memory`]: is(`${ours}.memory`, requests),
    [`${resources}.cpus`]: is(`${ours}.cpu`, older),
    [`${resources}.memory`]: is(`${ours}.memory`, older),
    [`${resources}.heapRatio`]: is(`${ours}.heapRatio`),
    [`${resources}.disk.count`]: is(`${ours}.disk.count`),
    [`${resources}.disk.size`]: is(`${ours}.disk.size`),
    [`${resources}.disk.storageClass`]: is(`${ours}.disk.storageClass`),
  }
}

const restore = (field: string, note?: string) => is(`${field} of actions/restore`, note)
const ports = not("the operator's Services keep 4200 and 5432 whatever is set, so other ports make a database unreachable")
const grandCentral = not("the console of CrateDB Cloud, which is not public; CrateDB's own console is at the HTTP address of the database")

/**
 * All fields of a CrateDB that hold a value, by their path in the CRD of the Crate Operator 2.64.0. The answers to a pasted manifest, the
 * parts of a database that the API cannot show, and docs/cratedb-fields.md derive from it.
 */
export const crateDbFields: Readonly<Table> = {
  status: not('the operator writes it; a read shows it as status'),
  'spec.cluster.name': is('id', "the cluster has the database's id as its name"),
  'spec.cluster.version': is('version'),
  'spec.cluster.imageRegistry': not("the site chooses it for all databases: databases.imageRegistry in the agent's configuration"),
  'spec.cluster.settings': is('settings', 'a list of harmless settings'),
  'spec.cluster.allowedCIDRs[]': is('allowedCIDRs', 'without it, a CrateDB is open to everybody, and a database of the API to nobody'),
  'spec.cluster.exposure': is('exposure.type'),
  'spec.cluster.externalDNS': is('exposure.hostname'),
  'spec.cluster.service.annotations': not(
    'they instruct the load balancer of the site; the site sets what all of them need in its own controller',
  ),
  ...reference('spec.cluster.license', not('the operator ignores it')),
  ...reference('spec.cluster.ssl.keystore', is('ssl.keystore', value)),
  ...reference('spec.cluster.ssl.keystorePassword', is('ssl.keystorePassword', value)),
  ...reference('spec.cluster.ssl.keystoreKeyPassword', is('ssl.keystoreKeyPassword', value)),
  'spec.cluster.restoreSnapshot.snapshot': restore('snapshot'),
  'spec.cluster.restoreSnapshot.backupProvider': restore('source', 'aws or azureBlob in it'),
  'spec.cluster.restoreSnapshot.type': restore('type'),
  'spec.cluster.restoreSnapshot.tables[]': restore('tables'),
  'spec.cluster.restoreSnapshot.sections[]': restore('sections'),
  'spec.cluster.restoreSnapshot.partitions[].table_ident': restore('partitions[].table'),
  'spec.cluster.restoreSnapshot.partitions[].columns[].name': restore('partitions[].columns[].name'),
  'spec.cluster.restoreSnapshot.partitions[].columns[].value': restore('partitions[].columns[].value'),
  ...reference('spec.cluster.restoreSnapshot.basePath', restore('source.basePath', value)),
  ...reference('spec.cluster.restoreSnapshot.accessKeyId', restore('source.aws.accessKeyId', value)),
  ...reference('spec.cluster.restoreSnapshot.secretAccessKey', restore('source.aws.secretAccessKey', value)),
  ...reference('spec.cluster.restoreSnapshot.bucket', restore('source.aws.bucket', value)),
  ...reference('spec.cluster.restoreSnapshot.endpointUrl', restore('source.aws.endpointUrl', `${value}; since 2.64.0`)),
  ...reference('spec.cluster.restoreSnapshot.accountName', restore('source.azureBlob.accountName', value)),
  ...reference('spec.cluster.restoreSnapshot.accountKey', restore('source.azureBlob.accountKey', value)),
  ...reference('spec.cluster.restoreSnapshot.container', restore('source.azureBlob.container', value)),
  'spec.nodes.data[].name': not('a database of the API has one data group, named hot'),
  ...group('spec.nodes.data[]', 'nodes'),
  ...group('spec.nodes.master', 'master'),
  'spec.ports.exporter': ports,
  'spec.ports.http': ports,
  'spec.ports.jmx': ports,
  'spec.ports.postgres': ports,
  'spec.ports.prometheus': ports,
  'spec.users[].name': is('users[].name'),
  ...reference('spec.users[].password', is('users[].password', `${value}, and generates what is left out`)),
  'spec.backups.aws.cron': is('backups.aws.cron'),
  'spec.backups.aws.basePath': is('backups.aws.basePath'),
  ...reference('spec.backups.aws.accessKeyId', is('backups.aws.accessKeyId', value)),
  ...reference('spec.backups.aws.secretAccessKey', is('backups.aws.secretAccessKey', value)),
  ...reference('spec.backups.aws.region', is('backups.aws.region', value)),
  ...reference('spec.backups.aws.bucket', is('backups.aws.bucket', value)),
  ...reference('spec.backups.aws.endpointUrl', is('backups.aws.endpointUrl', value)),
  'spec.backups.azure_blob.cron': is('backups.azureBlob.cron'),
  ...reference('spec.backups.azure_blob.accountName', is('backups.azureBlob.accountName', value)),
  ...reference('spec.backups.azure_blob.accountKey', is('backups.azureBlob.accountKey', value)),
  ...reference('spec.backups.azure_blob.container', is('backups.azureBlob.container', value)),
  ...reference('spec.backups.azure_blob.region', is('backups.azureBlob.region', value)),
  'spec.grandCentral.backendImage': grandCentral,
  'spec.grandCentral.backendEnabled': grandCentral,
  'spec.grandCentral.jwkUrl': grandCentral,
  'spec.grandCentral.apiUrl': grandCentral,
  'spec.grandCentral.exposure': grandCentral,
}

/** The leaves of the table that an object has, each once. Free-form maps such as `settings` are one leaf. */
export function leavesIn(value: unknown, at: string): string[] {
  if (crateDbFields[at] !== undefined) return [at]
  if (Array.isArray(value)) {
    if (crateDbFields[`${at}[]`] !== undefined) return [`${at}[]`]
    // Manifests have few items; a hostile body has many of one kind.
    return [...new Set(value.slice(0, 64).flatMap((item) => leavesIn(item, `${at}[]`)))]
  }
  if (typeof value !== 'object' || value === null) return []
  const known = Object.entries(value).filter(([name]) => branches.has(`${at}.${name}`))
  return [...new Set(known.flatMap(([name, inner]) => leavesIn(inner, `${at}.${name}`)))]
}

/** All paths of the table and above it, without those of the items in lists. */
const branches = new Set(
  Object.keys(crateDbFields).flatMap((leaf) => {
    const names = leaf.replaceAll('[]', '').split('.')
    return names.map((_, index) => pathsOf(leaf, index + 1))
  }),
)

/** The first names of a leaf, with the marks of lists inside but not at the end. */
function pathsOf(leaf: string, names: number): string {
  return leaf.split('.').slice(0, names).join('.').replace(/\[\]$/, '')
}
