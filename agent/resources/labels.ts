/** Labels and annotations that Skerry writes, and the field manager it writes with. */
export const fieldManager = 'skerry-agent'
export const managedBy = { 'app.kubernetes.io/managed-by': 'skerry' }

export const label = {
  project: 'skerry.dev/project',
  database: 'skerry.dev/database',
  /** On volume snapshots, and on the claims of a group of them: the set that was taken together. */
  snapshotSet: 'skerry.dev/volume-snapshots',
  /** On the Secrets with the values that must not be in an Operation. */
  operationSecret: 'skerry.dev/operation-secret',
  /** On a database that a rehearsal made: the name of that operation. */
  rehearsal: 'skerry.dev/rehearsal',
} as const

export const annotation = {
  /** On a CrateDB: members of the API's database for which the CrateDB has no field, as JSON. */
  database: 'skerry.dev/database',
  /** On a CrateDB: the number of nodes after a resume. */
  nodesWhenResumed: 'skerry.dev/nodes-when-resumed',
  /** On a CrateDB: what became of its own backups, as JSON. */
  backups: 'skerry.dev/backups',
  /** On objects of the project controller: a hash of the object as it was last applied. */
  applied: 'skerry.dev/applied',
  /** On a project's namespace: `true` while the project or a database in it has deletionProtection. The chart's policy reads it. */
  deletionProtection: 'skerry.dev/deletion-protection',
  /** On a VolumeSnapshot: the manifest of the claim that gives a database its volume back. */
  snapshotClaim: 'skerry.dev/claim',
  /** Set by an administrator: the object may be deleted although it is protected. The value says why. */
  allowDeletion: 'skerry.dev/allow-deletion',
  /** On the Registration, set by a person: a new text makes the region ask its cloud again where it rests. */
  askAgain: 'skerry.dev/ask-again',
  /** On cloudflared's ConfigMap: the revision of the configuration. */
  tunnelRevision: 'skerry.dev/tunnel-revision',
  /** On cloudflared's ConfigMap: the uids of the pods that started with an earlier revision. */
  tunnelOutdatedPods: 'skerry.dev/tunnel-outdated-pods',
} as const

/** On a Project, until its namespace is gone. */
export const finalizer = 'skerry.dev/project'
