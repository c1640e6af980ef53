import * as z from 'zod'
import { asFault, parseWith } from '../../../shared/faults.ts'
import { databaseSpec, type GivenDatabaseSpec, splitSecrets } from '../../resources/database.ts'
import { databaseId } from '../../resources/identifiers.ts'
import type { DatabaseTarget } from '../../resources/kind.ts'
import { stateWithSecretsDecision } from '../deciding/database-state.ts'
import { refusal } from '../deciding/decision.ts'
import { mergePatch } from '../deciding/merge-patch.ts'
import { noSuchDatabase } from '../deciding/present.ts'
import { advanceToState } from '../work/database-state.ts'
import { type Action, databaseRequest } from './action.ts'

/** The members of a database in which a patch can have secrets. */
const withSecrets = ['users', 'backups', 'ssl']

/** A database as it is to be: made, or changed. */
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
      // What a read shows beside the spec may come back with it, so that what was read can be edited and put.
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
      asksForState: true,
      normalize: ({ status: _, ...rest }, { database }) => ({ ...rest, id: rest.id ?? database }),
      decision(parts, asked) {
        const given = splitSecrets(asked.body as GivenDatabaseSpec)
        return stateWithSecretsDecision(parts, asked, Object.keys(given.secrets).length > 0, () => given)
      },
    }),
    databaseRequest({
      method: 'PATCH',
      operationId: 'patchDatabase',
      summary: 'Changes a database',
      description: 'The patch is merged into the state that was last accepted. Lists are replaced as a whole.',
      patch: databaseSpec,
      example: { nodes: { count: 5 } },
      asksForState: true,
      decision(parts, { body: { status: _, ...patch }, ...asked }) {
        const mayBringSecrets = withSecrets.some((field) => Object.hasOwn(patch, field))
        return stateWithSecretsDecision(parts, asked, mayBringSecrets, (present) => {
          if (!present) throw noSuchDatabase(asked.target)
          const parsed = parseWith(databaseSpec, mergePatch(present.spec, patch))
          if (parsed.ok) return splitSecrets(parsed.value)
          throw refusal(
            'invalid-fields',
            parsed.faults.map((fault) => asFault(fault)),
          )
        })
      },
    }),
  ],
  work: { advance: advanceToState },
}
