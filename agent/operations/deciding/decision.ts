import { randomBytes } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { Clock } from '../../../shared/clock.ts'
import { type BodyFault, Problem, summaryOf } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { BucketPlace, Finding } from '../../bucket/index.ts'
import type { Caches } from '../../region/caches.ts'
import type { DatabaseSql } from '../../region/sql.ts'
import type { AllowedKeys } from '../../resources/allowed-keys.ts'
import type { BackupImage } from '../../resources/backup-image.ts'
import type { EndpointRules } from '../../resources/endpoint.ts'
import type { OperatorRelease } from '../../resources/release.ts'
import type { AcceptedState } from '../accepted.ts'
import type { Journal, Proposal } from '../journal.ts'

/** How long operations may take from their start, in milliseconds. */
export type Timeouts = { create: number; change: number; delete: number; restore: number; password: number; backup: number }

/** The data for a decision. Everything but `cluster` is in memory. */
export type DecisionParts = {
  accepted: AcceptedState
  caches: Pick<Caches, 'storageClasses' | 'databases' | 'nodes' | 'pods' | 'retained'>
  /** The volume that the Crate Operator gives each node of a new database; the class is undefined if it is unknown. */
  heapDumpVolume(): { size: string; storageClass: string | undefined }
  operatorRelease(): OperatorRelease
  /** Whether the Crate Operator can take backups itself. */
  backupImage(): BackupImage
  config: {
    /** The id of this region. */
    region: string
    imageRegistry: string
    timeouts: Timeouts
    /** The agent's own namespace, where the secrets of operations are. */
    namespace: string
    /** The labels and annotations that requests may set. */
    allowedKeys: AllowedKeys
    /** The endpoints inside the cluster that backups may use. */
    endpoints: EndpointRules
    /** Folders of hosts in which volumes may be that an import makes. */
    hostFolders: readonly string[]
  }
  journal: Pick<Journal, 'unended' | 'unendedTargets' | 'all' | 'head'>
  /** For what only a database itself knows; read before the decision too. */
  sql: DatabaseSql
  clock: Pick<Clock, 'now'>
  /** Tries a bucket as a database would use it. Resolves with what is wrong with it. */
  probe(place: BucketPlace, signal: AbortSignal): Promise<Finding[]>
  /** For secrets, which no cache holds. They are read before the decision, which waits for nothing. */
  cluster: Cluster
}

/** A generated password. It is returned once, in the answer to the request that caused it. */
export type Credential = { user: string; password: string }

/** The proposal of an action, without its name and target, which are known. */
export type Proposed = Omit<Proposal, 'action' | 'target' | 'tryOut'> & { tryOut?: KubernetesObject[]; credentials?: Credential[] }

/** Throws if the request was meant for a version of the resource other than the last accepted one. */
export type Guard = (present: unknown) => void

/**
 * Passwords for one request, by their place in it. Each place keeps its password however often the request is decided on.
 * 32 characters of the URL-safe alphabet, which are 192 bits.
 */
export function createPasswordMint(): (place: string) => string {
  const made = new Map<string, string>()
  return (place) => {
    const password = made.get(place) ?? randomBytes(24).toString('base64url')
    made.set(place, password)
    return password
  }
}

/** Milliseconds as whole seconds, at least one, for the timeout of an operation. */
export function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

/**
 * One problem for several faults of a body.
 * @param more how many there are besides `faults`
 */
export function refusal(
  type: 'invalid-fields' | 'unsupported-edit' | 'quota-exceeded' | 'wrong-state',
  faults: readonly BodyFault[],
  more = 0,
): Problem {
  return new Problem(type, summaryOf(faults, more), { faults, moreFaults: more })
}

/** @throws Problem with all faults, if there are any: `wrong-state` if one has no path, else `invalid-fields` */
export function refuseFaults(faults: BodyFault[]): void {
  if (faults.length > 0) throw refusal(faults.some(({ path }) => path === '') ? 'wrong-state' : 'invalid-fields', faults)
}

/** The fault of a request that needs running nodes; empty if the database is not suspended. */
export function isSuspended({ suspended }: { suspended: boolean }): BodyFault[] {
  return suspended ? [{ path: '', message: 'the database is suspended; use actions/resume first' }] : []
}

/** Whether the only change is that the deletion protection is turned off. */
export function onlyUnprotects<Spec extends { deletionProtection: boolean }>(wanted: Spec, present: Spec): boolean {
  return present.deletionProtection && !wanted.deletionProtection && sameJson({ ...wanted, deletionProtection: true }, present)
}

/** Equal as JSON: neither the order of keys nor a member that is undefined makes a difference. */
export function sameJson(one: unknown, other: unknown): boolean {
  return canonicalize(one) === canonicalize(other)
}
