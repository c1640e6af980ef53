import type { Clock } from '../../shared/clock.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { AcceptedState } from '../operations/accepted.ts'
import type { Actions } from '../operations/actions/action.ts'
import type { Timeouts } from '../operations/deciding/decision.ts'
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import { createDatabaseViews, type DatabaseView, type DatabaseViews } from '../region/database-view.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import { heapDumpVolumeNow, type OperatorView } from '../region/operator.ts'
import { createProjectViews, type ProjectViews } from '../region/project-view.ts'
import { operatorStateOf } from '../region/status.ts'
import { namespaceOf } from '../resources/kind.ts'
import { hasEnded } from '../resources/operation.ts'
import type { TunnelInUse } from '../tunnel/exposure.ts'
import { tunnelRoutes } from '../tunnel/route.ts'
import { databaseRoutes } from './databases.ts'
import type { Route } from './http.ts'
import { operationRoutes } from './operations.ts'
import { preflightRoutes } from './preflight.ts'
import { projectRoutes } from './projects.ts'
import { type RegionRouteConfig, regionRoutes } from './region.ts'
import { createDatabaseSchema } from './representations/database.ts'
import { createDatabaseRepresentations, type DatabaseRepresentations } from './representations/databases.ts'
import { createOperationSchemas } from './representations/operation.ts'
import { createOperationRepresentations, type OperationRepresentations } from './representations/operations.ts'
import { createProjectRepresentations, createProjectSchema, type ProjectRepresentations } from './representations/project.ts'

export type RoutesConfig = RegionRouteConfig & {
  /** The agent's own namespace. */
  namespace: string
  imageRegistry: string
  /** Size of the heap-dump volumes where the operator's Deployment does not tell it. */
  heapDumpVolume: string
  timeouts: Timeouts
}

export type RoutesParts = {
  /** What can be done to projects and databases. */
  actions: Actions
  journal: Journal
  accepted: AcceptedState
  caches: Caches
  operator: Cache<OperatorView>
  kubernetes: { readonly current: string | undefined }
  obstacles: Pick<Obstacles, 'of'>
  /** Undefined where none is configured. */
  tunnel?: TunnelInUse | undefined
  cluster: Cluster
  clock: Clock
}

/** The routes of the resources, and what makes the answers of their reads, for those who tell of changes. */
export type Resources = {
  routes: Route[]
  projects: ProjectRepresentations
  databases: DatabaseRepresentations
  operations: OperationRepresentations
  views: { projects: ProjectViews; databases: DatabaseViews }
  /** How the Crate Operator is: while it does not run, the health of all databases is stale. */
  operatorState: () => string
  operator: Cache<OperatorView>
}

/** Projects, databases, operations and the region, as the API has them. */
export function createResources(config: RoutesConfig, parts: RoutesParts): Resources {
  const { actions, caches, accepted, operator, clock } = parts
  const { namespace: operatorNamespace, deployment: name } = config.crateOperator
  const views = { projects: createProjectViews(caches), databases: createDatabaseViews(caches, { clock }) }
  const operatorAt = { namespace: operatorNamespace, name }
  const operatorNow = () => operatorStateOf(operator, operatorAt)
  const databases = createDatabaseRepresentations({
    accepted,
    views: views.databases,
    surroundings: () => ({ operator: operatorNow(), trouble: caches.databases.trouble, actions }),
  })
  const projects = createProjectRepresentations({
    accepted,
    views: views.projects,
    // Not those of which only traces are left. Counting makes nothing ready to be sent.
    databases: (project) => views.databases.within(namespaceOf(project)).filter(isThere).length,
    actions,
  })
  const operations = createOperationRepresentations()
  const operationSchemas = createOperationSchemas(actions)
  const schemas = {
    ...operationSchemas,
    project: createProjectSchema(actions, operationSchemas),
    database: createDatabaseSchema(actions, operationSchemas),
  }
  const { imageRegistry, timeouts, namespace } = config
  const accepting = {
    ...parts,
    schemas,
    heapDumpVolume: () => heapDumpVolumeNow(operator, operatorAt, config.heapDumpVolume),
    config: { imageRegistry, timeouts, namespace },
  }
  const routes = [
    ...projectRoutes({ ...accepting, projects }),
    ...databaseRoutes({ ...accepting, databases }),
    ...operationRoutes({ ...parts, operations, schemas }),
    ...regionRoutes(config, parts),
    ...preflightRoutes(config, parts),
    ...tunnelRoutes(config.region.id, { use: parts.tunnel, cluster: parts.cluster }),
  ]
  return { routes, projects, databases, operations, views, operator, operatorState: () => operatorNow().state }
}

function isThere({ object, operations }: DatabaseView): boolean {
  return object !== undefined || operations.some((operation) => !hasEnded(operation))
}
