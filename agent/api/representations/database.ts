import * as z from 'zod'
import { tagOf } from '../../../shared/kubernetes/image.ts'
import { readBackupState } from '../../backups/state.ts'
import type { AcceptedResource } from '../../operations/accepted.ts'
import { type Actions, phaseMeanwhile } from '../../operations/actions/action.ts'
import { type DatabaseView, healthOf } from '../../region/database-view.ts'
import { backupsNotTaken } from '../../region/obstacles/backups.ts'
import type { OperatorState } from '../../region/status.ts'
import { unsupportedParts } from '../../resources/adopted.ts'
import { dataGroup } from '../../resources/cratedb.ts'
import { databaseSpec, type StoredDatabaseSpec } from '../../resources/database.ts'
import { hasEnded, type Operation, phaseOf } from '../../resources/operation.ts'
import { backupsOf, backupsSchema } from './backups.ts'
import { failureSchema, failureStatus, type OperationSchemas, obstacleSchema, representObstacles, summarizeOperation } from './operation.ts'
import { exampleEtag } from './prepared.ts'

const moment = z.iso.datetime()

/** Phases of a database without an open operation, and during its creation and deletion. */
const ownPhases = ['Pending', 'Creating', 'Running', 'Degraded', 'Suspended', 'Deleting', 'Failed'] as const

const nodesSchema = z.object({
  ready: z.int().describe('Nodes that take queries').meta({ example: 3 }),
  desired: z.int().describe('Nodes that there should be at the moment').meta({ example: 3 }),
  groups: z
    .array(z.object({ name: z.string(), ready: z.int(), desired: z.int() }))
    .meta({ example: [{ name: 'hot', ready: 3, desired: 3 }] }),
})

const addressesSchema = z.object({
  http: z.string().meta({ example: 'http://192.0.2.17:4200' }),
  psql: z.string().meta({ example: 'postgresql://192.0.2.17:5432' }),
})

/** A database as the API returns it. Its phases are its own and those of the table of actions. */
export function createDatabaseSchema(actions: Actions, { summary }: OperationSchemas) {
  const status = z.object({
    phase: z.enum([...new Set([...ownPhases, ...actions.database.flatMap(({ phase }) => phase ?? [])])]).meta({ example: 'Running' }),
    health: z
      .object({
        value: z
          .string()
          .nullable()
          .describe('The last health that CrateDB reported: GREEN, YELLOW, RED, UNREACHABLE or SUSPENDED; null before the first report')
          .meta({ example: 'GREEN' }),
        changedAt: moment.optional().describe('Since when, as far as this agent saw it'),
        stale: z.string().optional().describe('Why the value may be stale: it stays as it was while the Crate Operator does not run'),
      })
      .describe('Asked for once a minute by the Crate Operator'),
    nodes: nodesSchema,
    version: z.object({
      specified: z.string().meta({ example: '5.10.1' }),
      running: z
        .array(z.string())
        .describe('Of the nodes that there are; more than one during an upgrade')
        .meta({ example: ['5.10.1'] }),
    }),
    endpoints: z.object({
      external: z.array(addressesSchema).describe('From outside the cluster, for the networks in allowedCIDRs'),
      inCluster: addressesSchema.describe('From within the cluster').meta({
        example: {
          http: 'http://crate-discovery-tidal-gauge.project-harbour.svc.cluster.local:4200',
          psql: 'postgresql://crate-discovery-tidal-gauge.project-harbour.svc.cluster.local:5432',
        },
      }),
    }),
    blockers: z
      .array(obstacleSchema)
      .describe(
        'The obstacles: in a single database always, in a list only while an operation is under way; and backups that nothing takes',
      )
      .meta({ example: [] }),
    operation: summary.nullable().describe('The operation under way').meta({ example: null }),
    backups: backupsSchema.optional(),
    failure: failureSchema.optional(),
    unsupported: z
      .array(
        z.object({
          part: z
            .string()
            .describe('A field of the CrateDB, or of the API as a JSON pointer')
            .meta({ example: 'spec.nodes.data[].nodepool' }),
          message: z.string().meta({ example: 'Each node has a host of its own; in a shared pool, …' }),
        }),
      )
      .describe('Parts of the CrateDB that the API cannot show or change; empty unless another tool made or changed it'),
    rehearsed: z
      .object({
        lastSuccess: z.object({ at: moment, operation: z.string(), snapshot: z.string() }).optional(),
        lastFailure: z.object({ at: moment, operation: z.string(), reason: z.string(), message: z.string() }).optional(),
      })
      .optional()
      .describe('How the last rehearsals of a restore ended; absent before the first')
      .meta({
        example: { lastSuccess: { at: '2026-11-30T05:42:00.000Z', operation: 'op-0000000042', snapshot: 'skerry_20261130033000' } },
      }),
    rehearsal: z
      .object({
        of: z.string().describe('The database whose snapshot is tried').meta({ example: 'tidal-gauge' }),
        operation: z.string().describe('The operation that deletes it when it ends').meta({ example: 'op-0000000042' }),
      })
      .optional()
      .describe('Set for a database that a rehearsal made; no request can change it'),
    createdAt: moment,
    etag: z.string().describe('For If-Match').meta({ example: exampleEtag }),
  })
  return databaseSpec.extend({ status }).meta({ id: 'Database', description: 'A CrateDB cluster.' })
}

type DatabaseDocument = z.input<ReturnType<typeof createDatabaseSchema>>
export type DatabaseStatus = Omit<DatabaseDocument['status'], 'etag'>

/** Everything besides the database that its status depends on. */
export type DatabaseSurroundings = {
  operator: Pick<OperatorState, 'state' | 'backupImage'>
  /** Why databases cannot be followed at the moment. */
  trouble: string | undefined
  actions: Actions
}

/** The status of a database. Pure. */
export function databaseStatus(
  view: DatabaseView,
  accepted: AcceptedResource<StoredDatabaseSpec>,
  surroundings: DatabaseSurroundings,
): DatabaseStatus {
  const { object } = view
  const { operation, spec } = accepted
  const nodes = nodesOf(view, spec)
  const last = view.operations.findLast(hasEnded)
  const failed = last && phaseOf(last) === 'Failed' ? last : undefined
  const backups = backupsOf(view, spec)
  return {
    phase: phaseOfDatabase(view, accepted, nodes, failed, surroundings.actions),
    health: healthStatus(view, surroundings),
    nodes,
    version: { specified: object?.spec?.cluster?.version ?? spec.version, running: runningVersions(view) },
    endpoints: { external: externalEndpoints(view, spec), inCluster: inClusterEndpoints(view, spec) },
    blockers: representObstacles([
      ...(operation?.status?.blockers ?? []),
      ...(object ? backupsNotTaken(object, surroundings.operator.backupImage) : []),
    ]),
    operation: operation ? summarizeOperation(operation) : null,
    ...(backups && { backups }),
    ...(failed && { failure: failureStatus(failed) }),
    unsupported: object ? unsupportedParts(object) : [],
    ...(spec.rehearsal && { rehearsal: spec.rehearsal }),
    ...rehearsedOf(object),
    createdAt: object?.metadata.creationTimestamp ?? operation?.spec.acceptedAt ?? new Date(0).toISOString(),
  }
}

function rehearsedOf(object: DatabaseView['object']): Pick<DatabaseStatus, 'rehearsed'> {
  const { lastSuccess, lastFailure } = (object && readBackupState(object).rehearsal) ?? {}
  if (!lastSuccess && !lastFailure) return {}
  return { rehearsed: { ...(lastSuccess && { lastSuccess }), ...(lastFailure && { lastFailure }) } }
}

/** Whether it has a problem without an open operation: then a read determines the obstacles. */
export function isUnwell({ phase, operation }: DatabaseStatus): boolean {
  return operation === null && (phase === 'Degraded' || phase === 'Failed' || phase === 'Creating' || phase === 'Deleting')
}

/** A phase of the database itself, or of an action. */
type Phase = (typeof ownPhases)[number] | (string & {})

function phaseOfDatabase(
  { object }: DatabaseView,
  { operation, leaving }: AcceptedResource<StoredDatabaseSpec>,
  nodes: DatabaseStatus['nodes'],
  failed: Operation | undefined,
  actions: Actions,
): Phase {
  if (leaving) return 'Deleting'
  if (!object) return operation && phaseOf(operation) !== 'Accepted' ? 'Creating' : 'Pending'
  if (object.status?.['cluster_create/bootstrap']?.success !== true) return failed && !operation ? 'Failed' : 'Creating'
  const working = operation && phaseMeanwhile(actions, operation)
  if (working) return working
  if (isSuspended(object)) return 'Suspended'
  const isFine = nodes.ready >= nodes.desired && !['RED', 'UNREACHABLE'].includes(healthOf(object) ?? '')
  return isFine ? 'Running' : 'Degraded'
}

function isSuspended({ spec }: NonNullable<DatabaseView['object']>): boolean {
  const groups: { replicas?: number }[] = spec?.nodes?.data ?? []
  return groups.length > 0 && groups.every(({ replicas }) => replicas === 0)
}

function healthStatus({ object, healthChangedAt }: DatabaseView, { operator, trouble }: DatabaseSurroundings): DatabaseStatus['health'] {
  const value = (object && healthOf(object)) ?? null
  const stale = value === null ? undefined : staleness(operator, trouble)
  return {
    value,
    ...(healthChangedAt !== undefined && { changedAt: new Date(healthChangedAt).toISOString() }),
    ...(stale !== undefined && { stale }),
  }
}

function staleness({ state }: DatabaseSurroundings['operator'], trouble: string | undefined): string | undefined {
  if (trouble !== undefined) return `The agent cannot follow the cluster at the moment: ${trouble}`
  if (state === 'running') return undefined
  const how = {
    'not-ready': 'is not ready',
    'scaled-down': 'is scaled down to 0',
    missing: 'is not installed where the agent looks for it',
    unknown: 'was not seen yet',
  }[state]
  return `The Crate Operator ${how}, so this is its last report: the health is no longer checked.`
}

function nodesOf({ statefulSets, object }: DatabaseView, spec: StoredDatabaseSpec): DatabaseStatus['nodes'] {
  const groups = statefulSets.map(({ group, replicas, readyReplicas }) => ({
    name: group ?? dataGroup,
    ready: readyReplicas,
    desired: replicas,
  }))
  if (groups.length === 0 && !spec.suspended) {
    groups.push({ name: dataGroup, ready: 0, desired: object?.spec?.nodes?.data?.[0]?.replicas ?? spec.nodes.count })
    if (spec.master) groups.push({ name: 'master', ready: 0, desired: spec.master.count })
  }
  const sum = (count: (group: (typeof groups)[number]) => number) => groups.reduce((total, group) => total + count(group), 0)
  return { ready: sum(({ ready }) => ready), desired: sum(({ desired }) => desired), groups }
}

function runningVersions({ pods }: DatabaseView): string[] {
  const tags = pods.map(({ image }) => tagOf(image))
  return [...new Set(tags.filter((tag) => tag !== undefined))].sort()
}

// The ports of the operator's Services and of Traefik's entry points (crate-operator.md, section 5).
const ports = { http: 4200, psql: 5432 }

function externalEndpoints({ services, name }: DatabaseView, spec: StoredDatabaseSpec): DatabaseStatus['endpoints']['external'] {
  const service = services.find(({ metadata }) => metadata.name === `crate-${name}`)
  if (!service) return []
  const hosts = spec.exposure.type === 'traefik' ? [spec.exposure.hostname ?? ''].filter(Boolean) : service.addresses
  const portOf = (name: 'http' | 'psql') => service.ports.find((port) => port.name === name)?.port ?? ports[name]
  return hosts.map((host) => addresses(host, portOf('http'), portOf('psql'), spec))
}

function inClusterEndpoints({ name, namespace }: DatabaseView, spec: StoredDatabaseSpec): DatabaseStatus['endpoints']['inCluster'] {
  return addresses(`crate-discovery-${name}.${namespace}.svc.cluster.local`, ports.http, ports.psql, spec)
}

function addresses(host: string, http: number, psql: number, { ssl }: StoredDatabaseSpec) {
  const name = host.includes(':') ? `[${host}]` : host
  return { http: `${ssl ? 'https' : 'http'}://${name}:${http}`, psql: `postgresql://${name}:${psql}` }
}
