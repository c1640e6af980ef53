import * as z from 'zod'
import type { Clock } from '../../../shared/clock.ts'
import type { LeaseStanding } from '../../../shared/kubernetes/lease.ts'
import { version } from '../../../shared/version.ts'
import { type AgedSource, agesOf } from '../../region/age.ts'
import { capacityOf, hostsOf, operatorStateOf, storageClassesOf } from '../../region/status.ts'
import { projectOf } from '../../resources/kind.ts'
import { cloudflaredSchema, configurationStates } from '../../tunnel/representation.ts'
import { type TunnelInUse, tunnelStateOf, versionOf } from '../../tunnel/state.ts'
import { operatorAt, type ResourceParts } from '../resource.ts'
import { clockSchema, clockShown } from './clock.ts'

const amounts = { cpu: z.number().describe('Cores').meta({ example: 24 }), memory: z.string().meta({ example: '96Gi' }) }
const storage = z.string().meta({ example: '2Ti' })
const count = z.int().meta({ example: 1 })
const none = z.int().meta({ example: 0 })
const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00Z' })

export const regionSchema = z
  .object({
    id: z.string().meta({ example: 'harbour-1' }),
    name: z.string().nullable().meta({ example: 'Harbour' }),
    agent: z.object({ version: z.string().meta({ example: '0.1.0' }) }),
    kubernetes: z.object({ version: z.string().nullable().describe('null until the first read').meta({ example: 'v1.34.1' }) }),
    hosts: z.array(
      z.object({
        hostname: z.string().meta({ example: 'node-1' }),
        control_plane: z.boolean(),
        k8s_version: z.string().meta({ example: 'v1.34.1' }),
        arch: z.string().meta({ example: 'amd64' }),
        os: z.string().meta({ example: 'Debian GNU/Linux 12 (bookworm)' }),
        ready: z.boolean().meta({ example: true }),
        schedulable: z.boolean().describe('New pods may be placed on it').meta({ example: true }),
        specialised: z
          .object({ key: z.string(), value: z.string(), effect: z.string() })
          .nullable()
          .describe('The taint that reserves it for some pods; null on an ordinary host')
          .meta({ example: null }),
      }),
    ),
    storageClasses: z.array(
      z.object({
        name: z.string().meta({ example: 'crate-premium' }),
        provisioner: z.string().meta({ example: 'ebs.csi.aws.com' }),
        expandable: z.boolean().describe('Its volumes can grow').meta({ example: true }),
        reclaims: z.boolean().describe('Its volumes are deleted with their claims').meta({ example: true }),
        isDefault: z.boolean(),
      }),
    ),
    capacity: z.object({
      allocatable: z
        .object({ ...amounts, hosts: z.int().meta({ example: 3 }) })
        .describe('What pods may request on hosts that are ready and not reserved'),
      requested: z
        .object({ ...amounts, storage, nodes: z.int().meta({ example: 3 }), databases: count })
        .describe('What databases request, without heap-dump volumes'),
      promised: z
        .object({
          ...amounts,
          storage,
          databases: count,
          open: z.object({ cpu: none, memory: none, storage: none, databases: none }).describe('Projects without such a limit'),
        })
        .describe("Sum of the projects' quotas"),
    }),
    databases: count,
    projects: count,
    leader: z
      .object({
        state: z.enum(['leads', 'nobody', 'unknown']).describe('Whether a replica carries out operations'),
        holder: z.string().nullable().describe('The holder of the Lease').meta({ example: 'skerry-agent-7d9f8-x2x4z_1a2b3c4d' }),
        trouble: z.string().nullable().describe('Why no replica leads, or why that is unknown').meta({ example: null }),
      })
      .describe('The replica of the agent that carries out operations'),
    operator: z
      .object({
        state: z.enum(['running', 'not-ready', 'scaled-down', 'missing', 'unknown']),
        version: z.string().nullable().meta({ example: '2.64.0' }),
        namespace: z.string().meta({ example: 'crate-operator' }),
        deployment: z.string().meta({ example: 'crate-operator' }),
      })
      .describe('The Crate Operator'),
    tunnel: z
      .object({
        hostname: z.string().describe('The public hostname of the agent').meta({ example: 'harbour-1.example.org' }),
        alsoExposed: z.array(z.string()).describe('The other hostnames that are reachable from the internet').meta({ example: [] }),
        cloudflared: cloudflaredSchema,
        configuration: configurationStates,
        lastError: z.string().nullable().describe('Why the last attempt to configure cloudflared failed').meta({ example: null }),
      })
      .nullable()
      .describe('null if none is configured; see /tunnel for details'),
    clock: clockSchema,
    parts: z
      .record(
        z.string(),
        z.object({
          observedAt: moment.describe('When the agent last heard from the cluster about it, to the minute'),
          stale: z.object({ since: moment, reason: z.string() }).optional().describe('Why it may be out of date'),
        }),
      )
      .describe('The age of each field, by its name')
      .meta({ example: { hosts: { observedAt: '2026-01-31T12:00:00Z' } } }),
  })
  .meta({ id: 'Region', description: 'The region, and how much of it is in use.' })

export type RegionDocument = z.input<typeof regionSchema>

type RegionParts = Pick<ResourceParts, 'config' | 'caches' | 'operator' | 'kubernetes' | 'clocks' | 'lease' | 'tunnel'> & { clock: Clock }

export type RegionDocumentMaker = ReturnType<typeof createRegionDocument>

/** The document of the region, for the API and for the cloud. */
export function createRegionDocument({ config, caches, operator, kubernetes, clocks, lease, tunnel, clock }: RegionParts) {
  const { nodes, storageClasses, databases, projects } = caches
  /** What the fields are made from; absent ones are made from what this process itself knows. */
  const sources: Record<string, AgedSource[]> = {
    hosts: [nodes],
    storageClasses: [storageClasses],
    capacity: [nodes, databases, projects],
    databases: [databases],
    projects: [projects],
    operator: [operator],
    clock: [clocks.nodesFrom],
    ...(tunnel && { tunnel: [tunnel.caches.deployment, tunnel.caches.configuration] }),
  }
  return {
    /** Whatever follows a change of it. */
    caches: [nodes, storageClasses, databases, projects, operator],
    /** The same as long as the document is. */
    madeFrom(): string {
      const versions = [nodes, storageClasses, databases, projects, operator].map((cache) => cache.version)
      const leader = JSON.stringify(leaderShown(lease.standing()))
      const ages = JSON.stringify(agesOf(sources, clock))
      const shown = JSON.stringify(clockShown(clocks.shown()))
      return [...versions, operator.synced, kubernetes.current, leader, tunnel && versionOf(tunnel.caches), shown, ages].join(' ')
    },
    /** @param bound the only projects that count; undefined for all */
    shown(bound: ReadonlySet<string> | undefined): RegionDocument {
      const counts = (project: string | undefined) => bound === undefined || (project !== undefined && bound.has(project))
      const seen = {
        databases: [...databases.values()].filter(({ metadata }) => counts(projectOf(metadata.namespace ?? ''))),
        projects: [...projects.values()].filter(({ metadata }) => counts(metadata.name)),
      }
      return {
        id: config.region.id,
        name: config.region.name ?? null,
        agent: { version },
        kubernetes: { version: kubernetes.current ?? null },
        hosts: hostsOf(nodes.values()),
        storageClasses: storageClassesOf(storageClasses.values()),
        capacity: capacityOf({ nodes: nodes.values(), ...seen }),
        databases: seen.databases.length,
        projects: seen.projects.length,
        leader: leaderShown(lease.standing()),
        operator: operatorStateOf(operator, operatorAt(config)),
        tunnel: tunnel === undefined || bound !== undefined ? null : tunnelShown(tunnel),
        clock: clockShown(clocks.shown()),
        parts: agesOf(sources, clock),
      }
    },
  }
}

function leaderShown({ state, holder, trouble }: LeaseStanding): RegionDocument['leader'] {
  return { state, holder: holder ?? null, trouble: trouble ?? null }
}

function tunnelShown({ tunnel, caches }: TunnelInUse): NonNullable<RegionDocument['tunnel']> {
  const { exposed, cloudflared, configuration, lastError } = tunnelStateOf(tunnel, caches)
  const alsoExposed = exposed.filter(({ what }) => what !== 'agent').map(({ hostname }) => hostname)
  return { hostname: tunnel.agent.hostname, alsoExposed, cloudflared, configuration, lastError }
}
