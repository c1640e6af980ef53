import * as z from 'zod'
import type { Cache } from '../../shared/kubernetes/cache.ts'
import type { Caches } from '../region/caches.ts'
import type { OperatorView } from '../region/operator.ts'
import { capacityOf, hostsOf, operatorStateOf, storageClassesOf } from '../region/status.ts'
import type { TunnelInUse } from '../tunnel/exposure.ts'
import { cloudflaredSchema, configurationStates } from '../tunnel/representation.ts'
import { tunnelStateOf, versionOf } from '../tunnel/state.ts'
import { json, type Route, route } from './http.ts'
import { readResponses } from './projects.ts'
import { createMemo, type Prepared, prepareDocument } from './representations/prepared.ts'

const amounts = { cpu: z.number().describe('Cores'), memory: z.string().meta({ example: '96Gi' }) }

const regionSchema = z
  .object({
    id: z.string().meta({ example: 'harbour-1' }),
    name: z.string().nullable(),
    agent: z.object({ version: z.string() }),
    kubernetes: z.object({ version: z.string().nullable().describe('null until it was first read') }),
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
          .describe('The taint that keeps it for pods of one kind; null on an ordinary host'),
      }),
    ),
    storageClasses: z.array(
      z.object({
        name: z.string(),
        provisioner: z.string(),
        expandable: z.boolean().describe('Its volumes can grow'),
        reclaims: z.boolean().describe('Its volumes go with their claims'),
        isDefault: z.boolean(),
      }),
    ),
    capacity: z.object({
      allocatable: z
        .object({ ...amounts, hosts: z.int() })
        .describe('What pods may request on hosts that are ready and kept for nothing else'),
      requested: z
        .object({ ...amounts, storage: z.string(), nodes: z.int(), databases: z.int() })
        .describe('What databases ask for; of heap-dump volumes nothing'),
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
        hostname: z.string().describe('By which the agent is called from outside'),
        alsoExposed: z.array(z.string()).describe('Hostnames of everything else that is reachable from the internet'),
        cloudflared: cloudflaredSchema,
        configuration: configurationStates,
        lastError: z.string().nullable().describe('Why the agent could not configure cloudflared last time'),
      })
      .nullable()
      .describe('null where none is configured; more of it is at /tunnel'),
  })
  .meta({ id: 'Region', description: 'What the region is, and what of it is taken.' })

export type RegionRouteConfig = {
  region: { id: string; name?: string | undefined }
  /** Of the agent. */
  version: string
  crateOperator: { namespace: string; deployment: string }
}

export type RegionRouteParts = {
  caches: Caches
  operator: Cache<OperatorView>
  kubernetes: { readonly current: string | undefined }
  tunnel?: TunnelInUse | undefined
}

/** The route of the region. Its answer is made anew when something in it changed, and otherwise sent as it is. */
export function regionRoutes(
  { region, version, crateOperator }: RegionRouteConfig,
  { caches, operator, kubernetes, tunnel: use }: RegionRouteParts,
): Route[] {
  const memo = createMemo<Prepared>()

  function make(): z.input<typeof regionSchema> {
    const { nodes, storageClasses, databases, projects } = caches
    return {
      id: region.id,
      name: region.name ?? null,
      agent: { version },
      kubernetes: { version: kubernetes.current ?? null },
      hosts: hostsOf(nodes.values()),
      storageClasses: storageClassesOf(storageClasses.values()),
      capacity: capacityOf({ nodes: nodes.values(), databases: databases.values(), projects: projects.values() }),
      databases: databases.size,
      projects: projects.size,
      operator: operatorStateOf(operator, { namespace: crateOperator.namespace, name: crateOperator.deployment }),
      tunnel: use === undefined ? null : tunnelShown(use),
    }
  }

  return [
    route({
      method: 'GET',
      path: '/region',
      operationId: 'getRegion',
      tag: 'Region',
      summary: 'What the region is, and what of it is taken',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The region.', schema: regionSchema }),
      handle(c) {
        const { nodes, storageClasses, databases, projects } = caches
        const versions = [nodes, storageClasses, databases, projects, operator].map((cache) => cache.version)
        const madeFrom = [...versions, operator.synced, kubernetes.current, use && versionOf(use.caches)].join(' ')
        const { bytes, etag } = memo('region', madeFrom, () => prepareDocument(region.id, make()))
        return json(c, 200, bytes, { etag })
      },
    }),
  ]
}

function tunnelShown({ tunnel, caches }: TunnelInUse): NonNullable<z.input<typeof regionSchema>['tunnel']> {
  const { exposed, cloudflared, configuration, lastError } = tunnelStateOf(tunnel, caches)
  const alsoExposed = exposed.filter(({ what }) => what !== 'agent').map(({ hostname }) => hostname)
  return { hostname: tunnel.agent.hostname, alsoExposed, cloudflared, configuration, lastError }
}
