import { tunnel } from '../tunnel/index.ts'
import type { Scope } from './context.ts'
import { databases } from './databases.ts'
import { operations } from './operations.ts'
import { preflight } from './preflight.ts'
import { projects } from './projects.ts'
import { region } from './region.ts'
import { createOperationSchemas } from './representations/operation.ts'
import type { OpenResource, Resource, ResourceParts } from './resource.ts'

/** The resources of the API, in the order of the OpenAPI document. */
const resources: Readonly<Record<string, Resource>> = {
  projects,
  databases,
  // Tokens are issued with this scope already. The resource is still to come.
  deployments: { scopes: ['deployments:write'], open: () => ({ routes: [] }) },
  operations,
  region,
  preflight,
  tunnel,
}

/** Everything that an identity may be allowed to do. Every read needs `region:read`. */
export const scopes: readonly Scope[] = ['region:read', ...Object.values(resources).flatMap(({ scopes = [] }) => scopes)]

/** Opens all resources. @param parts all but how operations are shown, which follows from the actions
 * @throws Error when a route needs a scope that no resource adds, so that nobody could ever have it */
export function openResources(parts: Omit<ResourceParts, 'schemas'>): Required<OpenResource> {
  const schemas = createOperationSchemas(parts.actions)
  const opened = Object.values(resources).map((resource) => resource.open({ ...parts, schemas }))
  const routes = opened.flatMap((each) => each.routes)
  for (const { operationId, scope } of routes)
    if (!scopes.includes(scope)) throw new Error(`${operationId} needs the scope ${scope}, which no resource adds`)
  return {
    routes,
    events: opened.flatMap(({ events = [] }) => events),
    caches: Object.assign({}, ...opened.map(({ caches }) => caches)),
    controllers: opened.flatMap(({ controllers = [] }) => controllers),
  }
}
