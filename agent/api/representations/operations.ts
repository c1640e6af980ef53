import type { Operation } from '../../resources/operation.ts'
import { representOperation } from './operation.ts'
import type { Prepared } from './prepared.ts'

/** Operations as the API gives them: each is made once for each of its versions. */
export type OperationRepresentations = { of(operation: Operation): Prepared }

export function createOperationRepresentations(): OperationRepresentations {
  // By the object in the cache, which nobody changes: what is made goes with it.
  const made = new WeakMap<Operation, Prepared>()
  return {
    of(operation) {
      const known = made.get(operation)
      if (known) return known
      const { name, resourceVersion } = operation.metadata
      const bytes = Buffer.from(JSON.stringify(representOperation(operation)))
      const prepared = { id: name, bytes, etag: `"${resourceVersion}"` }
      made.set(operation, prepared)
      return prepared
    },
  }
}
