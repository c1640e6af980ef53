import * as z from 'zod'
import { packJson } from '../../region-file/import/pieces.ts'
import { deletionObstacles, type ImportedDeletion } from '../../region-file/import/verdict.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import type { RetainedDatabase } from '../../resources/retained-database.ts'
import { readRetained } from '../../resources/retained-reading.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import { importSceneOf } from '../deciding/standing-region.ts'
import { readVolumes } from '../deciding/standing-volumes.ts'
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

type AskedToKeep = Asked<DatabaseTarget, Record<string, never>, Record<string, unknown>>

async function prepare(parts: DecisionParts, asked: AskedToKeep): Promise<AskedToKeep> {
  const { record, volumes, secrets } = deletionOf(asked)
  const pieces = [await packJson({ record, volumes, secrets }, maxPieceBytes)]
  const names = volumes.map(({ metadata }) => metadata.name)
  return { ...asked, standing: { volumes: await readVolumes(parts.cluster, names), makesVolumes: true, verdicts: [], pieces } }
}

function deletionOf({ body }: AskedToKeep): ImportedDeletion {
  return body as unknown as ImportedDeletion
}

function decide(parts: DecisionParts, asked: AskedToKeep): Proposed | undefined {
  const { standing } = asked
  if (!standing) throw new TypeError('a deleted database is kept after its volumes were looked at')
  const { id, record, volumes } = deletionOf(asked)
  // All of them stand: an earlier import made them, or this is the cluster in which they were kept.
  if (volumes.every(({ metadata }) => standing.volumes.byName.has(metadata.name))) return undefined
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
