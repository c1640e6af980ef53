import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import type { ProjectSpec } from '../resources/project.ts'
import type { StoredDatabaseSpec } from '../resources/database.ts'
import type { Operation } from './operation.ts'

/**
 * A resource as it was last asked for: what a request is checked against, and what a patch is merged into. The operation
 * that has not ended says it first, the cluster otherwise.
 */
export type AcceptedResource<Spec> = {
  spec: Spec
  /** The object in the cluster; undefined until the creation has been applied. */
  object: KubernetesObject | undefined
  /** The newest operation of the resource that has not ended. */
  operation: Operation | undefined
  /** Its deletion has been accepted. */
  leaving: boolean
}

export type AcceptedState = {
  project(id: string): AcceptedResource<ProjectSpec> | undefined
  projects(): AcceptedResource<ProjectSpec>[]
  database(project: string, id: string): AcceptedResource<StoredDatabaseSpec> | undefined
  databases(project: string): AcceptedResource<StoredDatabaseSpec>[]
}
