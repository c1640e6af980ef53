import type { Clock } from '../../shared/clock.ts'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import type { Leadership, Lease } from '../../shared/kubernetes/lease.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Meter } from '../../shared/link/index.ts'
import type { Log } from '../../shared/log.ts'
import type { Clocks } from '../clock/index.ts'
import type { ShownRegistration } from '../cloud/registration/cache.ts'
import type { Recovery } from '../export/index.ts'
import type { AcceptedState } from '../operations/accepted.ts'
import type { Actions } from '../operations/actions/action.ts'
import type { DecisionParts } from '../operations/deciding/decision.ts'
import type { DecidingConfig } from '../operations/deciding/parts.ts'
import type { Journal } from '../operations/journal.ts'
import type { Caches } from '../region/caches.ts'
import type { DatabaseViews } from '../region/database-view.ts'
import type { Obstacles } from '../region/obstacles/index.ts'
import type { OperatorView } from '../region/operator.ts'
import type { ProjectViews } from '../region/project-view.ts'
import type { Stack } from '../region/stack.ts'
import type { TunnelInUse } from '../tunnel/state.ts'
import type { AcceptingParts } from './accepting.ts'
import type { Scope } from './context.ts'
import type { EventSource } from './events/index.ts'
import type { OperationSchemas } from './representations/operation.ts'
import type { Route } from './route.ts'

/**
 * A resource of the API: one file or folder, and one entry in the table of resources.ts. Authentication, limits, scopes, audit,
 * metrics, the OpenAPI document, events, readiness and the life cycle follow from it.
 */
export type Resource = {
  /** The scopes that it adds, besides `region:read`. */
  scopes?: readonly Scope[]
  /** Starts nothing. */
  open(parts: ResourceParts): OpenResource
}

/** The parts of a resource while the agent runs. */
export type OpenResource = {
  routes: readonly Route[]
  /** Its changes, for `/events`. */
  events?: readonly EventSource[]
  /** Collections of its own, by their name in readiness and metrics. The agent starts and stops them. */
  // biome-ignore lint/suspicious/noExplicitAny: each resource knows the type of its own objects
  caches?: Readonly<Record<string, Cache<any>>>
  /** Its controllers, which act while this replica holds the Lease. They are started after the caches. */
  controllers?: readonly Part[]
}

/** The part of the agent's configuration that resources read. */
export type ResourcesConfig = DecidingConfig & {
  region: { id: string; name?: string | undefined }
  cloud?: { tags: Record<string, string> } | undefined
}

/** The parts of the agent that resources can use. */
export type ResourceParts = {
  config: ResourcesConfig
  caches: Caches
  views: { projects: ProjectViews; databases: DatabaseViews }
  operator: Cache<OperatorView>
  kubernetes: { readonly current: string | undefined }
  clocks: Pick<Clocks, 'read' | 'shown' | 'nodesFrom'>
  stack: Stack
  /** The file that the region can be made again from. */
  recovery: Recovery
  obstacles: Pick<Obstacles, 'of'>
  /** The actions on projects and databases. */
  actions: Actions
  /** The schemas of operations. */
  schemas: OperationSchemas
  journal: Journal
  accepted: AcceptedState
  /** For decisions on requests. */
  deciding: DecisionParts
  lease: Leadership & Pick<Lease, 'standing'>
  /** Undefined if none is configured. */
  tunnel?: TunnelInUse | undefined
  /** Undefined if the region has no cloud. */
  registration?: ShownRegistration | undefined
  /** How much the links of the region carry. */
  meter?: Pick<Meter, 'standing'> | undefined
  cluster: Cluster
  clock: Clock
  log: Log
}

/** The parts for requests that become operations. */
export function acceptingParts(parts: ResourceParts): AcceptingParts & DecisionParts {
  return { ...parts.deciding, ...parts, config: parts.deciding.config }
}

/** The Crate Operator's Deployment, and its release if the configuration states it. */
export function operatorAt({ crateOperator }: ResourcesConfig): { namespace: string; name: string; version?: string | undefined } {
  const { namespace, deployment, version } = crateOperator
  return { namespace, name: deployment, version }
}
