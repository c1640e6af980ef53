import { listed } from '../region/obstacles/evidence.ts'
import { heapDumpVolumeOf } from '../resources/heap-dump-volume.ts'
import type { Evidence } from './evidence.ts'
import { type Finding, fail, ok } from './finding.ts'
import { sourceFor } from './storage.ts'

/** Whether the class is there that the Crate Operator, where it runs, gives the heap-dump volume of each node of a database. */
export function heapDumps({ operator, storageClasses }: Evidence): Finding[] {
  const { storageClass } = operator ? heapDumpVolumeOf(operator) : {}
  // Without any class, that is what is told.
  const instead = storageClasses && sourceFor('crate-premium', storageClasses)
  if (!operator || !storageClasses || storageClass === undefined || instead === undefined) return []
  if (storageClasses.some(({ metadata }) => metadata.name === storageClass))
    return [ok('heap-dump-class', `the Crate Operator makes heap-dump volumes of the class ${storageClass}`)]
  const { name, namespace } = operator.metadata
  const names = listed(storageClasses.map(({ metadata }) => metadata.name))
  return [
    fail(
      'heap-dump-class',
      `the Crate Operator makes heap-dump volumes of the class ${storageClass}, which does not exist`,
      'Each node of a database gets one: their pods wait for ever.',
      `Set an existing one (${names}): kubectl -n ${namespace} set env deployment/${name} CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS=${instead}`,
    ),
  ]
}
