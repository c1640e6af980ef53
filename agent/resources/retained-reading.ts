import * as z from 'zod'
import { asFault, parseWith } from '../../shared/faults.ts'
import { parseBytes } from '../../shared/kubernetes/quantity.ts'
import { groupNames, isClaimOf } from './data-claims.ts'
import { databaseId, objectName, projectId } from './identifiers.ts'
import { namespaceOf } from './kind.ts'
import { type RetainedDatabase, type RetainedDatabaseSpec, retainedOrigins } from './retained-database.ts'

const moment = z
  .string()
  .max(64)
  .refine((text) => /^\d{4}-\d\d-\d\dT/.test(text) && Number.isFinite(Date.parse(text)), 'must be a time such as 2026-12-24T18:00:00Z')
const line = z.string().max(512)
const anything = z.record(z.string(), z.unknown())

const volume = z.object({
  volume: objectName,
  uid: z.string().min(1).max(128),
  claim: z.string().max(320),
  capacity: z
    .string()
    .refine((text) => parseBytes(text) !== undefined, 'must be a quantity of bytes such as "64Gi"')
    .optional(),
  storageClass: line.optional(),
  handle: z.string().max(4096).optional(),
})

const spec = z
  .object({
    project: projectId,
    database: databaseId,
    uid: z.string().max(128).optional(),
    origin: z.enum(retainedOrigins),
    deletedAt: moment,
    deletedBy: line,
    operation: line.optional(),
    expiresAt: moment.optional(),
    wanted: anything.optional(),
    cratedb: z.object({ labels: anything, annotations: anything, spec: anything }).optional(),
    shape: anything.optional(),
    volumes: z.array(volume).max(4096),
    secrets: z.array(line).max(1024),
  })
  .superRefine(({ project, database, volumes, cratedb }, context) => {
    const groups = cratedb && (groupNames(cratedb.spec) ?? [])
    const seen = new Set<string>()
    for (const [index, { volume, claim }] of volumes.entries()) {
      const say = (member: string, message: string) => context.addIssue({ code: 'custom', path: ['volumes', index, member], message })
      const [namespace, name = ''] = claim.split('/')
      if (namespace !== namespaceOf(project) || !isClaimOf(name, database, groups)) say('claim', 'must be a data claim of the database')
      if (seen.has(volume)) say('volume', 'must not be named twice')
      seen.add(volume)
    }
  })

/** What a record says, or in words why it cannot be believed. */
export type ReadRetained = { spec: RetainedDatabaseSpec; fault?: never } | { spec?: never; fault: string }

const readings = new WeakMap<RetainedDatabase, ReadRetained>()

/**
 * Reads a record, which anybody with the permission may have changed by hand: no volume of another database can get into it. Each object is read
 * once, so only for objects of a cache, which never change.
 */
export function readRetained(record: RetainedDatabase): ReadRetained {
  let reading = readings.get(record)
  if (!reading) {
    reading = read(record)
    readings.set(record, reading)
  }
  return reading
}

function read(record: RetainedDatabase): ReadRetained {
  const parsed = parseWith(spec, record.spec)
  if (parsed.ok) return { spec: parsed.value as RetainedDatabaseSpec }
  const faults = parsed.faults.slice(0, 5).map((fault) => asFault(fault, '/spec'))
  return { fault: faults.map(({ path, message }) => `${path} ${message}`).join('; ') }
}
