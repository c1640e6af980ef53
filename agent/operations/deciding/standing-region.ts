import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { storageClassesOf } from '../../region/status.ts'
import type { GivenFile, RegionFacts } from '../../region-file/import/plan.ts'
import type { QuotaScene } from '../../region-file/import/quotas.ts'
import type { DatabaseVerdict, ImportScene } from '../../region-file/import/verdict.ts'
import type { RegionContent } from '../../region-file/schema.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { sumOfRetained } from '../../resources/retained-keeping.ts'
import type { DecisionParts } from './decision.ts'
import { recordOf, retainedOf } from './retained.ts'
import { readAllVolumes, type StandingVolumes } from './standing-volumes.ts'

/** What an import meets in the cluster, as far as no cache has it. */
export type StandingRegion = {
  /** UID of the namespace kube-system. */
  cluster?: string | undefined
  volumes: StandingVolumes
  /** Whether the agent has the right to make volumes, which a site gives it. */
  makesVolumes: boolean
  /** What becomes of each database of the file. */
  verdicts: readonly DatabaseVerdict[]
  /** What the operation keeps of the file. */
  pieces: readonly Buffer[]
}

/** Reads it from the API server. */
export async function readStandingRegion(cluster: Cluster): Promise<Omit<StandingRegion, 'pieces' | 'verdicts'>> {
  const [system, volumes, makesVolumes] = await Promise.all([
    readObject(cluster, pathOf(kinds.Namespace, undefined, 'kube-system')),
    readAllVolumes(cluster),
    mayMakeVolumes(cluster),
  ])
  return { cluster: system?.metadata.uid, volumes, makesVolumes }
}

async function mayMakeVolumes(cluster: Cluster): Promise<boolean> {
  const review = await cluster.request<KubernetesObject>({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb: 'create', group: '', resource: 'persistentvolumes' } },
    },
  })
  return review.status?.allowed === true
}

/** What an import of databases meets, by everything that was accepted so far. */
export function importSceneOf({ accepted, caches, config, heapDumpVolume }: DecisionParts, volumes: StandingVolumes): ImportScene {
  return {
    database(project, id) {
      const found = accepted.database(project, id)
      return found && { stands: found.object !== undefined, operation: found.operation?.metadata.name }
    },
    volume: (name) => volumes.byName.get(name),
    volumeWith: (data) => volumes.byData.get(data),
    nodes: [...caches.nodes.values()],
    storageClass: (name) => caches.storageClasses.get(name),
    hostFolders: config.hostFolders,
    site: {
      imageRegistry: config.imageRegistry,
      allowedKeys: config.allowedKeys,
      endpoints: config.endpoints,
      storageClasses: storageClassesOf(caches.storageClasses.values()),
      heapDumpVolume: heapDumpVolume(),
    },
  }
}

/** What the quotas of the projects of a region file depend on. */
export function quotaSceneOf(parts: DecisionParts, { projects }: RegionContent): QuotaScene {
  const { accepted, caches, heapDumpVolume } = parts
  const given = new Map(projects.map((spec) => [spec.id, spec]))
  const counted = new Map<string, ReadonlySet<RetainedDatabase>>()
  const countedOf = (project: string) => {
    const records = counted.get(project) ?? new Set(retainedOf(project, parts))
    counted.set(project, records)
    return records
  }
  const nameOf = (project: string, database: string) => `${project}/${database}`
  const byName = Map.groupBy(caches.retained.values(), ({ spec }) => nameOf(spec.project, spec.database))
  return {
    project: (id) => accepted.project(id)?.spec ?? given.get(id),
    databases: (project) => accepted.databases(project).map(({ spec }) => spec),
    retained: (project) => sumOfRetained(countedOf(project)),
    takenBack(entry) {
      const record = recordOf(parts, entry, byName.get(nameOf(entry.project, entry.body.id)) ?? [])
      return record && countedOf(entry.project).has(record) ? sumOfRetained([record]) : undefined
    },
    heapDumpVolume: heapDumpVolume(),
  }
}

/** The action that imports a region file. */
export const importAction = 'import'

/** The region as an import finds it. */
export function regionFactsOf({ accepted, config, journal }: DecisionParts, { cluster }: Pick<StandingRegion, 'cluster'>): RegionFacts {
  const last = journal.all().findLast(({ spec }) => spec.target.kind === 'region' && spec.action === importAction)
  const file = last?.spec.parameters?.file as (Pick<GivenFile, 'digest'> & { createdAt: string }) | undefined
  return {
    id: config.region,
    cluster,
    sequence: journal.head().sequence,
    lastImport: file,
    project: (id) => accepted.project(id)?.spec,
  }
}
