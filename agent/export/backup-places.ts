import type { BackupPlace } from '../region-file/schema.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import { namespaceOf } from '../resources/kind.ts'

/** Where the snapshots of a database are, without what opens the place. Pure. @param region the id of the region */
export function backupPlacesOf(region: string, project: string, spec: StoredDatabaseSpec): BackupPlace[] {
  return [...ofOperator(project, spec), ...ofSkerry(region, project, spec)]
}

function ofOperator(project: string, { id, backups }: StoredDatabaseSpec): BackupPlace[] {
  const of = { project, database: id, by: 'operator' as const }
  const { aws, azureBlob } = backups ?? {}
  // crate-operator's backup.py sets BASE_PATH "for backwards-compatibility" only: newer images take the namespace as base path.
  const namespace = namespaceOf(project)
  if (azureBlob) {
    const { container, region, accountName } = azureBlob
    return [{ ...of, store: 'azureBlob', bucket: container, region, accountName, basePaths: [namespace, id] }]
  }
  if (!aws) return []
  const { bucket, region, endpointUrl, basePath = id } = aws
  const basePaths = [...new Set([basePath, namespace])]
  return [{ ...of, store: 's3', bucket, region, ...(endpointUrl !== undefined && { endpointUrl }), basePaths }]
}

function ofSkerry(region: string, project: string, { id, snapshots }: StoredDatabaseSpec): BackupPlace[] {
  if (snapshots === undefined) return []
  const { bucket, region: ofBucket, endpointUrl, basePath = `${region}/${project}/${id}` } = snapshots.s3
  const at = { ...(ofBucket !== undefined && { region: ofBucket }), ...(endpointUrl !== undefined && { endpointUrl }) }
  return [{ project, database: id, by: 'skerry', store: 's3', bucket, ...at, basePaths: [basePath] }]
}
