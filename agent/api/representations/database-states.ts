import * as z from 'zod'
import type { AcceptedState } from '../../operations/accepted.ts'
import type { DatabaseView, DatabaseViews } from '../../region/database-view.ts'
import { projectOf } from '../../resources/kind.ts'
import { type DatabaseSurroundings, databaseStatus } from './database.ts'

export const databaseStateSchema = z
  .object({
    phase: z.string().describe('As in the database itself').meta({ example: 'Running' }),
    health: z
      .string()
      .optional()
      .describe('The last health that CrateDB reported; absent before the first report')
      .meta({ example: 'GREEN' }),
    ready: z.int().describe('Nodes that take queries').meta({ example: 3 }),
    desired: z.int().describe('Nodes that there should be at the moment').meta({ example: 3 }),
    version: z.string().describe('The specified one').meta({ example: '5.10.1' }),
    blockers: z
      .array(z.string())
      .optional()
      .describe('Codes of what stands in the way of the operation under way, and of backups that nothing takes')
      .meta({ example: ['PodUnschedulable'] }),
  })
  .meta({ id: 'DatabaseState', description: 'A database in a line.' })

type DatabaseState = z.input<typeof databaseStateSchema>

/** Each database in a line. One that has not changed is not made again. */
export class DatabaseStates {
  readonly #parts: { accepted: Pick<AcceptedState, 'database'>; views: DatabaseViews }
  // By the view, so that both are released together.
  readonly #made = new WeakMap<DatabaseView, { madeFrom: string; state: DatabaseState | undefined }>()

  constructor(parts: { accepted: Pick<AcceptedState, 'database'>; views: DatabaseViews }) {
    this.#parts = parts
  }

  /** By `project/id`, in that order. @param counts which projects count */
  all(around: DatabaseSurroundings, counts: (project: string) => boolean): [key: string, state: DatabaseState][] {
    const states = [...this.#parts.views.values()].flatMap((view): [string, DatabaseState][] => {
      const project = projectOf(view.namespace)
      if (project === undefined || !counts(project)) return []
      const state = this.#of(project, view, around)
      return state === undefined ? [] : [[`${project}/${view.name}`, state]]
    })
    return states.sort(([a], [b]) => (a < b ? -1 : 1))
  }

  #of(project: string, view: DatabaseView, around: DatabaseSurroundings): DatabaseState | undefined {
    const madeFrom = `${view.revision} ${around.operator.state} ${around.operator.backupImage} ${around.trouble}`
    const known = this.#made.get(view)
    if (known?.madeFrom === madeFrom) return known.state
    const resource = this.#parts.accepted.database(project, view.name)
    const state = resource && stateOf(databaseStatus({ ...view, object: resource.object }, resource, around))
    this.#made.set(view, { madeFrom, state })
    return state
  }
}

function stateOf({ phase, health, nodes, version, blockers }: ReturnType<typeof databaseStatus>): DatabaseState {
  return {
    phase,
    ...(health.value !== null && { health: health.value }),
    ready: nodes.ready,
    desired: nodes.desired,
    version: version.specified,
    ...(blockers.length > 0 && { blockers: [...new Set(blockers.map(({ code }) => code))] }),
  }
}
