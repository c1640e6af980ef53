import type { ExportedDatabase } from '../../../../agent/region-file/schema.ts'
import { type WrittenRegionFile, writeRegionFile } from '../../../../agent/region-file/writing.ts'
import { databaseSpec } from '../../../../agent/resources/database.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { provisioner } from '../../../cluster/index.ts'
import { exportedDatabase, regionContent } from '../region-sample.ts'

/** A small database that a test cluster can run: of two nodes, on volumes of the stand-in for a storage. */
export function importableDatabase(project: string, id: string, storageClass = 'crate-premium'): ExportedDatabase {
  const sample = exportedDatabase(project, id)
  const nodes = { count: 2, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass } }
  const body = databaseSpec.parse({ id, version: '5.10.1', nodes, users: [{ name: 'harbourmaster' }], allowedCIDRs: ['10.20.0.0/16'] })
  const volumes = structuredClone(sample.volumes.slice(0, 2))
  for (const { metadata, spec } of volumes) {
    const { csi } = spec as unknown as { csi: { volumeHandle: string } }
    delete spec.nodeAffinity
    metadata.annotations = { 'pv.kubernetes.io/provisioned-by': provisioner, 'skerry.dev/reclaim-policy': 'Delete' }
    Object.assign(spec, {
      capacity: { storage: '8Gi' },
      storageClassName: storageClass,
      csi: { driver: provisioner, volumeHandle: csi.volumeHandle },
    })
  }
  return { ...sample, body: body as ExportedDatabase['body'], volumes }
}

/** The file of a region with one project and these databases of it. */
export function importableFile(databases: ExportedDatabase[]): Promise<WrittenRegionFile> {
  const { projects, ...content } = regionContent(databases)
  return writeRegionFile({ ...content, projects: projects.map(({ quota: _, ...project }) => project) })
}

const metadata = { name: 'skerry-agent-import' }
const rbac = 'rbac.authorization.k8s.io'

/** The right to make volumes, as deploy/chart/templates/agent/import.yaml has it. */
export const importRight: KubernetesObject[] = [
  {
    ...{ apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata },
    rules: [{ apiGroups: [''], resources: ['persistentvolumes'], verbs: ['create'] }],
  },
  {
    ...{ apiVersion: `${rbac}/v1`, kind: 'ClusterRoleBinding', metadata },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: metadata.name },
    subjects: [{ kind: 'ServiceAccount', name: 'skerry-agent', namespace: 'skerry' }],
  },
]
