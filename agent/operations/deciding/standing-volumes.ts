import { isProblem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import { limitConcurrency } from '../../../shared/limit-concurrency.ts'
import type { StandingVolume } from '../../region-file/import/verdict.ts'
import { label } from '../../resources/labels.ts'
import { dataOf } from '../../resources/volume-source.ts'

/** The PersistentVolumes that the cluster has. */
export type StandingVolumes = {
  byName: ReadonlyMap<string, StandingVolume>
  /** By where their data is. */
  byData: ReadonlyMap<string, StandingVolume>
}

const pageSize = 500
const parallelReads = 8

/** All volumes of the cluster: of each, only what an import compares. */
export async function readAllVolumes(cluster: Cluster): Promise<StandingVolumes> {
  const attached = await readAttachments(cluster)
  const all: StandingVolume[] = []
  let token: string | undefined
  do {
    const query = { limit: pageSize, continue: token }
    const page = await cluster.request<{ items?: KubernetesObject[] | null; metadata?: { continue?: string } }>({
      method: 'GET',
      path: pathOf(kinds.PersistentVolume),
      query,
    })
    for (const volume of page.items ?? []) all.push(viewOf(volume, attached))
    token = page.metadata?.continue || undefined
  } while (token !== undefined)
  return indexed(all)
}

/** The volumes with these names. Whether others have the same data is not known then. */
export async function readVolumes(cluster: Cluster, names: readonly string[]): Promise<StandingVolumes> {
  const limit = limitConcurrency(parallelReads)
  const read = (name: string) => readObject(cluster, pathOf(kinds.PersistentVolume, undefined, name))
  const found = (await Promise.all(names.map((name) => limit(() => read(name))))).filter((volume) => volume !== undefined)
  const attached = found.length > 0 ? await readAttachments(cluster) : new Map<string, string>()
  const all = found.map((volume) => viewOf(volume, attached))
  return { ...indexed(all), byData: new Map() }
}

function indexed(all: StandingVolume[]): StandingVolumes {
  const byData = all.flatMap((volume): [string, StandingVolume][] => (volume.data === undefined ? [] : [[volume.data, volume]]))
  return { byName: new Map(all.map((volume) => [volume.name, volume])), byData: new Map(byData) }
}

function viewOf({ metadata, spec = {}, status }: KubernetesObject, attached: ReadonlyMap<string, string>): StandingVolume {
  const { namespace, name } = spec.claimRef ?? {}
  return {
    name: metadata.name,
    claim: name === undefined ? undefined : `${namespace}/${name}`,
    owner: ownerOf(metadata.labels),
    phase: status?.phase,
    data: dataOf({ spec }),
    attachedTo: attached.get(metadata.name),
  }
}

function ownerOf({ [label.project]: project, [label.database]: database }: Record<string, string> = {}): string | undefined {
  return project === undefined || database === undefined ? undefined : `${project}/${database}`
}

/** The node of each volume that is attached. */
async function readAttachments(cluster: Cluster): Promise<ReadonlyMap<string, string>> {
  try {
    const attachments = await listObjects(cluster, kinds.VolumeAttachment)
    const pairs = attachments.map(({ spec }): [string, string] => [spec?.source?.persistentVolumeName ?? '', spec?.nodeName ?? 'unknown'])
    return new Map(pairs)
  } catch (error) {
    if (isProblem(error, 'not-served')) return new Map()
    throw error
  }
}
