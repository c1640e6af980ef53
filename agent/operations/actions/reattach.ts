import * as z from 'zod'
import { packJson } from '../../region-file/import/pieces.ts'
import { type ImportedDatabase, judge } from '../../region-file/import/verdict.ts'
import { type StoredDatabaseSpec, secretsNeeded } from '../../resources/database.ts'
import { quotaExceeded } from '../../resources/database-usage.ts'
import { countsOf, createdAnew, withinRules } from '../../resources/foreign-database.ts'
import type { DatabaseTarget, Secrets, Step } from '../../resources/kind.ts'
import { sumOfRetained } from '../../resources/retained-keeping.ts'
import { decideState } from '../deciding/database-state.ts'
import { type DecisionParts, type Proposed, refusal, seconds } from '../deciding/decision.ts'
import { projectAround } from '../deciding/present.ts'
import { recordOf, retainedOf } from '../deciding/retained.ts'
import { importSceneOf } from '../deciding/standing-region.ts'
import { readVolumes } from '../deciding/standing-volumes.ts'
import { maxPieceBytes } from '../request-secret.ts'
import { advanceReattach, leaveReattach, reserveStep } from '../work/reattached-database.ts'
import { type Action, type Asked, databaseRequest } from './action.ts'

/** Makes a database again with the volumes that it had in another cluster. An import asks for it. */
export const reattach: Action<DatabaseTarget> = {
  name: 'reattach',
  phase: 'Creating',
  requests: [
    databaseRequest({
      method: 'POST',
      isOwn: true,
      operationId: 'reattachDatabase',
      summary: 'Makes a database again with its volumes',
      // Read as a part of its file.
      body: z.looseObject({}),
      asksForState: true,
      prepare,
      decide,
    }),
  ],
  work: { advance: advanceReattach, leave: leaveReattach },
}

type AskedReattach = Asked<DatabaseTarget, Record<string, never>, Record<string, unknown>>

const noHosts: ReadonlyMap<string, string> = new Map()

async function prepare(parts: DecisionParts, asked: AskedReattach): Promise<AskedReattach> {
  const { cratedb: given, volumes } = entryOf(asked)
  const cratedb = given && withinRules(given, asked.target, parts.config).cratedb
  const names = volumes.map(({ metadata }) => metadata.name)
  const pieces = [await packJson({ cratedb, volumes }, maxPieceBytes)]
  return { ...asked, standing: { volumes: await readVolumes(parts.cluster, names), makesVolumes: true, verdicts: [], pieces } }
}

function entryOf({ body }: AskedReattach): ImportedDatabase {
  return body as unknown as ImportedDatabase
}

function decide(parts: DecisionParts, asked: AskedReattach): Proposed | undefined {
  const { standing, target } = asked
  if (!standing) throw new TypeError('a database is reattached after its volumes were looked at')
  projectAround(parts, target)
  const { verdict, entry } = judge(entryOf(asked), importSceneOf(parts, standing.volumes), noHosts)
  if (verdict.verdict === 'unchanged') return undefined
  if (verdict.obstacles.length > 0)
    throw refusal(
      'wrong-state',
      verdict.obstacles.map(({ message }) => ({ path: '', message })),
    )
  const proposed = entry.cratedb ? decideForeign(parts, entry) : decideOwn(parts, asked, entry)
  const { pieces } = standing
  const plan = [reserving(entry), ...proposed.plan.map((step) => ({ ...step, consequences: [...step.consequences, ...verdict.notes] }))]
  const deleted = recordOf(parts, entry)?.metadata.name
  const parameters = { volumes: entry.volumes.length, ...(deleted !== undefined && { deleted }) }
  return { ...proposed, parameters, pieces, plan, credentials: [] }
}

function reserving({ volumes }: ImportedDatabase): Step {
  return { name: reserveStep, consequences: [`Reserves its ${volumes.length} volumes, and makes those that are missing.`], objects: [] }
}

/** As a PUT creates it. Users of the data have their old passwords, and keys that nobody has are asked for again by the next change. */
function decideOwn(parts: DecisionParts, asked: AskedReattach, entry: ImportedDatabase): Proposed {
  const { body, secrets = {} } = entry
  const spec = { ...body, suspended: false }
  const takesBack = recordOf(parts, entry)?.metadata.name
  const decided = decideState(parts, asked, () => ({
    spec,
    secrets: { ...placeholders(spec, secrets), ...secrets },
    takesBack,
    isStored: true,
  }))
  if (!decided) throw new TypeError('a database that does not stand cannot be unchanged')
  return decided
}

function placeholders(spec: StoredDatabaseSpec, given: Secrets): Secrets {
  return Object.fromEntries(secretsNeeded(spec, given).missing.map((place) => [place, 'lost-with-the-former-cluster']))
}

/** As another tool made it. */
function decideForeign(parts: DecisionParts, entry: ImportedDatabase): Proposed {
  const { project, body, cratedb } = entry
  const target: DatabaseTarget = { kind: 'database', project, database: body.id }
  const wanted = { ...body, suspended: false }
  refuseOverQuota(parts, target, wanted, recordOf(parts, entry)?.metadata.name)
  const object = createdAnew(target, cratedb as NonNullable<typeof cratedb>, countsOf(body))
  const plan = [{ name: 'create', consequences: ['Makes the CrateDB as another tool had made it.'], objects: [object] }]
  return { wanted, timeoutSeconds: seconds(parts.config.timeouts.create), plan }
}

/** The other rules are those of its verdict. @throws Problem `quota-exceeded` */
function refuseOverQuota(
  parts: DecisionParts,
  { project: id }: DatabaseTarget,
  wanted: StoredDatabaseSpec,
  takesBack: string | undefined,
): void {
  const project = parts.accepted.project(id)?.spec
  if (project?.quota === undefined) return
  const siblings = parts.accepted.databases(id).map(({ spec }) => spec)
  const retained = sumOfRetained(retainedOf(id, parts, takesBack))
  const faults = quotaExceeded({ wanted, current: undefined, project, siblings, retained, heapDumpVolume: parts.heapDumpVolume() })
  if (faults.length > 0) throw refusal('quota-exceeded', faults)
}
