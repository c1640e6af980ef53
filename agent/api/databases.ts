import * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import type { DecisionParts } from '../operations/deciding/decision.ts'
import { noSuchDatabase, noSuchProject } from '../operations/deciding/present.ts'
import type { DatabaseView } from '../region/database-view.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { type OperatorState, operatorStateOf } from '../region/status.ts'
import { databaseId, projectId } from '../resources/identifiers.ts'
import { projectOf, targetKinds } from '../resources/kind.ts'
import type { AcceptingParts } from './accepting.ts'
import { actionRoutes } from './actions.ts'
import { type Present, shownChanges } from './events/shown.ts'
import { type ApiContext, json, nextLink, pageQuery, type Route, route } from './http.ts'
import { linkHeader, listOf, readResponses } from './projects.ts'
import { createDatabaseSchema } from './representations/database.ts'
import { createDatabaseRepresentations, type DatabaseRepresentations, type PreparedDatabase } from './representations/databases.ts'
import { prepare } from './representations/prepared.ts'
import { acceptingParts, operatorAt, type Resource } from './resource.ts'

type Params = { project: string; database: string }

const projectParams = z.strictObject({ project: projectId.describe('Id of the project').meta({ example: 'harbour' }) })
const params = projectParams.extend({ database: databaseId.describe('Id of the database').meta({ example: 'tidal-gauge' }) })

/** Databases: CrateDB clusters in the namespaces of projects. */
export const databases: Resource = {
  scopes: [targetKinds.database.scope],
  open(parts) {
    const { accepted, actions, caches, clock, config, obstacles, operator, schemas } = parts
    const views = parts.views.databases
    const operatorNow = () => operatorStateOf(operator, operatorAt(config))
    const databases = createDatabaseRepresentations({
      accepted,
      views,
      surroundings: () => ({ operator: operatorNow(), trouble: caches.databases.trouble, actions }),
    })
    const present = ({ namespace, name }: DatabaseView): Present[] => {
      const project = projectOf(namespace)
      return project === undefined ? [] : [{ project, id: name, prepared: databases.get(project, name) }]
    }
    const all = () => [...views.values()].flatMap(present)
    const changes = shownChanges(all, (look) => {
      let seen = stateOf(operatorNow())
      const ends = [
        views.subscribe((view) => present(view).forEach(look)),
        // While the operator does not run, the health of all databases is stale. Without an image, nothing takes their backups.
        operator.subscribe(() => {
          const now = stateOf(operatorNow())
          if (now === seen) return
          seen = now
          all().forEach(look)
        }),
      ]
      return () => ends.forEach((end) => void end())
    })
    const schema = createDatabaseSchema(actions, schemas)
    return {
      routes: databaseRoutes({ ...acceptingParts(parts), obstacles, clock, databases, schemas: { ...schemas, database: schema } }),
      events: [{ kind: 'database', subscribe: changes }],
    }
  },
}

function stateOf({ state, backupImage }: OperatorState): string {
  return `${state} ${backupImage}`
}

type DatabaseRouteParts = AcceptingParts &
  DecisionParts & {
    databases: DatabaseRepresentations
    obstacles: Pick<Obstacles, 'of'>
    clock: Clock
    schemas: { database: z.ZodType }
  }

/** The routes of databases: they translate HTTP, and nothing else. */
function databaseRoutes(parts: DatabaseRouteParts): Route[] {
  const { databases, schemas } = parts
  const get = ({ project = '', database = '' }: Partial<Params>) => databases.get(project, database)
  return [...readRoutes(parts), ...actionRoutes(parts, { kind: 'database', ...ofDatabase, schema: schemas.database, get })]
}

const path = '/projects/{project}/databases/{database}'
const ofDatabase = { tag: 'Databases', params, path }

function readRoutes(parts: DatabaseRouteParts): Route[] {
  const { databases, accepted, schemas } = parts
  return [
    route({
      method: 'GET',
      path: '/projects/{project}/databases',
      operationId: 'listDatabases',
      tag: 'Databases',
      tagDescription: 'CrateDB clusters in projects: their desired state, their health, and what can be done with them.',
      summary: 'Lists the databases of a project, by id',
      scope: 'region:read',
      params: projectParams,
      query: z.strictObject(pageQuery),
      responses: () => ({ 200: { description: 'A page of databases.', schema: listOf(schemas.database), headers: linkHeader } }),
      handle(c, { params: { project }, query }) {
        if (!accepted.project(project) && databases.count(project) === 0) throw noSuchProject(project)
        const { bytes, next } = databases.page(project, query)
        return json(c, 200, bytes, next === undefined ? {} : { link: nextLink(c, next) })
      },
    }),
    route({
      ...ofDatabase,
      method: 'GET',
      operationId: 'getDatabase',
      summary: 'A database and how it is',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The database.', schema: schemas.database }),
      handle(c, { params: { project, database } }) {
        const found = databases.get(project, database)
        if (!found) throw accepted.project(project) ? noSuchDatabase({ project, database }) : noSuchProject(project)
        if (found.unwell) return withObstacles(c, parts, found)
        return json(c, 200, found.bytes, { etag: found.etag })
      },
    }),
  ]
}

/** How long a read waits for obstacles, in milliseconds. */
const obstaclesMs = 3_000

/** Answers a read of a database that has a problem without an open operation: its obstacles are determined now. */
async function withObstacles(c: ApiContext, parts: DatabaseRouteParts, { spec, status, bytes, etag }: PreparedDatabase): Promise<Response> {
  const { project, database } = c.req.param() as Params
  const enough = new AbortController()
  const looking = parts.obstacles.of({ kind: 'database', project, database })
  const found = await Promise.race([looking, parts.clock.sleep(obstaclesMs, enough.signal)])
  enough.abort()
  if (!found?.length) return json(c, 200, bytes, { etag })
  const prepared = prepare(spec, { ...status, blockers: [...found, ...status.blockers] })
  return json(c, 200, prepared.bytes, { etag: prepared.etag })
}
