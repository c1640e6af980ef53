/**
 * The tunnel through which the agent is reached, with cloudflared in front of it.
 *
 *     index.ts           the resource of the API: GET and PATCH /v1/tunnel
 *     settings.ts        the section `tunnel` of the configuration, and the names derived from it
 *     desired.ts         cloudflared's configuration and the ConfigMaps, as pure functions
 *     state.ts           the objects in the cluster, followed by caches, and the state that they show
 *     pods.ts            the pods of cloudflared, and which of them are outdated, as pure functions
 *     controller.ts      looks again after each change, on the leader
 *     reconcile.ts       writes cloudflared's configuration and replaces its pods
 *     on-demand.ts       starts cloudflared when the cloud asks for it
 *     exposure.ts        decides, plans and writes a change of what is exposed
 *     obstacles.ts       what keeps the tunnel from working, with cures
 *     representation.ts  the tunnel as JSON
 */
import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { dryRunQuery, planSchema } from '../api/accepting.ts'
import { type ApiContext, checkPreconditions, json, type Route, route } from '../api/http.ts'
import { readResponses } from '../api/projects.ts'
import { prepare } from '../api/representations/prepared.ts'
import type { Resource } from '../api/resource.ts'
import { createTunnelController } from './controller.ts'
import { type Exposure, tunnelSpec } from './desired.ts'
import { changeExposure, planExposure } from './exposure.ts'
import { tunnelObstacles } from './obstacles.ts'
import { howToConfigure, prepareNoTunnel, prepareTunnel, tunnelSchema, tunnelSpecShown } from './representation.ts'
import type { TunnelInUse } from './state.ts'

export { callTunnel } from './on-demand.ts'
export { openTunnel, type TunnelInUse, tunnelStateOf } from './state.ts'

/** The tunnel as a resource. Its routes exist without a tunnel too, and say how to configure one. */
export const tunnel: Resource = {
  scopes: ['tunnel:write'],
  open({ config, cluster, clock, lease, log, tunnel: use }) {
    const routes = tunnelRoutes(config.region.id, { use, cluster })
    if (use === undefined) return { routes }
    const { settings, configuration, deployment, pods } = use.caches
    return {
      routes,
      caches: { tunnelSettings: settings, tunnelConfiguration: configuration, cloudflared: deployment, cloudflaredPods: pods },
      controllers: [createTunnelController(use.tunnel, { caches: use.caches, cluster, clock, lease, log })],
    }
  },
}

/** @param use undefined where no tunnel is configured */
function tunnelRoutes(region: string, { use, cluster }: { use: TunnelInUse | undefined; cluster: Cluster }): Route[] {
  const show = async () =>
    use === undefined ? prepareNoTunnel(region) : prepareTunnel(region, use, await tunnelObstacles(use.tunnel, use.caches, cluster))
  /** Checks If-Match and If-None-Match, each time the request is decided. */
  const guardOf = (c: ApiContext) => (present: Exposure) => checkPreconditions(c, prepare(tunnelSpecShown(region, true, present), {}).etag)

  return [
    route({
      method: 'GET',
      path: '/tunnel',
      operationId: 'getTunnel',
      tag: 'Region',
      summary: 'The tunnel, and everything that it exposes to the internet',
      scope: 'region:read',
      responses: () => readResponses({ description: 'The tunnel.', schema: tunnelSchema }),
      async handle(c) {
        const { bytes, etag } = await show()
        return json(c, 200, bytes, { etag })
      },
    }),
    route({
      method: 'PATCH',
      path: '/tunnel',
      operationId: 'patchTunnel',
      tag: 'Region',
      summary: 'Exposes something besides the agent, or stops exposing it',
      description:
        'The answer comes once the change is durable; `status.configuration` is `in-force` when every pod of cloudflared uses it. The ' +
        'change is not an operation, and repeating it changes nothing: `Prefer: wait` and `Idempotency-Key` have no effect.',
      scope: 'tunnel:write',
      problems: ['wrong-state'],
      query: z.strictObject(dryRunQuery),
      patch: tunnelSpec,
      example: { expose: { grafana: true } },
      responses: () => ({
        200: {
          description: 'The tunnel, with warnings about what is exposed. With `dryRun=true`: the plan.',
          schema: z.union([tunnelSchema, planSchema]),
          headers: { ETag: 'For If-Match.' },
        },
      }),
      async handle(c, { query, body }) {
        if (use === undefined) throw new Problem('wrong-state', howToConfigure)
        const request = { patch: body, guard: guardOf(c) }
        if (query.dryRun) return json(c, 200, { dryRun: true, steps: await planExposure(use, cluster, request) })
        await changeExposure(use, cluster, request)
        const { bytes, etag } = await show()
        return json(c, 200, bytes, { etag })
      },
    }),
  ]
}
