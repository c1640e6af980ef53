import type { DatabaseTarget } from '../../resources/kind.ts'
import { decideSuspension } from '../deciding/database-state.ts'
import { advanceToState } from '../work/database-state.ts'
import { type Action, databaseRequest, emptyBody } from './action.ts'

/** Stops a database's nodes. */
export const suspend: Action<DatabaseTarget> = {
  name: 'suspend',
  phase: 'Suspending',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'suspendDatabase',
      summary: 'Stops all nodes; volumes and secrets stay',
      body: emptyBody('Empty: the database is suspended as it is'),
      asksForState: true,
      decide: (parts, asked) => decideSuspension(parts, asked, true),
    }),
  ],
  work: { advance: advanceToState },
}
