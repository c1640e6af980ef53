import * as z from 'zod'
import { obstacleSchema } from '../api/representations/operation.ts'
import { type Prepared, prepare } from '../api/representations/prepared.ts'
import type { Obstacle } from '../resources/operation.ts'
import { type Exposure, exposureSpec } from './desired.ts'
import { exposables } from './settings.ts'
import { type TunnelInUse, type TunnelState, tunnelStateOf } from './state.ts'

export const cloudflaredSchema = z
  .object({
    state: z.enum(['running', 'degraded', 'not-ready', 'scaled-down', 'missing', 'unknown']),
    replicas: z.int().describe('Wanted'),
    readyReplicas: z.int().describe("Those with at least one connection to Cloudflare's edge"),
    since: z.string().nullable().describe('When it became available, or ceased to be; null where Kubernetes does not say'),
    image: z.string().nullable(),
    namespace: z.string(),
    deployment: z.string(),
  })
  .meta({ id: 'Cloudflared', description: 'The program that holds the tunnel open.' })

export const configurationStates = z
  .enum(['in-force', 'rolling', 'pending', 'unknown'])
  .describe('`pending`: not written yet. `rolling`: written, and some pods still run with another one')

const tunnelStatusSchema = z.object({
  tunnel: z.string().nullable().describe('Its id; null when none is configured'),
  message: z.string().optional().describe('What to do to have one'),
  exposed: z
    .array(
      z.object({
        what: z.enum(exposables),
        hostname: z.string().meta({ example: 'harbour-1.example.org' }),
        url: z.string().describe('Where that leads to within the cluster'),
      }),
    )
    .describe('Everything that the tunnel leads to; all else is answered 404'),
  warnings: z.array(z.string()).describe('What to know about what is exposed besides the agent'),
  cloudflared: cloudflaredSchema.nullable(),
  configuration: configurationStates.nullable(),
  lastError: z.string().nullable().describe('Why the agent could not configure cloudflared last time'),
  blockers: z.array(obstacleSchema).describe('What stands in the way'),
  etag: z.string().describe('For If-Match'),
})

/** The tunnel as the API gives it. */
export const tunnelSchema = z
  .object({
    id: z.string().describe('Of the region').meta({ example: 'harbour-1' }),
    configured: z.boolean().describe('Whether the agent has a tunnel to look after'),
    expose: exposureSpec,
    status: tunnelStatusSchema,
  })
  .meta({ id: 'Tunnel', description: 'What is reachable from the internet, and how the tunnel is.' })

/** What of a tunnel can be changed: an entity tag's first part stands for this. */
export function tunnelSpecShown(region: string, configured: boolean, expose: Exposure) {
  return { id: region, configured, expose }
}

/** The tunnel as it is sent. */
export function prepareTunnel(region: string, { tunnel, caches }: TunnelInUse, blockers: Obstacle[]): Prepared {
  const { expose, exposed, warnings, cloudflared, configuration, lastError }: TunnelState = tunnelStateOf(tunnel, caches)
  const status: Omit<z.input<typeof tunnelStatusSchema>, 'etag'> = {
    tunnel: tunnel.id,
    ...{ exposed, warnings, cloudflared, configuration, lastError, blockers },
  }
  return prepare(tunnelSpecShown(region, true, expose), status)
}

/** How to come by a tunnel. */
export const howToConfigure =
  'The agent has no tunnel to look after: set `tunnel` in its configuration, which the chart does with cloudflared.enabled=true.'

/** Where no tunnel is configured. */
export function prepareNoTunnel(region: string): Prepared {
  const status: Omit<z.input<typeof tunnelStatusSchema>, 'etag'> = {
    tunnel: null,
    message: howToConfigure,
    exposed: [],
    warnings: [],
    cloudflared: null,
    configuration: null,
    lastError: null,
    blockers: [],
  }
  return prepare(tunnelSpecShown(region, false, { grafana: false }), status)
}
