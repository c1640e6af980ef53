import * as z from 'zod'
import { version } from '../../shared/version.ts'
import { capacityOf, hostsOf, operatorStateOf, storageClassesOf } from '../region/status.ts'
import { cloudflaredSchema, configurationStates } from '../tunnel/representation.ts'
import { type TunnelInUse, tunnelStateOf, versionOf } from '../tunnel/state.ts'
import { json, route } from './http.ts'
import { readResponses } from './projects.ts'
import { createMemo, type Prepared, prepareDocument } from './representations/prepared.ts'
import { operatorAt, type Resource } from './resource.ts'

const amounts = { cpu: z.number().describe('Cores'), memory: z.string().meta({ example: '96Gi' }) }

const regionSchema = z
  .object({
    id: z.string().meta({ example: 'harbour-1' }),
    name: z.string().nullable(),
    agent: z.object({ version: z.string() }),
    kubernetes: z.object({ version: z.string().nullable().describe('null until the first read') }),
    hosts: z.array(
      z.object({
        hostname: z.string(),
        control_plane: z.boolean(),
        k8s_version: z.string(),
        arch: z.string(),
        os: z.string(),
        ready: z.boolean(),
        schedulable: z.boolean().describe('New pods may be placed on it'),
        specialised: z
          .object({ key: z.string(), value: z.string(), effect: z.string() })
          .nullable()
          .describe('The taint that reserves it for some pods; null on an ordinary host'),
      }),
    ),
    storageClasses: z.array(
      z.object({
        name: z.string(),
        provisioner: z.string(),
        expandable: z.boolean().describe('Its volumes can grow'),
        reclaims: z.boolean().describe('Its volumes are deleted with their claims'),
        isDefault: z.boolean(),
      }),
    ),
    capacity: z.object({
      allocatable: z.object({ ...amounts, hosts: z.int() }).describe('What pods may request on hosts that are ready and not reserved'),
      requested: z
        .object({ ...amounts, storage: z.string(), nodes: z.int(), databases: z.int() })
        .describe('What databases request, without heap-dump volumes'),
      promised: z
        .object({
          ...amounts,
          storage: z.string(),
          databases: z.int(),
          open: z.object({ cpu: z.int(), memory: z.int(), storage: z.int(), databases: z.int() }).describe('Projects without such a limit'),
        })
        .describe("Sum of the projects' quotas"),
    }),
    databases: z.int(),
    projects: z.int(),
    operator: z
      .object({
        state: z.enum(['running', 'not-ready', 'scaled-down', 'missing', 'unknown']),
        version: z.string().nullable(),
        namespace: z.string(),
        deployment: z.string(),
      })
      .describe('The Crate Operator'),
    tunnel: z
      .object({
        hostname: z.string().describe('The public hostname of the agent'),
        alsoExposed: z.array(z.string()).describe('The other hostnames that are reachable from the internet'),
        cloudflared: cloudflaredSchema,
        configuration: configurationStates,
        lastError: z.string().nullable().describe('Why the last attempt to configure cloudflared failed'),
      })
      .nullable()
      .describe('null if none is configured; see /tunnel for details'),
  })
  .meta({ id: 'Region', description: 'The region, and how much of it is in use.' })

/** The region. Its answer is made again when something in it has changed. */
export const region: Resource = {
  open({ config, caches, operator, kubernetes, tunnel }) {
    const { nodes, storageClasses, databases, projects } = caches
    const memo = createMemo<Prepared>()
    const shown = (): z.input<typeof regionSchema> => ({
      id: config.region.id,
      name: config.region.name ?? null,
      agent: { version },
      kubernetes: { version: kubernetes.current ?? null },
      hosts: hostsOf(nodes.values()),
      storageClasses: storageClassesOf(storageClasses.values()),
      capacity: capacityOf({ nodes: nodes.values(), databases: databases.values(), projects: projects.values() }),
      databases: databases.size,
      projects: projects.size,
      operator: operatorStateOf(operator, operatorAt(config)),
      tunnel: tunnel === undefined ? null : tunnelShown(tunnel),
    })
    const getRegion = route({
      method: 'GET',
      path: '/region',
      operationId: 'getRegion',
      tag: 'Region',
      summary: 'The region, and how much of it is in use',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The region.', schema: regionSchema }),
      handle(c) {
        const versions = [nodes, storageClasses, databases, projects, operator].map((cache) => cache.version)
        const madeFrom = [...versions, operator.synced, kubernetes.current, tunnel && versionOf(tunnel.caches)].join(' ')
        const { bytes, etag } = memo('region', madeFrom, () => prepareDocument(config.region.id, shown()))
        return json(c, 200, bytes, { etag })
      },
    })
    return { routes: [getRegion] }
  },
}

function tunnelShown({ tunnel, caches }: TunnelInUse): NonNullable<z.input<typeof regionSchema>['tunnel']> {
  const { exposed, cloudflared, configuration, lastError } = tunnelStateOf(tunnel, caches)
  const alsoExposed = exposed.filter(({ what }) => what !== 'agent').map(({ hostname }) => hostname)
  return { hostname: tunnel.agent.hostname, alsoExposed, cloudflared, configuration, lastError }
}
