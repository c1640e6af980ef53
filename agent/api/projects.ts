import * as z from 'zod'
import { admitDeleteProject, admitPatchProject, admitPutProject, noSuchProject } from '../operations/admission/projects.ts'
import { projectId } from '../resources/identifiers.ts'
import { type ProjectSpec, projectSpec } from '../resources/project.ts'
import { type AcceptingParts, acceptingResponses, carryOut, dryRunQuery, flag } from './accepting.ts'
import {
  type ApiContext,
  checkPreconditions,
  json,
  nextLink,
  pageQuery,
  type ResponseDoc,
  type Route,
  requireScope,
  route,
} from './http.ts'
import { type ProjectRepresentations, projectSchema } from './representations/project.ts'

const params = z.strictObject({ project: projectId.describe('Id of the project').meta({ example: 'harbour' }) })
const example = {
  displayName: 'Harbour authority',
  organization: 'Port of Eider',
  quota: { cpu: 24, memory: '96Gi', storage: '2Ti', databases: 8 },
}

/** What a read shows beside the spec may come back with it, so that what was read can be edited and put. */
const body = projectSpec.extend({
  id: projectId.optional().describe('As in the path, if given').meta({ example: 'harbour' }),
  status: z.unknown().optional().describe('Ignored: what a read shows'),
})

export type ProjectRouteParts = AcceptingParts & { projects: ProjectRepresentations }

/** The routes of projects: they translate HTTP, and nothing else. */
export function projectRoutes(parts: ProjectRouteParts): Route[] {
  const { projects } = parts
  const target = (project: string) => ({ kind: 'project' as const, project })
  /** If-Match and If-None-Match, judged whenever the request is decided on. */
  const guardOf = (c: ApiContext, id: string) => (present: unknown) =>
    checkPreconditions(c, present === undefined ? undefined : projects.get(id)?.etag)
  const ofProject = { tag: 'Projects', params }

  return [
    route({
      method: 'GET',
      path: '/projects',
      operationId: 'listProjects',
      tag: 'Projects',
      summary: 'Lists projects, by id',
      scope: 'region:read',
      query: z.strictObject(pageQuery),
      responses: () => ({ 200: { description: 'A page of projects.', schema: listOf(projectSchema), headers: linkHeader } }),
      handle(c, { query }) {
        const { bytes, next } = projects.page(query)
        return json(c, 200, bytes, next === undefined ? {} : { link: nextLink(c, next) })
      },
    }),
    route({
      ...ofProject,
      method: 'GET',
      path: '/projects/{project}',
      operationId: 'getProject',
      summary: 'A project and how it is',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The project.', schema: projectSchema }),
      handle(c, { params: { project } }) {
        const found = projects.get(project)
        if (!found) throw noSuchProject(project)
        return json(c, 200, found.bytes, { etag: found.etag })
      },
    }),
    route({
      ...ofProject,
      method: 'PUT',
      path: '/projects/{project}',
      operationId: 'putProject',
      summary: 'Makes a project, or brings it to what is given',
      scope: 'projects:write',
      query: z.strictObject(dryRunQuery),
      body,
      example,
      responses: () => acceptingResponses(projectSchema),
      handle(c, input) {
        const { project } = input.params
        const { status: _, ...rest } = input.body
        const given: ProjectSpec = { ...rest, id: rest.id ?? project }
        const admission = admitPutProject(parts, { target: target(project), guard: guardOf(c, project), given })
        return carryOut(c, { ...input, body: given }, parts, { target: target(project), admission, resource: () => projects.get(project) })
      },
    }),
    route({
      ...ofProject,
      method: 'PATCH',
      path: '/projects/{project}',
      operationId: 'patchProject',
      summary: 'Changes a project',
      scope: 'projects:write',
      query: z.strictObject(dryRunQuery),
      patch: projectSpec,
      example: { quota: { databases: 12 } },
      responses: () => acceptingResponses(projectSchema),
      handle(c, input) {
        const { project } = input.params
        const { status: _, ...patch } = input.body
        const admission = admitPatchProject(parts, { target: target(project), guard: guardOf(c, project), patch })
        return carryOut(c, input, parts, { target: target(project), admission, resource: () => projects.get(project) })
      },
    }),
    route({
      ...ofProject,
      method: 'DELETE',
      path: '/projects/{project}',
      operationId: 'deleteProject',
      summary: 'Deletes a project',
      description:
        'Refused while it is protected, and while it has databases unless `cascade=true`, which needs `databases:write` too; protected databases are never taken along.',
      scope: 'projects:write',
      problems: ['not-empty'],
      query: z.strictObject({
        ...dryRunQuery,
        cascade: flag('Deletes its databases first', false),
        retainVolumes: flag('Keeps the volumes of databases that go with it', true),
      }),
      responses: () => acceptingResponses(),
      handle(c, input) {
        const { project } = input.params
        const { cascade, retainVolumes } = input.query
        if (cascade) requireScope(c, 'databases:write')
        const request = { target: target(project), guard: guardOf(c, project), cascade, retainVolumes }
        return carryOut(c, input, parts, { target: request.target, admission: admitDeleteProject(parts, request) })
      },
    }),
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
    200: { ...found, headers: { ETag: 'For If-Match and If-None-Match.' } },
    304: { description: 'It is still the version that If-None-Match names.', headers: { ETag: 'Of that version.' } },
  }
}
