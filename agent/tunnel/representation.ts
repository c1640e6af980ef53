import * as z from 'zod'
import { obstacleSchema } from '../api/representations/operation.ts'
import { exampleEtag, type Prepared, prepare } from '../api/representations/prepared.ts'
import type { Obstacle } from '../resources/operation.ts'
import { type Exposure, exposureSpec } from './desired.ts'
import { exposables } from './settings.ts'
import { type TunnelInUse, type TunnelState, tunnelStateOf } from './state.ts'

export const cloudflaredSchema = z
  .object({
    state: z
      .enum(['running', 'degraded', 'not-ready', 'resting', 'scaled-down', 'missing', 'unknown'])
      .describe('`resting`: it starts once the cloud asks for it'),
    replicas: z.int().describe('The desired number').meta({ example: 2 }),
    readyReplicas: z.int().describe("Those with at least one connection to Cloudflare's edge").meta({ example: 2 }),
    since: z
      .string()
      .nullable()
      .describe('When it became available or unavailable; null if Kubernetes does not say')
      .meta({ example: '2026-01-31T12:00:00Z' }),
    image: z.string().nullable().meta({ example: 'cloudflare/cloudflared:2026.1.0' }),
    namespace: z.string().meta({ example: 'skerry' }),
    deployment: z.string().meta({ example: 'skerry-cloudflared' }),
  })
  .meta({ id: 'Cloudflared', description: 'The program that holds the tunnel open.' })

export const onDemandSchema = z
  .object({
    until: z.iso
      .datetime()
      .nullable()
      .describe('When it ends, or has ended, unless the cloud asks for it again; null if it never ran')
      .meta({ example: null }),
  })
  .nullable()
  .describe('A tunnel that starts on demand; null of one that always runs')
  .meta({ example: null })

export const configurationStates = z
  .enum(['in-force', 'rolling', 'pending', 'unknown'])
  .describe('`pending`: not written yet. `rolling`: written, but some pods still use another one')

const tunnelStatusSchema = z.object({
  tunnel: z.string().nullable().describe('Its id; null if none is configured').meta({ example: '6f1c2c0e-8f43-4b0d-9a55-0b8a8a6a2f11' }),
  message: z.string().optional().describe('How to configure one'),
  exposed: z
    .array(
      z.object({
        what: z.enum(exposables),
        hostname: z.string().meta({ example: 'harbour-1.example.org' }),
        url: z.string().describe('The address within the cluster').meta({ example: 'https://skerry-agent.skerry.svc:8443' }),
      }),
    )
    .describe('Everything that the tunnel exposes; other hostnames get 404'),
  warnings: z.array(z.string()).describe('Warnings about everything that is exposed besides the agent').meta({ example: [] }),
  cloudflared: cloudflaredSchema.nullable(),
  onDemand: onDemandSchema,
  configuration: configurationStates.nullable(),
  lastError: z.string().nullable().describe('Why the last attempt to configure cloudflared failed').meta({ example: null }),
  blockers: z.array(obstacleSchema).describe('What stands in the way').meta({ example: [] }),
  etag: z.string().describe('For If-Match').meta({ example: exampleEtag }),
})

/** The tunnel as the API shows it. */
export const tunnelSchema = z
  .object({
    id: z.string().describe('Of the region').meta({ example: 'harbour-1' }),
    configured: z.boolean().describe('Whether the agent manages a tunnel').meta({ example: true }),
    expose: exposureSpec,
    status: tunnelStatusSchema,
  })
  .meta({ id: 'Tunnel', description: 'The tunnel, and everything that it exposes to the internet.' })

/** The part of a tunnel that can be changed, which the first part of its entity tag covers. */
export function tunnelSpecShown(region: string, configured: boolean, expose: Exposure) {
  return { id: region, configured, expose }
}

/** Renders the tunnel. */
export function prepareTunnel(region: string, { tunnel, caches }: TunnelInUse, blockers: Obstacle[]): Prepared {
  const { expose, exposed, warnings, cloudflared, onDemand, configuration, lastError }: TunnelState = tunnelStateOf(tunnel, caches)
  const status: Omit<z.input<typeof tunnelStatusSchema>, 'etag'> = {
    tunnel: tunnel.id,
    ...{ exposed, warnings, cloudflared, onDemand, configuration, lastError, blockers },
  }
  return prepare(tunnelSpecShown(region, true, expose), status)
}

/** How to configure a tunnel. */
export const howToConfigure =
  'The agent manages no tunnel: set `tunnel` in its configuration, as the chart does with cloudflared.enabled=true.'

/** Renders the answer without a tunnel. */
export function prepareNoTunnel(region: string): Prepared {
  const status: Omit<z.input<typeof tunnelStatusSchema>, 'etag'> = {
    tunnel: null,
    message: howToConfigure,
    exposed: [],
    warnings: [],
    cloudflared: null,
    onDemand: null,
    configuration: null,
    lastError: null,
    blockers: [],
  }
  return prepare(tunnelSpecShown(region, false, { grafana: false }), status)
}
