import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { Operation } from '../operations/operation.ts'
import type { Caches, PodView, ServiceView, StatefulSetView } from '../region/caches.ts'
import { projectOf } from '../resources/kind.ts'
import type { EventSource } from './events.ts'
import type { Resources } from './resources.ts'

/** The collections whose changes are events, each shown as a read would show it. */
// biome-ignore lint/suspicious/noExplicitAny: each source knows the type of its own objects
export function eventSources(caches: Caches, { projects, databases, operations }: Omit<Resources, 'routes'>): EventSource<any>[] {
  const databaseBytes = ({ project, id }: { project: string; id: string }) => databases.get(project, id)?.bytes ?? 'null'

  const ofDatabase: EventSource<KubernetesObject> = {
    kind: 'database',
    cache: caches.databases,
    refOf: ({ metadata }) => databaseRef(metadata.namespace, metadata.name),
    render: ({ metadata }) => databaseBytes(databaseRef(metadata.namespace, metadata.name) as { project: string; id: string }),
  }
  /** What a database consists of shows in its status: a pod that goes changes the database, and does not take it away. */
  const partOfDatabase = <T extends PodView | StatefulSetView | ServiceView>(cache: Cache<T>): EventSource<T> => ({
    kind: 'database',
    cache: { subscribe: (listener) => cache.subscribe((change) => listener(asChange(change.object, change.key))) },
    refOf: ({ metadata, database }) => {
      const ref = database === undefined ? undefined : databaseRef(metadata.namespace, database)
      return ref && databases.get(ref.project, ref.id) ? ref : undefined
    },
    render: ({ metadata, database }) =>
      databaseBytes(databaseRef(metadata.namespace, database as string) as { project: string; id: string }),
  })
  const ofProject: EventSource<KubernetesObject> = {
    kind: 'project',
    cache: caches.projects,
    refOf: ({ metadata }) => ({ project: metadata.name, id: metadata.name }),
    render: ({ metadata }) => projects.get(metadata.name)?.bytes ?? 'null',
  }
  const ofOperation: EventSource<Operation> = {
    kind: 'operation',
    cache: caches.operations,
    refOf: ({ metadata, spec }) => ({ project: spec.target.project, id: metadata.name }),
    render: (operation) => operations.of(operation).bytes,
  }
  return [
    ofOperation,
    ofProject,
    ofDatabase,
    partOfDatabase(caches.statefulSets),
    partOfDatabase(caches.pods),
    partOfDatabase(caches.services),
  ]
}

function asChange<T>(object: T, key: string) {
  return { type: 'changed' as const, key, object, previous: object }
}

function databaseRef(namespace: string | undefined, id: string): { project: string; id: string } | undefined {
  const project = projectOf(namespace ?? '')
  return project === undefined ? undefined : { project, id }
}
