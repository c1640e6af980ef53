import type { KubernetesObject, ObjectMeta } from '../../shared/kubernetes/objects.ts'
import type { Cure } from './cure.ts'
import type { Target } from './kind.ts'

export const phases = ['Accepted', 'Applying', 'Waiting', 'Succeeded', 'Failed', 'Cancelled', 'Superseded'] as const

/** `Accepted → Applying ⇄ Waiting → Succeeded | Failed | Cancelled | Superseded` */
export type Phase = (typeof phases)[number]

/** One accepted request as an object in the cluster. Its spec never changes; the executor writes the status. */
export type Operation = KubernetesObject & {
  kind: 'Operation'
  metadata: ObjectMeta
  spec: OperationSpec
  status?: OperationStatus
}

/**
 * An entry of the ledger. `hash` covers all other members except `planned`, and `previousHash` chains the entry to the one before. The hash
 * does not cover `planned`, since that is not part of the request, and since a CRD of an earlier version prunes it.
 */
export type OperationSpec = {
  /** Starts at 1, without gaps. */
  sequence: number
  /** Hash of the entry before; `sha256:` and 64 zeros in the first. */
  previousHash: string
  /** `sha256:` and 64 hex digits, over the canonical JSON (RFC 8785) of the spec without this field. */
  hash: string
  /** RFC 3339, UTC, milliseconds. */
  acceptedAt: string
  /** The name of the identity that sent the request, such as `token:cloud`. Version 0.1 wrote it without its source. */
  requestedBy: string
  /** The id of the HTTP request. It distinguishes a repeated write of this entry from another writer's. */
  requestId: string
  idempotencyKey?: string
  /** Keyed hash of method, path and body: equal for equal requests, and no password can be guessed from it. */
  fingerprint: string
  /** The name of an action in the table, or of an action of a newer version. */
  action: string
  target: Target
  /** The steps that were planned at acceptance: `allow-list,scale`. Absent without steps, and in entries of earlier versions. */
  planned?: string
  /** The desired state, without secrets. */
  wanted?: unknown
  /** Further arguments of the action: `cascade`, `user`, `snapshot`, … */
  parameters?: Record<string, unknown>
  /** The Secret in the same namespace with the secrets of the request. It is deleted once they are applied. */
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
  /** What to do, if the operation failed or waits. */
  action?: string
  startedAt?: string
  endedAt?: string
  /** When it must have ended. */
  deadline?: string
  /** The current step. It is recorded before any of its work is done, so that a new leader can continue it. */
  step?: StepRecord
  /** The completed steps. */
  done?: { name: string; startedAt: string; endedAt: string; message?: string }[]
  /** Attempts of the current step that failed for a temporary reason. */
  attempts?: number
  /** The present obstacles. */
  blockers?: Obstacle[]
  cancelRequested?: { by: string; at: string }
  /** The target's object as the executor saw it last. A watch that has reached this version has seen the effects of the operation. */
  observed?: { uid: string; resourceVersion: string }
  /** Results that cannot be read elsewhere, such as the volumes that a deletion kept. */
  result?: Record<string, unknown>
}

export type StepRecord = {
  name: string
  startedAt: string
  /** The executor's notes from before it wrote, such as the `ref` of the operator's previous run. */
  note?: Record<string, unknown>
  /** The operator's last message. */
  message?: string
}

/** Something that keeps a target from getting done, with its evidence and its cures. */
export type Obstacle = {
  /** One CamelCase word for programs: `OperatorNotRunning`, `PodUnschedulable`, … */
  code: string
  /** The obstacle, in a sentence. */
  message: string
  /** The object that shows it: `Pod project-harbour/crate-data-hot-tidal-gauge-0`. */
  evidence: string
  /** All cures as one text for people. */
  cure: string
  /** The cures, the first proposal first. A destructive cure is never the first. */
  cures: Cure[]
}

/** The reasons of operations that nobody works on. */
export const waitingCodes = ['NoLeader', 'OperationAhead', 'NoFreeWorker'] as const

export type WaitingCode = (typeof waitingCodes)[number]

/** Whether a status only notes what an operation waits for that nobody works on. */
export function isWaitingNote(status: OperationStatus | undefined): boolean {
  return isWaitingCode(status?.reason)
}

/** Whether it is the reason of an operation that nobody works on. */
export function isWaitingCode(code: string | undefined): code is WaitingCode {
  return (waitingCodes as readonly (string | undefined)[]).includes(code)
}

export function phaseOf(operation: Operation): Phase {
  return operation.status?.phase ?? 'Accepted'
}

export function hasEnded(operation: Operation): boolean {
  const phase = phaseOf(operation)
  return phase !== 'Accepted' && phase !== 'Applying' && phase !== 'Waiting'
}

/** The names of the steps that were planned at acceptance; undefined without steps, and in entries of earlier versions. */
export function plannedSteps({ spec }: Operation): string[] | undefined {
  return spec.planned?.split(',')
}

/** The name of the action that deletes a target of any kind. It takes precedence over operations that were accepted before it. */
export const deletion = 'delete'

/** The name of the action that no request asks for: it records that the target was deleted without an operation. */
export const deletionRecord = 'record-deletion'

/** Whether it deletes its target. */
export function isDeletion({ spec }: Operation): boolean {
  return spec.action === deletion
}

/**
 * How many Secrets beside that of the request hold the pieces of the file that came with it. It is among the parameters, since a CRD of an
 * earlier version prunes a new field of the spec, which the hash would cover.
 */
export function piecesOf({ parameters }: Pick<OperationSpec, 'parameters'>): number {
  const pieces = parameters?.pieces
  return typeof pieces === 'number' ? pieces : 0
}

/** The name of the action that takes a backup by Skerry's own means. */
const backup = 'backup'

/** Whether it takes a backup. */
export function isBackup({ spec }: Operation): boolean {
  return spec.action === backup
}

/** The name of the action that restores a snapshot into a database of its own, to try it. */
export const rehearsal = 'rehearse-restore'

/** Whether it only tries a restore. */
export function isRehearsal({ spec }: Operation): boolean {
  return spec.action === rehearsal
}

/** Whether it creates its database on the volumes that it had. If it fails, nobody may create the database in its stead, on empty ones. */
export function bringsBack({ spec }: Operation): boolean {
  return spec.action === 'reattach' || spec.action === 'undelete'
}

/** Whether it only records that its target was deleted. */
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

/** A key that is the same for the same target, of any kind. Operations with the same key run one after the other. */
export function targetKey(target: Target): string {
  const members = Object.entries(target).map(([name, value]) => `${name}=${value}`)
  return members.sort().join(',')
}

/** The target of a key. */
export function targetOf(key: string): Target {
  return Object.fromEntries(key.split(',').map((member) => member.split('='))) as Target
}

/** The databases that the deletion of a project has deleted, from its result. */
export function deletedWith({ status }: Operation): { id: string; uid: string }[] {
  return (status?.result?.databases ?? []) as { id: string; uid: string }[]
}
