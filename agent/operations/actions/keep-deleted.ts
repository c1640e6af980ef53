import * as z from 'zod'
import { kinds } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { packJson } from '../../region-file/import/pieces.ts'
import { deletionObstacles, type ImportedDeletion } from '../../region-file/import/verdict.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { label } from '../../resources/labels.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { readRetained } from '../../resources/retained-reading.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import { importSceneOf } from '../deciding/standing-region.ts'
import { readVolumes, type StandingVolumes } from '../deciding/standing-volumes.ts'
import { maxPieceBytes } from '../request-secret.ts'
import { advanceKeepDeleted, makeVolumesStep } from '../work/kept-deletion.ts'
import { type Action, type Asked, databaseRequest } from './action.ts'

/** Keeps a database that was deleted in another cluster, so that it can be had back. An import asks for it. */
export const keepDeleted: Action<DatabaseTarget> = {
  name: 'keep-deleted',
  phase: undefined,
  requests: [
    databaseRequest({
      method: 'POST',
      isOwn: true,
      operationId: 'keepDeletedDatabase',
      summary: 'Keeps a database that was deleted in another cluster',
      // Read as a part of its file.
      body: z.looseObject({}),
      asksForState: true,
      prepare,
      decide,
    }),
  ],
  work: { advance: advanceKeepDeleted },
}

type AskedToKeep = Asked<DatabaseTarget, Record<string, never>, Record<string, unknown>> & { isKept?: boolean }

async function prepare(parts: DecisionParts, asked: AskedToKeep): Promise<AskedToKeep> {
  const { record, volumes, secrets } = deletionOf(asked)
  const pieces = [await packJson({ record, volumes, secrets }, maxPieceBytes)]
  const names = volumes.map(({ metadata }) => metadata.name)
  const standing = { volumes: await readVolumes(parts.cluster, names), makesVolumes: true, verdicts: [], pieces }
  return { ...asked, standing, isKept: await isKept(parts, asked, standing.volumes) }
}

/**
 * Whether nothing is left to do. Volumes alone are not enough: an import that failed between them and the record has left them, or somebody has
 * made them, and then nothing but the file knows the database and its passwords.
 */
async function isKept({ cluster, config }: DecisionParts, asked: AskedToKeep, { byName }: StandingVolumes): Promise<boolean> {
  const { record, volumes } = deletionOf(asked)
  const names = volumes.map(({ metadata }) => metadata.name)
  if (names.length === 0 || !names.every((name) => byName.has(name))) return false
  if (names.some((name) => byName.get(name)?.phase === 'Bound')) return true // had back since
  const query = { labelSelector: `${label.project}=${record.project},${label.database}=${record.database}` }
  const records = await listObjects<RetainedDatabase>(cluster, kinds.RetainedDatabase, { namespace: config.namespace, query })
  return records.some((present) => {
    const { spec } = readRetained(present)
    const saysAsMuch = record.origin === 'found' || spec?.origin !== 'found'
    return saysAsMuch && names.every((name) => spec?.volumes.some(({ volume }) => volume === name))
  })
}

function deletionOf({ body }: AskedToKeep): ImportedDeletion {
  return body as unknown as ImportedDeletion
}

function decide(parts: DecisionParts, asked: AskedToKeep): Proposed | undefined {
  const { standing } = asked
  if (!standing) throw new TypeError('a deleted database is kept after its volumes were looked at')
  const { id, record, volumes } = deletionOf(asked)
  if (asked.isKept) return undefined
  const { fault } = readRetained({ spec: record } as unknown as RetainedDatabase)
  const obstacles = deletionObstacles(deletionOf(asked), importSceneOf(parts, standing.volumes))
  const faults = [...(fault === undefined ? [] : [`its record cannot be read: ${fault}`]), ...obstacles.map(({ message }) => message)]
  if (volumes.length === 0) faults.push('none of its volumes is in the file')
  if (faults.length > 0)
    throw refusal(
      'wrong-state',
      faults.map((message) => ({ path: '', message })),
    )
  const consequences = ['Makes its volumes again, reserved for nobody, and keeps it until somebody purges it.']
  return {
    parameters: { deleted: id, volumes: volumes.length },
    pieces: standing.pieces,
    timeoutSeconds: seconds(parts.config.timeouts.create),
    plan: [{ name: makeVolumesStep, consequences, objects: [] }],
  }
}
