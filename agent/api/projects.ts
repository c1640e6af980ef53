import * as z from 'zod'
import type { DecisionParts } from '../operations/deciding/decision.ts'
import { noSuchProject } from '../operations/deciding/present.ts'
import type { DatabaseView } from '../region/database-view.ts'
import type { ProjectView } from '../region/project-view.ts'
import { projectId } from '../resources/identifiers.ts'
import { namespaceOf, targetKinds } from '../resources/kind.ts'
import { hasEnded } from '../resources/operation.ts'
import type { AcceptingParts } from './accepting.ts'
import { actionRoutes } from './actions.ts'
import { shownChanges } from './events/shown.ts'
import { json, nextLink, pageQuery, type ResponseDoc, type Route, route, sees } from './http.ts'
import { createProjectRepresentations, createProjectSchema, type ProjectRepresentations } from './representations/project.ts'
import { acceptingParts, type Resource } from './resource.ts'

const params = z.strictObject({ project: projectId.describe('Id of the project').meta({ example: 'harbour' }) })
const path = '/projects/{project}'

/** Projects: tenants, each with a namespace. */
export const projects: Resource = {
  scopes: [targetKinds.project.scope],
  open(parts) {
    const { accepted, actions, schemas, views } = parts
    const projects = createProjectRepresentations({
      accepted,
      actions,
      views: views.projects,
      // Counted as views: nothing is rendered, and traces of a database that is gone do not count.
      databases: (project) => views.databases.within(namespaceOf(project)).filter(isThere).length,
    })
    const present = ({ id }: ProjectView) => ({ project: id, id, prepared: projects.get(id) })
    const changes = shownChanges(
      () => views.projects.all().map(present),
      (look) => views.projects.subscribe((view) => look(present(view))),
    )
    const schema = createProjectSchema(actions, schemas)
    return {
      routes: projectRoutes({ ...acceptingParts(parts), projects, schemas: { ...schemas, project: schema } }),
      events: [{ kind: 'project', subscribe: changes }],
    }
  },
}

function isThere({ object, operations }: DatabaseView): boolean {
  return object !== undefined || operations.some((operation) => !hasEnded(operation))
}

type ProjectRouteParts = AcceptingParts & DecisionParts & { projects: ProjectRepresentations; schemas: { project: z.ZodType } }

/** The routes of projects: they translate HTTP, and nothing else. */
function projectRoutes(parts: ProjectRouteParts): Route[] {
  const { projects, schemas } = parts
  const ofProject = { tag: 'Projects', params, path }
  return [
    route({
      method: 'GET',
      path: '/projects',
      operationId: 'listProjects',
      tag: 'Projects',
      tagDescription: 'Tenants: each is a namespace with a quota, isolation and pull secrets.',
      summary: 'Lists projects, by id',
      scope: 'region:read',
      filtered: true,
      query: z.strictObject(pageQuery),
      responses: () => ({ 200: { description: 'A page of projects.', schema: listOf(schemas.project), headers: linkHeader } }),
      handle(c, { query }) {
        const { bytes, next } = projects.page(query, (project) => sees(c, project))
        return json(c, 200, bytes, next === undefined ? {} : { link: nextLink(c, next) })
      },
    }),
    route({
      ...ofProject,
      method: 'GET',
      operationId: 'getProject',
      summary: 'A project and how it is',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The project.', schema: schemas.project }),
      handle(c, { params: { project } }) {
        const found = projects.get(project)
        if (!found) throw noSuchProject(project)
        return json(c, 200, found.bytes, { etag: found.etag })
      },
    }),
    ...actionRoutes(parts, { kind: 'project', ...ofProject, schema: schemas.project, get: ({ project = '' }) => projects.get(project) }),
  ]
}

/** A page of a list. */
export function listOf(item: z.ZodType) {
  return z.object({ items: z.array(item), next: z.string().optional().describe('The cursor of the next page; missing on the last one') })
}

/** Headers of lists. */
export const linkHeader = { Link: 'The next page (`rel="next"`), if there is one.' }

/** What the read of a single resource is answered with. */
export function readResponses(found: ResponseDoc): Record<number, ResponseDoc> {
  return {
    200: { ...found, headers: { ETag: 'For If-Match and If-None-Match.', ...found.headers } },
    304: { description: 'It is still the version that If-None-Match names.', headers: { ETag: 'Of that version.' } },
  }
}
