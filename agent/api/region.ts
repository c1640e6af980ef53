import * as z from 'zod'
import type { LeaseStanding } from '../../shared/kubernetes/lease.ts'
import { version } from '../../shared/version.ts'
import { capacityOf, hostsOf, operatorStateOf, storageClassesOf } from '../region/status.ts'
import { projectOf } from '../resources/kind.ts'
import { cloudflaredSchema, configurationStates } from '../tunnel/representation.ts'
import { type TunnelInUse, tunnelStateOf, versionOf } from '../tunnel/state.ts'
import { json, route } from './http.ts'
import { readResponses } from './projects.ts'
import { createMemo, type Prepared, prepareDocument } from './representations/prepared.ts'
import { operatorAt, type Resource } from './resource.ts'

const amounts = { cpu: z.number().describe('Cores').meta({ example: 24 }), memory: z.string().meta({ example: '96Gi' }) }
const storage = z.string().meta({ example: '2Ti' })
const count = z.int().meta({ example: 1 })
const none = z.int().meta({ example: 0 })

const regionSchema = z
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
  })
  .meta({ id: 'Region', description: 'The region, and how much of it is in use.' })

/** The region. Its answer is made again when something in it has changed. */
export const region: Resource = {
  open({ config, caches, operator, kubernetes, lease, tunnel }) {
    const { nodes, storageClasses, databases, projects } = caches
    const memo = createMemo<Prepared>()
    /** @param bound the only projects that count; undefined for all */
    function shown(bound: ReadonlySet<string> | undefined): z.input<typeof regionSchema> {
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
      }
    }
    const getRegion = route({
      method: 'GET',
      path: '/region',
      operationId: 'getRegion',
      tag: 'Region',
      tagDescription: 'The cluster: its capacity, what it lacks, and the tunnel through which the agent is reached.',
      summary: 'The region, and how much of it is in use',
      description:
        'An identity that is bound to projects gets counts and capacity of these alone, and null for the tunnel. Hosts and storage classes are those of the region.',
      scope: 'region:read',
      filtered: true,
      responses: () => readResponses({ description: 'The region.', schema: regionSchema }),
      handle(c) {
        const versions = [nodes, storageClasses, databases, projects, operator].map((cache) => cache.version)
        const leader = JSON.stringify(leaderShown(lease.standing()))
        const madeFrom = [...versions, operator.synced, kubernetes.current, leader, tunnel && versionOf(tunnel.caches)].join(' ')
        const { projects: bound } = c.get('identity')
        const key = bound === undefined ? 'all' : `of ${[...bound].sort().join(' ')}`
        const { bytes, etag } = memo(key, madeFrom, () => prepareDocument(config.region.id, shown(bound)))
        return json(c, 200, bytes, { etag })
      },
    })
    return { routes: [getRegion] }
  },
}

function leaderShown({ state, holder, trouble }: LeaseStanding): z.input<typeof regionSchema>['leader'] {
  return { state, holder: holder ?? null, trouble: trouble ?? null }
}

function tunnelShown({ tunnel, caches }: TunnelInUse): NonNullable<z.input<typeof regionSchema>['tunnel']> {
  const { exposed, cloudflared, configuration, lastError } = tunnelStateOf(tunnel, caches)
  const alsoExposed = exposed.filter(({ what }) => what !== 'agent').map(({ hostname }) => hostname)
  return { hostname: tunnel.agent.hostname, alsoExposed, cloudflared, configuration, lastError }
}
