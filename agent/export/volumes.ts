import { isProblem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { itemsOf } from '../../shared/kubernetes/read.ts'
import { CanonicalText, canonicalText } from '../region-file/canonical.ts'
import { groupNames, isClaimOf } from '../resources/data-claims.ts'
import { projectOf } from '../resources/kind.ts'
import { label } from '../resources/labels.ts'
import { volumeManifest, volumeManifestOf } from '../resources/volume-manifest.ts'

/** The volumes of a region as a region file has them, by whom they serve. */
export type RegionVolumes = {
  /** Those of databases that no reader of the file would take. */
  unreadable: readonly string[]
  /** Of a database, by its namespace and name: those that serve its claims, by the names of these. */
  of(database: string): CanonicalText[]
  /** A volume by its name, if it is still that one, and serves no database. */
  kept(volume: string, uid: string): CanonicalText | undefined
}

type Found = { claim: string; uid: string; phase: string; text: CanonicalText }

/** Volumes that are read at once: about a megabyte. */
const pageSize = 500
/** How often a list begins again that took longer than the API server remembers its beginning. */
const attempts = 3

/**
 * Reads all PersistentVolumes, page by page, and keeps the text of those that hold data of databases: a watch keeps less of each.
 *
 * @param databasesIn the databases in a namespace: a volume that was just bound bears no label yet
 * @throws Problem as `Cluster.request` does
 */
export async function readVolumes(
  cluster: Pick<Cluster, 'request'>,
  databasesIn: (namespace: string) => readonly KubernetesObject[],
  signal: AbortSignal,
): Promise<RegionVolumes> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readPages(cluster, databasesIn, signal)
    } catch (error) {
      if (!isProblem(error, 'gone') || attempt === attempts) throw error
    }
  }
}

async function readPages(
  cluster: Pick<Cluster, 'request'>,
  databasesIn: (namespace: string) => readonly KubernetesObject[],
  signal: AbortSignal,
): Promise<RegionVolumes> {
  const serving = new Map<string, Found[]>()
  const others = new Map<string, Found>()
  const unreadable: string[] = []
  let token: string | undefined
  do {
    const query = { limit: pageSize, continue: token }
    const page = await cluster.request<Page>({ method: 'GET', path: pathOf(kinds.PersistentVolume), query, signal })
    for (const volume of itemsOf(page, kinds.PersistentVolume)) take(volume)
    token = page.metadata?.continue || undefined
  } while (token !== undefined)

  function take(volume: KubernetesObject): void {
    const manifest = volumeManifestOf(volume)
    const { namespace, name: claim } = manifest?.spec.claimRef ?? {}
    if (namespace === undefined || claim === undefined || projectOf(namespace) === undefined) return
    const { metadata, status } = volume
    const known = metadata.labels?.[label.database]
    const standing = databasesIn(namespace)
    const database = known ?? standing.find((each) => isClaimOf(claim, each.metadata.name, groupNames(each.spec) ?? []))?.metadata.name
    if (database === undefined || !isClaimOf(claim, database, undefined)) return
    const phase: string = status?.phase ?? ''
    const found = { claim, uid: metadata.uid ?? '', phase, text: new CanonicalText(canonicalText(manifest)) }
    // One that no reader would take must not spoil the others.
    if (!volumeManifest.safeParse(manifest).success) return void unreadable.push(metadata.name)
    const key = keyOf({ namespace, name: database })
    // Of a claim that is gone. A later database may have one of the same name.
    if (phase === 'Released' || phase === 'Failed' || !standing.some((each) => each.metadata.name === database))
      others.set(metadata.name, found)
    else serving.set(key, [...(serving.get(key) ?? []), found])
  }

  return {
    unreadable,
    of: (database) => oneForEachClaim(serving.get(database) ?? []).map(({ text }) => text),
    kept(volume, uid) {
      const found = others.get(volume)
      return found?.uid === uid ? found.text : undefined
    },
  }
}

type Page = { items?: KubernetesObject[] | null; metadata?: { continue?: string } }

/** By claim. Of two that are meant for one claim, the one that is bound has the data. */
function oneForEachClaim(found: readonly Found[]): Found[] {
  const byClaim = new Map<string, Found>()
  for (const each of found) if (each.phase === 'Bound' || !byClaim.has(each.claim)) byClaim.set(each.claim, each)
  return [...byClaim.values()].sort((one, other) => (one.claim < other.claim ? -1 : 1))
}
