import * as z from 'zod'
import { formatBytes, parseBytes } from '../../../shared/kubernetes/quantity.ts'
import { type RetainedDatabase, type RetainedDatabaseVolume, retainedOrigins, retainedPhases } from '../../resources/retained-database.ts'
import { exampleEtag, type Prepared, prepare } from './prepared.ts'

const moment = z.iso.datetime()

const volume = z.object({
  volume: z.string().describe('The PersistentVolume').meta({ example: 'pvc-1c0f2f0e' }),
  uid: z.string().meta({ example: '0b9f1f0e-6a43-4a9e-9a80-9a1b3d3f3c11' }),
  claim: z
    .string()
    .describe('The claim that it served, `NAMESPACE/NAME`')
    .meta({ example: 'project-harbour/data0-crate-data-hot-tidal-gauge-0' }),
  capacity: z.string().optional().meta({ example: '64Gi' }),
  storageClass: z.string().optional().meta({ example: 'crate-premium' }),
  handle: z.string().optional().describe("The storage driver's name for it; a path for a volume of the host"),
})

/** A deleted database as the API returns it. */
export const deletedDatabaseSchema = z
  .object({
    id: z.string().describe('Its id from the deletion on').meta({ example: 'tidal-gauge.3f9a01bc' }),
    database: z.string().describe('Its id before, and again after an undelete').meta({ example: 'tidal-gauge' }),
    origin: z
      .enum(retainedOrigins)
      .describe('An operation deleted it, somebody did outside the API, or only its volumes were found')
      .meta({ example: 'operation' }),
    deletedAt: moment.describe('When it was deleted; when it was found, if nobody knows that'),
    deletedBy: z.string().describe('The identity that asked, or in words').meta({ example: 'token:cloud' }),
    operation: z.string().optional().describe('The entry of the ledger').meta({ example: 'op-0000000042' }),
    expiresAt: moment.optional().describe('Its data is deleted then; missing if it is kept until somebody purges it'),
    spec: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('The database as it was, without secrets; missing if only its volumes are known'),
    storage: z.string().optional().describe('The size of its volumes together').meta({ example: '192Gi' }),
    volumes: z.array(volume).describe('Where its data is'),
    status: z.object({
      phase: z.enum(retainedPhases).describe('PurgeIncomplete: the storage did not delete every volume').meta({ example: 'Kept' }),
      message: z.string().optional(),
      left: z
        .array(z.object({ volume: z.string(), why: z.string() }))
        .optional()
        .describe('After a purge: the volumes that are left, and why'),
      etag: z.string().meta({ example: exampleEtag }),
    }),
  })
  .meta({ id: 'DeletedDatabase', description: 'A deleted database that can be had back.' })

/** By the object in the cache, which never changes, so that both are released together. */
const made = new WeakMap<RetainedDatabase, Prepared>()

/** A deleted database as the API sends it, made once for each of its versions. */
export function prepareDeleted(record: RetainedDatabase): Prepared {
  const known = made.get(record)
  if (known) return known
  const { database, origin, deletedAt, deletedBy, operation, expiresAt, wanted, volumes } = record.spec
  const { phase = 'Kept', message, left } = record.status ?? {}
  const spec = {
    id: record.metadata.name,
    ...{ database, origin, deletedAt, deletedBy },
    ...(operation !== undefined && { operation }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(wanted && { spec: wanted }),
    storage: storageOf(volumes),
    volumes,
  }
  const prepared = prepare(spec, { phase, ...(message !== undefined && { message }), ...(left && { left }) })
  made.set(record, prepared)
  return prepared
}

function storageOf(volumes: RetainedDatabaseVolume[]): string {
  return formatBytes(volumes.reduce((sum, { capacity }) => sum + (parseBytes(capacity ?? '') ?? 0n), 0n))
}
