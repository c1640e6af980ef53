import { tunnel } from '../tunnel/index.ts'
import type { Scope } from './context.ts'
import { databases } from './databases.ts'
import { deletedDatabases } from './deleted-databases.ts'
import { operations } from './operations.ts'
import { preflight } from './preflight.ts'
import { projects } from './projects.ts'
import { region } from './region.ts'
import { regionExport } from './region-export.ts'
import { registration } from './registration.ts'
import { createOperationSchemas } from './representations/operation.ts'
import type { OpenResource, Resource, ResourceParts } from './resource.ts'
import { snapshots } from './snapshots.ts'

/** The resources of the API, in the order of the OpenAPI document. */
const resources: Readonly<Record<string, Resource>> = {
  projects,
  databases,
  snapshots,
  deletedDatabases,
  // Tokens with this scope already exist. The resource does not exist yet.
  deployments: { scopes: ['deployments:write'], open: () => ({ routes: [] }) },
  operations,
  region,
  regionExport,
  registration,
  preflight,
  tunnel,
}

/** Everything that an identity may be allowed to do. Every read needs `region:read`. */
export const scopes: readonly Scope[] = ['region:read', ...Object.values(resources).flatMap(({ scopes = [] }) => scopes)]

/**
 * Opens all resources.
 * @throws Error when a route needs a scope that no resource adds, so that no identity could have it
 */
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
