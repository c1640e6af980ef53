/**
 * What a region can be made again from.
 *
 *     region-file.ts    the file: schema, types, bounds
 *     canonical.ts      canonical JSON, in pieces
 *     signature.ts      who vouches for a file
 *     writing.ts        a document as a file
 *     reading.ts        a file, whoever wrote it
 *     maker.ts          the document from what the region is; volumes.ts and backup-places.ts read a part of it
 *     secrets.ts        the encrypted part
 *     files.ts          both together, signed
 *     exporter.ts       keeps the file at its places; changes.ts says when, state.ts what is known of them
 *     places/           the cloud, a bucket, a file
 *     settings.ts       the section `recovery` of the configuration
 */
import { readFile } from 'node:fs/promises'
import { applyObject } from '../../shared/kubernetes/apply.ts'
import { type Cache, createCache } from '../../shared/kubernetes/cache.ts'
import { type KubernetesObject, kinds } from '../../shared/kubernetes/objects.ts'
import { inBackground, type Part, type Readiness } from '../../shared/lifecycle.ts'
import type { LeaderTools } from '../operations/queue.ts'
import { fieldManager } from '../resources/labels.ts'
import { onChangeOfRegion } from './changes.ts'
import { Exporter } from './exporter.ts'
import { RegionFiles, type RegionFilesParts, readRecipient } from './files.ts'
import { type MakerParts, RegionMaker } from './maker.ts'
import type { CloudLink } from './places/cloud.ts'
import { filePlace } from './places/file.ts'
import type { Place, PlaceName } from './places/place.ts'
import type { RecoveryConfig } from './settings.ts'
import { type ExportState, exportConfigMap, exportConfigMapName, readExportState } from './state.ts'

export type RecoveryGiven = {
  region: { id: string; name?: string | undefined }
  cluster: { namespace: string }
  cloud?: unknown
  recovery: RecoveryConfig
}

/** The file of the region, and where it is kept. */
export type Recovery = {
  files: RegionFiles
  /** The places that the site has named. */
  places: readonly PlaceName[]
  /** The ConfigMap with what is known of them; undefined without a place. */
  cache: Cache<KubernetesObject> | undefined
  state(): ExportState
  /**
   * Keeps the file at its places, where there are any.
   * @param link without it, the cloud is not reached
   * @throws Error if the key of the recipient is none
   */
  exporter(link: CloudLink | undefined): Promise<Part[]>
}

type RecoveryParts = LeaderTools &
  Omit<MakerParts, 'config'> &
  Pick<RegionFilesParts, 'key'> & { caches: Parameters<typeof onChangeOfRegion>[0]['caches'] }

/** A warning: the file is kept all the same, and another replica would see no more. */
export function exportReadiness({ cache }: Pick<Recovery, 'cache'>): Readiness[] {
  if (cache === undefined) return []
  const trouble = () => cache.trouble ?? (cache.synced ? undefined : 'not listed yet')
  return [{ name: 'cache of export', isWarning: true, trouble }]
}

/** Sends nothing yet. */
export function openRecovery(config: RecoveryGiven, parts: RecoveryParts): Recovery {
  const { namespace } = config.cluster
  const { cluster, clock, log, lease, key } = parts
  const { recipientFile, bucket, file, debounce, every } = config.recovery.export
  const hasCloud = config.cloud !== undefined && config.recovery.export.cloud
  const all: [PlaceName, boolean][] = [
    ['cloud', hasCloud],
    ['bucket', bucket !== undefined],
    ['file', file !== undefined],
  ]
  const places = all.filter(([, isNamed]) => isNamed).map(([name]) => name)
  const fieldSelector = `metadata.name=${exportConfigMapName}`
  const cache = places.length === 0 ? undefined : createCache({ kind: kinds.ConfigMap, namespace, fieldSelector }, { cluster, clock, log })
  const maker = new RegionMaker({ ...parts, config })
  const files = new RegionFiles({ region: config.region.id, namespace, maker, key, recipientFile, cluster })
  const state = () => readExportState(cache?.get(`${namespace}/${exportConfigMapName}`))

  async function write(now: ExportState): Promise<void> {
    cache?.put(await applyObject(cluster, exportConfigMap(namespace, now), { fieldManager, force: true }))
  }

  async function opened(link: CloudLink | undefined): Promise<Place[]> {
    const found: Place[] = []
    // Each with what it needs is loaded only where it is.
    if (hasCloud && link) found.push((await import('./places/cloud.ts')).cloudPlace(link))
    if (bucket) found.push(await openBucketPlace(bucket, parts))
    if (file) found.push(filePlace(file))
    return found
  }

  return {
    files,
    places,
    cache,
    state,
    async exporter(link) {
      const open = await opened(link)
      if (open.length === 0) return []
      // A file without secrets where there should be some is noticed now, not once they are needed.
      if (recipientFile !== undefined) await readRecipient(recipientFile)
      const tools = { lease, clock, log: log.child({ controller: 'exporter' }), random: Math.random }
      const subscribe = (changed: () => void) => onChangeOfRegion(parts, changed)
      // Nothing waits for it: without its permission an agent does its other work, and so does this part of it.
      const followed = inBackground('export', cache ? [cache] : [])
      const make = (signal: AbortSignal) => files.whole(signal)
      const exporter = new Exporter(
        { debounceMs: debounce, everyMs: every },
        { ...tools, make, places: open, state: { read: state, write }, subscribe },
      )
      return [followed, exporter]
    },
  }
}

async function openBucketPlace(config: NonNullable<RecoveryConfig['export']['bucket']>, { clock, log }: LeaderTools): Promise<Place> {
  const { accessKeyIdFile, secretAccessKeyFile, caFile, keep, ...place } = config
  const { openBucket } = await import('../bucket/index.ts')
  const { bucketPlace } = await import('./places/bucket.ts')
  // The site has named the store itself, which may be in the cluster: its host is allowed, whatever its address.
  const host = place.endpointUrl === undefined ? [] : [new URL(place.endpointUrl).hostname]
  const rules = { allowed: host, clusterNetworks: () => [], namespaces: [] }
  const textIn = async (path: string) => (await readFile(path, 'utf8')).trim()
  const opened = async () => {
    const keys = { accessKeyId: await textIn(accessKeyIdFile), secretAccessKey: await textIn(secretAccessKeyFile) }
    const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
    return openBucket({ ...place, ...keys }, { rules, ca, clock })
  }
  const warn = (message: string) => log.warn({ place: 'bucket', message }, 'old files of the region could not be removed')
  return bucketPlace(opened, { keep, warn })
}
