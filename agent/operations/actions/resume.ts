import type { DatabaseTarget } from '../../resources/kind.ts'
import { decideSuspension } from '../deciding/database-state.ts'
import { advanceToState } from '../work/database-state.ts'
import { type Action, databaseRequest, emptyBody } from './action.ts'

/** Starts the nodes of a suspended database again. */
export const resume: Action<DatabaseTarget> = {
  name: 'resume',
  phase: 'Resuming',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'resumeDatabase',
      summary: 'Starts the nodes of a suspended database again',
      body: emptyBody('Empty: the database comes back with the nodes that it had'),
      asksForState: true,
      decide: (parts, asked) => decideSuspension(parts, asked, false),
    }),
  ],
  work: { advance: advanceToState },
}
