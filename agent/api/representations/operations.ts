import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { hasEnded, type Operation } from '../../resources/operation.ts'
import { representOperation } from './operation.ts'
import type { Prepared } from './prepared.ts'

/** Operations as the API gives them; those that have ended never change again and are made once. */
export type OperationRepresentations = { of(operation: Operation): Prepared }

/** @param objectOf the CrateDB of an operation's target, from which its steps are counted */
export function createOperationRepresentations(objectOf: (operation: Operation) => KubernetesObject | undefined): OperationRepresentations {
  // By the object in the cache, so that what is made goes with it.
  const made = new WeakMap<Operation, Prepared>()
  return {
    of(operation) {
      const known = made.get(operation)
      if (known) return known
      const ended = hasEnded(operation)
      const { name, resourceVersion } = operation.metadata
      const bytes = Buffer.from(JSON.stringify(representOperation(operation, ended ? undefined : objectOf(operation))))
      const prepared = { id: name, bytes, etag: `"${resourceVersion}"` }
      if (ended) made.set(operation, prepared)
      return prepared
    },
  }
}
