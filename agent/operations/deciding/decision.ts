import { randomBytes } from 'node:crypto'
import canonicalize from 'canonicalize'
import { type Fault, Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import type { Caches } from '../../region/caches.ts'
import type { AcceptedState } from '../accepted.ts'
import type { Journal, Proposal } from '../journal.ts'

/** How long operations may take from their start, in milliseconds. */
export type Timeouts = { create: number; change: number; delete: number; restore: number; password: number }

/** What a decision looks at: everything but `cluster` is in memory. */
export type DecisionParts = {
  accepted: AcceptedState
  caches: Pick<Caches, 'storageClasses' | 'databases' | 'nodes'>
  /** What the Crate Operator gives each node of a new database; the class is undefined where it is not known. */
  heapDumpVolume(): { size: string; storageClass: string | undefined }
  config: {
    imageRegistry: string
    timeouts: Timeouts
    /** The agent's own, where operations keep their secrets. */
    namespace: string
  }
  journal: Pick<Journal, 'unended'>
  /** For secrets, which no cache holds. They are read before the decision: that waits for nothing. */
  cluster: Cluster
}

/** A password that was generated. It is given back once, in the answer to the request that had it made. */
export type Credential = { user: string; password: string }

/** What an action makes of a request; its name and the target are known. There may be no object to ask the API server about. */
export type Proposed = Omit<Proposal, 'action' | 'target' | 'tryOut'> & { tryOut?: KubernetesObject[]; credentials?: Credential[] }

/** Looks at the resource as it was last accepted, and throws if the request was meant for another version of it. */
export type Guard = (present: unknown) => void

/**
 * Passwords for one request, by their place in it: the same place has the same one however often the request is decided on.
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

/** Milliseconds as the whole seconds that an operation is given, at least one. */
export function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}

/** One problem of several faults. Its detail tells a single one in full, since many read no further. */
export function refusal(type: 'invalid-fields' | 'unsupported-edit' | 'quota-exceeded' | 'wrong-state', faults: Fault[]): Problem {
  const [first, ...others] = faults
  const said = first ? `${first.path === '' ? 'The request' : first.path}: ${first.message}.` : ''
  return new Problem(type, others.length === 0 ? said : `${said} And ${others.length} more, listed under "faults".`, { faults })
}

/** @throws Problem of all faults, if there are any: about the state if one is about no field, else about the fields */
export function refuseFaults(faults: Fault[]): void {
  if (faults.length > 0) throw refusal(faults.some(({ path }) => path === '') ? 'wrong-state' : 'invalid-fields', faults)
}

/** The fault of a request that needs the nodes of a database; none where they run. */
export function isSuspended({ suspended }: { suspended: boolean }): Fault[] {
  return suspended ? [{ path: '', message: 'the database is suspended; use actions/resume first' }] : []
}

/** Whether all that is to change is that the resource may be deleted. */
export function onlyUnprotects<Spec extends { deletionProtection: boolean }>(wanted: Spec, present: Spec): boolean {
  return present.deletionProtection && !wanted.deletionProtection && sameJson({ ...wanted, deletionProtection: true }, present)
}

/** Equal as JSON: neither the order of keys nor a member that is undefined makes a difference. */
export function sameJson(one: unknown, other: unknown): boolean {
  return canonicalize(one) === canonicalize(other)
}
