import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { readObject } from '../../../shared/kubernetes/read.ts'
import { storageClassesOf } from '../../region/status.ts'
import type { GivenFile, RegionFacts } from '../../region-file/import/plan.ts'
import type { DatabaseVerdict, ImportScene } from '../../region-file/import/verdict.ts'
import type { DecisionParts } from './decision.ts'
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
