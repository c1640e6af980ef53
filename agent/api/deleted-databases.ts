import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import { keyOf } from '../../shared/kubernetes/objects.ts'
import type { DecisionParts } from '../operations/deciding/decision.ts'
import { deletedParams, deletedPath, deletedTag, noSuchDeletedDatabase } from '../operations/deciding/deleted-database.ts'
import { noSuchProject } from '../operations/deciding/present.ts'
import type { Caches } from '../region/caches.ts'
import { isFollowed } from '../region/where-served.ts'
import { namespaceOf } from '../resources/kind.ts'
import type { RetainedDatabase } from '../resources/retained-database.ts'
import { readRetained } from '../resources/retained-reading.ts'
import type { AcceptingParts } from './accepting.ts'
import { actionRoutes } from './actions.ts'
import { json, nextLink, pageOf, pageQuery, type Route, route } from './http.ts'
import { linkHeader, listOf, readResponses } from './projects.ts'
import { deletedDatabaseSchema, prepareDeleted } from './representations/deleted-database.ts'
import { composePage, type Prepared } from './representations/prepared.ts'
import { acceptingParts, type Resource } from './resource.ts'

/** Deleted databases that can be had back. Their requests are decided by the databases that they were. */
export const deletedDatabases: Resource = {
  open(parts) {
    const { caches } = parts
    const { namespace } = parts.config.cluster
    return {
      routes: deletedDatabaseRoutes({ ...acceptingParts(parts), deleted: createDeletedDatabases(caches, namespace) }),
      events: [
        {
          kind: 'deleted-database',
          subscribe: (listener) =>
            caches.retained.subscribe(({ type, object }) => {
              const { spec } = readRetained(object)
              if (!spec) return
              const show = type !== 'removed' && { show: () => prepareDeleted(object).bytes }
              listener({ type, project: spec.project, id: object.metadata.name, ...show })
            }),
        },
      ],
    }
  },
}

type DeletedDatabases = {
  get(project: string, id: string): Prepared | undefined
  /** By id. */
  all(project: string): Prepared[]
}

function createDeletedDatabases({ retained, databases }: Pick<Caches, 'retained' | 'databases'>, namespace: string): DeletedDatabases {
  /** Its record is written before the database is deleted. */
  function isDeleted({ spec: { project, database, uid } }: RetainedDatabase): boolean {
    const standing = databases.get(keyOf({ namespace: namespaceOf(project), name: database }))
    return standing === undefined || standing.metadata.uid !== uid || standing.metadata.deletionTimestamp !== undefined
  }

  function mustBeKnown(): void {
    if (isFollowed(retained)) return
    throw new Problem('not-served', `Deleted databases cannot be read: ${retained.trouble ?? 'they are not listed yet'}.`)
  }

  return {
    get(project, id) {
      mustBeKnown()
      const record = retained.get(keyOf({ namespace, name: id }))
      return record && readRetained(record).spec?.project === project && isDeleted(record) ? prepareDeleted(record) : undefined
    },
    all(project) {
      mustBeKnown()
      // One that cannot be believed says so in its status, for kubectl.
      const own = [...retained.values()].filter((record) => readRetained(record).spec?.project === project && isDeleted(record))
      return own.map(prepareDeleted).sort((one, other) => (one.id < other.id ? -1 : 1))
    },
  }
}

type DeletedRouteParts = AcceptingParts & DecisionParts & { deleted: DeletedDatabases }

const projectParams = deletedParams.pick({ project: true })

/** The routes of deleted databases: they translate HTTP, and nothing else. */
function deletedDatabaseRoutes(parts: DeletedRouteParts): Route[] {
  const { deleted, accepted } = parts
  const get = ({ project = '', deleted: id = '' }: Record<string, string>) => deleted.get(project, id)
  const resource = {
    kind: 'database' as const,
    path: deletedPath,
    tag: deletedTag,
    params: deletedParams,
    schema: deletedDatabaseSchema,
    get,
  }
  return [
    route({
      method: 'GET',
      path: '/projects/{project}/deleted-databases',
      operationId: 'listDeletedDatabases',
      tag: deletedTag,
      tagDescription: 'Databases that were deleted, and whose data is still kept: until when, where, and how to have them back.',
      summary: 'Lists the deleted databases of a project, by id',
      description: 'Those of a project that was deleted too are listed as before.',
      scope: 'region:read',
      params: projectParams,
      query: z.strictObject(pageQuery),
      responses: () => ({
        200: { description: 'A page of deleted databases.', schema: listOf(deletedDatabaseSchema), headers: linkHeader },
      }),
      handle(c, { params: { project }, query }) {
        const all = deleted.all(project)
        if (!accepted.project(project) && all.length === 0) throw noSuchProject(project)
        const page = pageOf(all, ({ id }) => id, query, `deleted-databases/${project}`)
        return json(c, 200, composePage(page), page.next === undefined ? {} : { link: nextLink(c, page.next) })
      },
    }),
    route({
      method: 'GET',
      path: deletedPath,
      operationId: 'getDeletedDatabase',
      tag: deletedTag,
      summary: 'A deleted database, and what is kept of it',
      scope: 'region:read',
      params: deletedParams,
      responses: () => readResponses({ description: 'The deleted database.', schema: deletedDatabaseSchema }),
      handle(c, { params: { project, deleted: id } }) {
        const found = deleted.get(project, id)
        if (!found) throw noSuchDeletedDatabase(project, id)
        return json(c, 200, found.bytes, { etag: found.etag })
      },
    }),
    ...actionRoutes(parts, { ...resource, isElsewhere: true }),
  ]
}
