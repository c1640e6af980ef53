import { Problem } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'
import type { RouteDoc } from './route.ts'

/**
 * What a route is about, which decides what an identity that is bound to projects gets from it:
 *
 * | reach      | the route                                    | a bound identity gets                                          |
 * |------------|----------------------------------------------|----------------------------------------------------------------|
 * | `project`  | has `{project}` in its path                  | its projects; 404 for any other id, whether it exists or not   |
 * | `filtered` | says so; its handler asks `sees`             | what concerns its projects                                     |
 * | `region`   | says nothing                                 | 403: the path is public, and what it is about is not a project |
 */
export type Reach = 'project' | 'filtered' | 'region'

export function reachOf({ path, filtered = false }: Pick<RouteDoc, 'path' | 'filtered'>): Reach {
  if (path.split('/').includes('{project}')) return 'project'
  return filtered ? 'filtered' : 'region'
}

/** Whether the identity of the request may know of this project. */
export function sees(c: ApiContext, project: string | undefined): boolean {
  const { projects } = c.get('identity')
  return projects === undefined || (project !== undefined && projects.has(project))
}

/** @throws Problem when the identity is bound to projects, and the request is about something else */
export function requireReach(c: ApiContext, route: RouteDoc): void {
  const { name, projects } = c.get('identity')
  if (projects === undefined) return
  const reach = reachOf(route)
  if (reach === 'region') throw new Problem('forbidden', `${name} is bound to projects, and this route is about the whole region.`)
  const project = c.req.param('project')
  if (reach === 'filtered' || (project !== undefined && projects.has(project))) return
  c.set('isOutside', true)
  throw new Problem('not-found', `There is no project ${project} among those that ${name} is bound to.`)
}
