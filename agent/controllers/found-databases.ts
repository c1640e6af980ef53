import { isProblem } from '../../shared/errors.ts'
import type { EventRecorder } from '../../shared/kubernetes/event-recorder.ts'
import { type KubernetesObject, keyOf, kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { readObject } from '../../shared/kubernetes/read.ts'
import type { Journal } from '../operations/journal.ts'
import type { LeaderTools } from '../operations/queue.ts'
import type { Caches } from '../region/caches.ts'
import { type FoundVolume, foundVolumeOf, type Generation, generationsOf } from '../resources/found-volumes.ts'
import { type DatabaseTarget, namespaceOf } from '../resources/kind.ts'
import { fieldManager } from '../resources/labels.ts'
import { recordedVolumes } from '../resources/retained-keeping.ts'
import { retainedDatabase } from '../resources/retained-record.ts'

export type FoundParts = Omit<LeaderTools, 'lease'> & {
  /** The agent's own. */
  namespace: string
  caches: Pick<Caches, 'volumes' | 'databases' | 'retained'>
  journal: Pick<Journal, 'unended'>
  recorder: Pick<EventRecorder, 'record'>
  mustAct: () => void
}

/** In words, since nobody is known to have deleted it. No identity has this name, since identities contain no blanks. */
const nobodyKnows = 'nobody knows'

/** How long to wait, in milliseconds, while the claims of a database are still being deleted. */
const claimsLeaveMs = 5_000

/** The databases whose volumes have lost their claims, and are in no record. */
export function unrecorded({ volumes, retained }: Pick<Caches, 'volumes' | 'retained'>): Map<string, FoundVolume[]> {
  const known = recordedVolumes(retained.values())
  const found = [...volumes.values()].flatMap(({ found }) => (found && !known.has(found.uid) ? found : []))
  return Map.groupBy(found, ({ project, database }) => `${project}/${database}`)
}

/**
 * Makes a record of each deleted database of this name that has none: its volumes were kept by an earlier version, by `uninstall.sh`, or while no
 * agent ran. Nobody decided that they may go, so they are kept for good.
 *
 * By what the API server says at that moment: neither while the database stands nor while an operation works on it, since that one writes a
 * record that says more. Resolves with the time until the next look, in milliseconds.
 */
export async function recordFound(target: DatabaseTarget, parts: FoundParts): Promise<number | undefined> {
  const { caches, cluster } = parts
  const found = unrecorded(caches).get(`${target.project}/${target.database}`)
  if (!found || isBusy(target, parts)) return undefined
  if (await unlessNotServed(readObject(cluster, pathOf(kinds.CrateDB, namespaceOf(target.project), target.database)))) return undefined
  // One by one and by name: of a thousand, each list would read them all.
  const left: FoundVolume[] = []
  for (const { volume, claim } of found) {
    const [namespace, name] = claim.split('/')
    if (await readObject(cluster, pathOf(kinds.PersistentVolumeClaim, namespace, name))) return claimsLeaveMs
    const present = await readObject(cluster, pathOf(kinds.PersistentVolume, undefined, volume))
    const still = present && foundVolumeOf(present)
    if (still) left.push(still)
  }
  // Of an operation's record that the watch has not delivered yet, the controller of records drops what is made here.
  for (const generation of generationsOf(target, left)) await record(target, generation, parts)
  return undefined
}

/** Whether the database stands, or somebody works on it or its project. */
function isBusy(target: DatabaseTarget, { caches, journal }: FoundParts): boolean {
  const { project, database } = target
  if (caches.databases.get(keyOf({ namespace: namespaceOf(project), name: database }))) return true
  return journal.unended(target).length > 0 || journal.unended({ kind: 'project', project }).length > 0
}

async function record(target: DatabaseTarget, { shape, volumes }: Generation, parts: FoundParts): Promise<void> {
  const { cluster, caches, clock, namespace, mustAct, recorder, log } = parts
  const facts = { origin: 'found' as const, deletedAt: new Date(clock.now()).toISOString(), deletedBy: nobodyKnows }
  const body = retainedDatabase(namespace, target, { shape, volumes, secrets: [] }, facts)
  mustAct()
  const path = pathOf(kinds.RetainedDatabase, namespace)
  try {
    const created = await cluster.request<KubernetesObject>({ method: 'POST', path, query: { fieldManager }, body })
    caches.retained.put(created)
    log.info(
      { project: target.project, database: target.database, record: body.metadata.name, volumes: volumes.length },
      'kept volumes found',
    )
    recorder.record({
      about: created,
      type: 'Normal',
      reason: 'Found',
      message: `${volumes.length} kept volumes of the database ${target.project}/${target.database} were found, which is gone. It can be had back.`,
      at: body.spec.deletedAt,
    })
  } catch (error) {
    if (!isProblem(error, 'already-exists')) throw error // somebody recorded these volumes at the same time
  }
}

/** The CRD of databases may have been deleted with them. */
async function unlessNotServed<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isProblem(error, 'not-served')) return undefined
    throw error
  }
}
