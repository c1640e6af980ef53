import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { readOperatorRun } from './cratedb-run.ts'
import { operatorVariable } from './operator-environment.ts'

/** Whether the Crate Operator has an image for backups; `unknown` if there is no Deployment, or if its variable comes from elsewhere. */
export type BackupImage = 'set' | 'missing' | 'unknown'

/** The name of the variable in the operator's environment. */
export const backupImageVariable = 'CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE'

/**
 * Without this image the operator accepts `backups`, writes a line into its log, and makes neither the CronJob nor the exporter
 * (handle_create_cratedb.py of 2.63.0). The image is not public.
 */
export function backupImageOf(deployment: KubernetesObject): BackupImage {
  const found = operatorVariable(deployment, 'CLUSTER_BACKUP_IMAGE')
  if (found.state === 'unknown') return 'unknown'
  return found.state === 'set' && found.value !== '' ? 'set' : 'missing'
}

/**
 * Whether a database has backups that nothing takes: the operator has created it without making their job. It decides that at creation alone,
 * and a sub-handler that has run leaves its result in the status, as Kopf stores results.
 */
export function hasIdleBackups(cratedb: KubernetesObject): boolean {
  const { spec, status, metadata } = cratedb
  if (spec?.backups === undefined || metadata.deletionTimestamp !== undefined) return false
  const isCreated = status?.['cluster_create/bootstrap']?.success === true && readOperatorRun(cratedb).state === 'ended'
  return isCreated && status?.['cluster_create/backup']?.success !== true
}

/** Why nothing takes the backups of an existing database. */
export function idleBackupsWhy(image: BackupImage): string {
  const made = 'the Crate Operator made no job for them when it created the database'
  return {
    missing: `Backups are configured, but nothing takes them: ${made}, since it has no ${backupImageVariable}.`,
    set: `Backups are configured, but nothing takes them: ${made}, and makes none later. It has ${backupImageVariable} now, so databases that are created from now on get one.`,
    unknown: `Backups are configured, but nothing takes them: ${made}. It needs ${backupImageVariable} for that.`,
  }[image]
}

/** What becomes of the backups of a database that is to be created; undefined if they will be taken. */
export function backupsToCome(image: BackupImage): string | undefined {
  return {
    set: undefined,
    missing: `Backups are configured, but nothing will take them: the Crate Operator has no ${backupImageVariable}, and makes no job for them without. Skerry's own backups, "snapshots", need no such image.`,
    unknown: `Whether anything will take the backups is not known: the Crate Operator makes no job for them without ${backupImageVariable}, and whether it has that cannot be seen in its Deployment.`,
  }[image]
}
