import { isProblem, Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { deleteObject } from '../../../shared/kubernetes/delete.ts'
import { type KindName, type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { mergePatch } from '../../../shared/kubernetes/patch.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import type { Caches } from '../../region/caches.ts'
import { fieldManager } from '../../resources/labels.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { takeOver } from '../taking-over.ts'

/** Names one object. */
type ObjectRef = { kind: KindName; namespace?: string; name: string }

/** The cluster as work may use it: reads return the present state, and writes need the Lease. */
export type WorkCluster = {
  /** The object from the API server, not from a cache; undefined if it does not exist. */
  read(ref: ObjectRef): Promise<KubernetesObject | undefined>
  list(kind: KindName, namespace: string | undefined, labelSelector?: string): Promise<KubernetesObject[]>
  /**
   * Server-side apply that takes over fields of other managers, and reads the result back: only for objects that were read just before.
   * @param before the object as it was read; undefined if it does not exist
   * @param alongside a merge patch for other fields, which the same write makes
   * @throws Problem `field-conflict` when the result is not what was written
   */
  apply(object: KubernetesObject, before: KubernetesObject | undefined, alongside?: object): Promise<KubernetesObject>
  /** Creates the object. @throws Problem `already-exists` when one of that name is there */
  create(object: KubernetesObject): Promise<KubernetesObject>
  /** Merge patch. */
  patch(ref: ObjectRef, change: unknown): Promise<KubernetesObject>
  /** Merge patch of the status. */
  patchStatus(ref: ObjectRef, change: unknown): Promise<KubernetesObject>
  /** What a merge patch would store. */
  tryPatch(ref: ObjectRef, change: unknown): Promise<KubernetesObject>
  /** Deletes this object, not another one with its name. An object that is already gone is fine. */
  remove(object: KubernetesObject): Promise<void>
}

/** @param mustLead throws when the Lease is no longer held; called right before each write */
export function createWorkCluster(cluster: Cluster, { mustLead, caches }: { mustLead: () => void; caches: Caches }): WorkCluster {
  /** Puts a written object into its cache, so that readers see it at once. */
  function remember(object: KubernetesObject): KubernetesObject {
    if (object.kind === 'CrateDB') caches.databases.put(object)
    if (object.kind === 'Project') caches.projects.put(object)
    if (object.kind === 'RetainedDatabase') caches.retained.put(object as RetainedDatabase)
    return object
  }

  /** In an apply, only the namespace can be missing. That is temporary: the project controller creates it again. */
  async function applied(object: KubernetesObject, before: KubernetesObject | undefined, alongside?: object): Promise<KubernetesObject> {
    try {
      return await takeOver(cluster, object, { before, alongside, mustAct: mustLead })
    } catch (error) {
      if (isProblem(error, 'not-found')) throw new Problem('cluster-error', error.detail, { cause: error })
      throw error
    }
  }

  return {
    read: ({ kind, namespace, name }) => readObject(cluster, pathOf(kinds[kind], namespace, name)),
    list: (kind, namespace, labelSelector) => listObjects(cluster, kinds[kind], { namespace, query: { labelSelector } }),
    apply: async (object, before, alongside) => remember(await applied(object, before, alongside)),
    async create(object) {
      mustLead()
      const { kind, metadata } = object
      const path = pathOf(kinds[kind as KindName], metadata.namespace)
      return cluster.request({ method: 'POST', path, query: { fieldManager }, body: object })
    },
    async patch({ kind, namespace, name }, change) {
      mustLead()
      return mergePatch(cluster, pathOf(kinds[kind], namespace, name), change, { fieldManager })
    },
    async patchStatus({ kind, namespace, name }, change) {
      mustLead()
      return remember(await mergePatch(cluster, `${pathOf(kinds[kind], namespace, name)}/status`, change, { fieldManager }))
    },
    tryPatch: ({ kind, namespace, name }, change) =>
      mergePatch(cluster, pathOf(kinds[kind], namespace, name), change, { fieldManager, dryRun: true }),
    async remove(object) {
      mustLead()
      await deleteObject(cluster, pathOfObject(object), object.metadata.uid)
    },
  }
}
