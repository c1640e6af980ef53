import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import type { StoredDatabaseSpec } from './database.ts'
import type { DatabaseShape } from './kept-volume.ts'

/**
 * A deleted database that somebody can still have back: what it was, and where its data is. It is in the agent's own namespace, since the
 * namespace of the project may be gone as well.
 */
export type RetainedDatabase = KubernetesObject & {
  kind: 'RetainedDatabase'
  metadata: ObjectMeta
  spec: RetainedDatabaseSpec
  status?: RetainedDatabaseStatus
}

/** Why the database is retained: an operation deleted it, somebody did without Skerry, or only its volumes were found. */
export const retainedOrigins = ['operation', 'outside', 'found'] as const

export type RetainedDatabaseSpec = {
  project: string
  database: string
  /** Of the CrateDB; undefined if only volumes were found. */
  uid?: string
  origin: (typeof retainedOrigins)[number]
  /** RFC 3339. When it was found, if nobody knows when it was deleted. */
  deletedAt: string
  /** The name of the identity, or in words. */
  deletedBy: string
  /** The entry of the ledger. */
  operation?: string
  /** RFC 3339. Its data is deleted then; undefined: nobody decided that it may go. */
  expiresAt?: string
  /** The state that was last accepted; undefined if nobody knows it. */
  wanted?: StoredDatabaseSpec
  /** The CrateDB as it stood, without what the operator wrote. It contains no secrets. */
  cratedb?: { labels: Record<string, string>; annotations: Record<string, string>; spec: Record<string, unknown> }
  /** What the volumes themselves say of it. */
  shape?: DatabaseShape
  volumes: RetainedDatabaseVolume[]
  /** The names of its Secrets, whose content is in the Secret `retained-<name>`. */
  secrets: string[]
}

/** A volume that holds data of a deleted database. */
export type RetainedDatabaseVolume = {
  /** The PersistentVolume. */
  volume: string
  uid: string
  /** `NAMESPACE/CLAIM` */
  claim: string
  capacity?: string
  storageClass?: string
  /** The storage driver's name for it; a path for a volume of the host. */
  handle?: string
}

export const retainedPhases = ['Kept', 'Undeleting', 'Purging', 'PurgeIncomplete'] as const

export type RetainedDatabaseStatus = {
  phase: (typeof retainedPhases)[number]
  /** A sentence for people. */
  message?: string
  /** After a purge: the volumes that the storage did not delete, and why. */
  left?: { volume: string; why: string }[]
}
