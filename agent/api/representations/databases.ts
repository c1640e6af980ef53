import type { AcceptedState } from '../../operations/accepted.ts'
import type { DatabaseView, DatabaseViews } from '../../region/database-view.ts'
import type { StoredDatabaseSpec } from '../../resources/database.ts'
import { namespaceOf } from '../../resources/kind.ts'
import { type Page, pageOf } from '../pages.ts'
import { type DatabaseStatus, type DatabaseSurroundings, databaseStatus, isUnwell } from './database.ts'
import { composePage, createMemo, type Prepared, prepare } from './prepared.ts'

/** A rendered database, with its spec and status. */
export type PreparedDatabase = Prepared & { spec: StoredDatabaseSpec; status: DatabaseStatus; unwell: boolean }

/** Databases as the API shows them. Each is rendered on the first read after a change. */
export type DatabaseRepresentations = {
  get(project: string, id: string): PreparedDatabase | undefined
  /** One page of a project's databases, by id. @throws Problem `invalid-fields` for a cursor of another list */
  page(project: string, query: { limit: number; cursor?: string | undefined }): { bytes: Buffer; next: string | undefined }
  /** How many databases a project has. */
  count(project: string): number
}

export type DatabaseRepresentationParts = {
  accepted: Pick<AcceptedState, 'database'>
  views: DatabaseViews
  surroundings: () => DatabaseSurroundings
}

export function createDatabaseRepresentations({ accepted, views, surroundings }: DatabaseRepresentationParts): DatabaseRepresentations {
  type Made = { revision: number; context: string; prepared: PreparedDatabase | undefined }
  // By the view, so that both are released together.
  const made = new WeakMap<DatabaseView, Made>()
  const pages = createMemo<{ bytes: Buffer; next: string | undefined }>()

  function of(project: string, view: DatabaseView, around: DatabaseSurroundings): PreparedDatabase | undefined {
    const context = contextOf(around)
    const known = made.get(view)
    if (known && known.revision === view.revision && known.context === context) return known.prepared
    const prepared = make(project, view, around)
    made.set(view, { revision: view.revision, context, prepared })
    return prepared
  }

  /** Undefined where only traces are left, such as ended operations or pods that are still terminating. */
  function make(project: string, view: DatabaseView, around: DatabaseSurroundings): PreparedDatabase | undefined {
    const resource = accepted.database(project, view.name)
    if (!resource) return undefined
    // What is accepted includes a deletion before the cache of databases may.
    const status = databaseStatus({ ...view, object: resource.object }, resource, around)
    // No request can have it, so it is part of the status.
    const { rehearsal: _, ...spec } = resource.spec
    return { ...prepare(spec, status), spec, status, unwell: isUnwell(status) }
  }

  function all(project: string, around: DatabaseSurroundings): PreparedDatabase[] {
    return views
      .within(namespaceOf(project))
      .map((view) => of(project, view, around))
      .filter((prepared) => prepared !== undefined)
  }

  return {
    get(project, id) {
      const view = views.get(namespaceOf(project), id)
      return view && of(project, view, surroundings())
    },
    page(project, { limit, cursor }) {
      const around = surroundings()
      return pages(`${project} ${limit} ${cursor ?? ''}`, `${views.revisionOf(namespaceOf(project))} ${contextOf(around)}`, () => {
        const page: Page<PreparedDatabase> = pageOf(all(project, around), ({ id }) => id, { limit, cursor }, `databases/${project}`)
        return { bytes: composePage(page), next: page.next }
      })
    },
    count: (project) => all(project, surroundings()).length,
  }
}

function contextOf({ operator, trouble }: DatabaseSurroundings): string {
  return `${operator.state} ${operator.backupImage} ${trouble ?? ''}`
}
