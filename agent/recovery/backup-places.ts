import type { StoredDatabaseSpec } from '../resources/database.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { BackupPlace } from './region-file.ts'

/** Where the snapshots of a database are, without what opens the place. Pure. */
export function backupPlacesOf(project: string, { id, backups }: StoredDatabaseSpec): BackupPlace[] {
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
