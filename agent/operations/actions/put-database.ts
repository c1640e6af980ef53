import * as z from 'zod'
import { movesBackups } from '../../resources/backup-place.ts'
import { databaseSpec, type GivenDatabaseSpec, splitSecrets } from '../../resources/database.ts'
import { foreignDatabases } from '../../resources/foreign-bodies.ts'
import { databaseId } from '../../resources/identifiers.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { bringsBucket, tryGivenBucket } from '../deciding/bucket-trial.ts'
import { decideState } from '../deciding/database-state.ts'
import { patched } from '../deciding/merge-patch.ts'
import { withMissingNodes } from '../deciding/missing-nodes.ts'
import { noSuchDatabase } from '../deciding/present.ts'
import { withPresentSecrets } from '../deciding/present-secrets.ts'
import { advanceToState } from '../work/database-state.ts'
import { type Action, databaseRequest } from './action.ts'

/** The members of a database in which a patch can have secrets. */
const withSecrets = ['users', 'backups', 'snapshots', 'ssl']

const given = (body: unknown) => splitSecrets(body as GivenDatabaseSpec)

/** Creates or changes a database. */
export const putDatabase: Action<DatabaseTarget> = {
  name: 'put',
  phase: 'Updating',
  requests: [
    databaseRequest({
      method: 'PUT',
      operationId: 'putDatabase',
      summary: 'Creates a database, or brings it to the given state',
      description:
        'Passwords that a creation leaves out are generated and returned once, in this answer. Several kinds of change in one request are made one after the other.',
      // The other members of a read are accepted too, so that its answer can be edited and put.
      body: databaseSpec.extend({
        id: databaseId.optional().describe('As in the path, if given').meta({ example: 'tidal-gauge' }),
        status: z.unknown().optional().describe('Ignored: the status that a read shows'),
      }),
      example: {
        version: '5.10.1',
        nodes: { count: 3, cpu: 2, memory: '4Gi', disk: { size: '64Gi', storageClass: 'crate-premium' } },
        users: [{ name: 'harbourmaster' }],
        allowedCIDRs: ['10.20.0.0/16'],
      },
      foreign: foreignDatabases,
      asksForState: true,
      normalize: ({ status: _, ...rest }, { database }) => ({ ...rest, id: rest.id ?? database }),
      prepare: async (parts, asked) => {
        const { spec, secrets } = given(asked.body)
        const present = parts.accepted.database(asked.target.project, asked.target.database)
        const moves = present !== undefined && movesBackups(present.spec, spec)
        const brings = Object.keys(secrets).length > 0 || moves || bringsBucket(present?.spec, spec, secrets)
        const known = await withPresentSecrets(parts, asked, brings)
        const findings = await tryGivenBucket(parts, asked.target, { wanted: spec, given: secrets, presentSecrets: known.presentSecrets })
        return withMissingNodes(parts, { ...known, findings })
      },
      decide: (parts, asked) => decideState(parts, asked, () => ({ ...given(asked.body), counts: true })),
    }),
    databaseRequest({
      method: 'PATCH',
      operationId: 'patchDatabase',
      summary: 'Changes a database',
      description: 'The patch is merged into the state that was last accepted. Lists are replaced as a whole.',
      patch: databaseSpec,
      example: { nodes: { count: 5 } },
      foreign: foreignDatabases,
      asksForState: true,
      prepare: async (parts, asked) => {
        const brings = withSecrets.some((member) => Object.hasOwn(asked.body, member))
        const known = await withPresentSecrets(parts, asked, brings)
        const present = parts.accepted.database(asked.target.project, asked.target.database)
        if (!present || !Object.hasOwn(asked.body, 'snapshots')) return withMissingNodes(parts, known)
        const { spec, secrets } = splitSecrets(patched(databaseSpec, present.spec, asked.body, foreignDatabases))
        const { presentSecrets } = known
        const findings = await tryGivenBucket(parts, asked.target, { wanted: spec, given: secrets, presentSecrets })
        return withMissingNodes(parts, { ...known, findings })
      },
      decide: (parts, asked) =>
        decideState(parts, asked, (present) => {
          const counts = (asked.body.nodes as { count?: unknown } | null | undefined)?.count !== undefined
          if (present) return { ...splitSecrets(patched(databaseSpec, present.spec, asked.body, foreignDatabases)), counts }
          throw noSuchDatabase(asked.target)
        }),
    }),
    databaseRequest({
      method: 'PUT',
      isOwn: true,
      operationId: 'putScratchDatabase',
      summary: 'Creates the database of a rehearsal',
      body: databaseSpec.extend({ rehearsal: z.strictObject({ operation: z.string(), of: z.string() }) }),
      asksForState: true,
      decide(parts, asked) {
        const { rehearsal, ...body } = asked.body
        const { spec, secrets } = given(body)
        return decideState(parts, asked, () => ({ spec: { ...spec, rehearsal }, secrets, counts: true }))
      },
    }),
  ],
  work: { advance: advanceToState },
}
