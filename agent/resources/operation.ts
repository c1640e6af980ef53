import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import type { Cure } from './cure.ts'
import type { Target } from './kind.ts'

export const phases = ['Accepted', 'Applying', 'Waiting', 'Succeeded', 'Failed', 'Cancelled', 'Superseded'] as const

/** `Accepted → Applying ⇄ Waiting → Succeeded | Failed | Cancelled | Superseded` */
export type Phase = (typeof phases)[number]

/** One accepted request, as it stands in the cluster. The spec never changes; the executor writes the status. */
export type Operation = KubernetesObject & {
  kind: 'Operation'
  metadata: ObjectMeta
  spec: OperationSpec
  status?: OperationStatus
}

/**
 * An entry of the ledger. `hash` covers everything in it but itself and `planned`, and `previousHash` chains it to the entry before.
 * `planned` stays outside, because it is no part of what was asked for, and because a CRD of an earlier version prunes it.
 */
export type OperationSpec = {
  /** From 1 on, without gaps. */
  sequence: number
  /** Hash of the entry before; `sha256:` and 64 zeros in the first. */
  previousHash: string
  /** `sha256:` and 64 hex digits, over the canonical JSON (RFC 8785) of the spec without this field. */
  hash: string
  /** RFC 3339, UTC, milliseconds. */
  acceptedAt: string
  /** The name of the identity that asked. */
  requestedBy: string
  /** Of the HTTP request; tells a repeated write of this entry from somebody else's. */
  requestId: string
  idempotencyKey?: string
  /** Keyed hash of method, path and body: the same request has the same one, and nobody can guess a password from it. */
  fingerprint: string
  /** The name of an action in the table, or of one that a newer version brought. */
  action: string
  target: Target
  /** The steps that were planned at acceptance: `allow-list,scale`. Missing where none were, and in entries of earlier versions. */
  planned?: string
  /** The desired state, without secrets. */
  wanted?: unknown
  /** What the action needs besides: `cascade`, `user`, `snapshot`, … */
  parameters?: Record<string, unknown>
  /** The Secret in the same namespace that holds what must not stand here; gone once it has been applied. */
  secretName?: string
  /** How long it may take from its start, in seconds. */
  timeoutSeconds: number
}

export type OperationStatus = {
  phase: Phase
  /** One CamelCase word for programs. */
  reason?: string
  /** A sentence for people. */
  message?: string
  /** What to do about it, for one that failed or waits. */
  action?: string
  startedAt?: string
  endedAt?: string
  /** Until when it must have ended. */
  deadline?: string
  /** The step in hand, written before anything of it is done, so that whoever comes next knows what was meant. */
  step?: StepRecord
  /** The steps that were done. */
  done?: { name: string; startedAt: string; endedAt: string; message?: string }[]
  /** Attempts of the present step that failed in a way that may pass. */
  attempts?: number
  /** What stands in the way at the moment. */
  blockers?: Obstacle[]
  cancelRequested?: { by: string; at: string }
  /** The target's object as the executor saw it last: who knows a later one, by its own watch, knows what this brought about. */
  observed?: { uid: string; resourceVersion: string }
  /** What came of it and cannot be read anywhere else, such as the volumes that a deletion left. */
  result?: Record<string, unknown>
}

export type StepRecord = {
  name: string
  startedAt: string
  /** What the executor noted before it wrote, such as the operator's `ref` of the run before. */
  note?: Record<string, unknown>
  /** What the operator said last. */
  message?: string
}

/** Something that keeps a thing from being done, with what shows it and what cures it. */
export type Obstacle = {
  /** One CamelCase word for programs: `OperatorNotRunning`, `PodUnschedulable`, … */
  code: string
  /** What is the matter, in a sentence. */
  message: string
  /** The object that shows it: `Pod project-harbour/crate-data-hot-tidal-gauge-0`. */
  evidence: string
  /** What to do, as one text for people: made of `cures`. */
  cure: string
  /** What to do, the first proposal first; a destructive one never is. */
  cures: Cure[]
}

export function phaseOf(operation: Operation): Phase {
  return operation.status?.phase ?? 'Accepted'
}

export function hasEnded(operation: Operation): boolean {
  const phase = phaseOf(operation)
  return phase !== 'Accepted' && phase !== 'Applying' && phase !== 'Waiting'
}

/** The names of the steps that were planned at acceptance; undefined where none were, and in entries of earlier versions. */
export function plannedSteps({ spec }: Operation): string[] | undefined {
  return spec.planned?.split(',')
}

/** The name of the action that takes a target away, of whatever kind. What was accepted before it for the target gives way to it. */
export const deletion = 'delete'

/** The name of the action that nobody asks for: it writes down that somebody deleted the target without an operation. */
export const deletionRecord = 'record-deletion'

/** Whether it takes its target away. */
export function isDeletion({ spec }: Operation): boolean {
  return spec.action === deletion
}

/** Whether it only writes down that its target was deleted. */
export function isDeletionRecord({ spec }: Operation): boolean {
  return spec.action === deletionRecord
}

/** `op-` and ten digits, so that names sort as the ledger does. */
export function operationName(sequence: number): string {
  return `op-${String(sequence).padStart(10, '0')}`
}

/** The place in the ledger of the operation with this name. */
export function sequenceOf(name: string): number {
  return Number(name.slice('op-'.length))
}

/** The same key for the same target, of whatever kind: operations under one key run one after the other. */
export function targetKey(target: Target): string {
  const members = Object.entries(target).map(([name, value]) => `${name}=${value}`)
  return members.sort().join(',')
}

/** The target that a key stands for. */
export function targetOf(key: string): Target {
  return Object.fromEntries(key.split(',').map((member) => member.split('='))) as Target
}

/** The databases that the deletion of a project deleted, as its result has them. */
export function deletedWith({ status }: Operation): { id: string; uid: string }[] {
  return (status?.result?.databases ?? []) as { id: string; uid: string }[]
}
