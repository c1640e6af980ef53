/** Labels and annotations that Skerry writes, and the field manager it writes with. */
export const fieldManager = 'skerry-agent'
export const managedBy = { 'app.kubernetes.io/managed-by': 'skerry' }

export const label = {
  project: 'skerry.dev/project',
  database: 'skerry.dev/database',
  /** On the Secrets that keep what must not stand in an Operation. */
  operationSecret: 'skerry.dev/operation-secret',
} as const

export const annotation = {
  /** On a CrateDB: what the API's database holds and the CrateDB has no field for, as JSON. */
  database: 'skerry.dev/database',
  /** On a CrateDB: the node count to which a suspended database comes back. */
  nodesWhenResumed: 'skerry.dev/nodes-when-resumed',
  /** On what the project controller makes: a hash of what it wanted when it applied the object last. */
  applied: 'skerry.dev/applied',
  /** On a project's namespace: `true` while the project or a database in it has deletionProtection. The chart's policy reads it. */
  deletionProtection: 'skerry.dev/deletion-protection',
  /** An administrator's: what bears it may be deleted although it is protected. The value says why. */
  allowDeletion: 'skerry.dev/allow-deletion',
  /** On cloudflared's ConfigMap and on its pods: which writing of the configuration it is. */
  tunnelRevision: 'skerry.dev/tunnel-revision',
} as const

/** On a Project, until its namespace is gone. */
export const finalizer = 'skerry.dev/project'
