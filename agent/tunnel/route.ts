import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { dryRunQuery, planSchema } from '../api/accepting.ts'
import { type ApiContext, checkPreconditions, json, type Route, route } from '../api/http.ts'
import { readResponses } from '../api/projects.ts'
import { prepare } from '../api/representations/prepared.ts'
import { type Exposure, tunnelSpec } from './desired.ts'
import { changeExposure, planExposure, type TunnelInUse } from './exposure.ts'
import { tunnelObstacles } from './obstacles.ts'
import { howToConfigure, prepareNoTunnel, prepareTunnel, tunnelSchema, tunnelSpecShown } from './representation.ts'

/** The routes of the tunnel: they translate HTTP, and nothing else. @param use undefined where no tunnel is configured */
export function tunnelRoutes(region: string, { use, cluster }: { use: TunnelInUse | undefined; cluster: Cluster }): Route[] {
  const show = async () =>
    use === undefined ? prepareNoTunnel(region) : prepareTunnel(region, use, await tunnelObstacles(use.tunnel, use.caches, cluster))
  /** If-Match and If-None-Match, judged whenever the request is decided on. */
  const guardOf = (c: ApiContext) => (present: Exposure) => checkPreconditions(c, prepare(tunnelSpecShown(region, true, present), {}).etag)

  return [
    route({
      method: 'GET',
      path: '/tunnel',
      operationId: 'getTunnel',
      tag: 'Region',
      summary: 'What is reachable from the internet, and how the tunnel is',
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
      summary: 'Exposes something besides the agent, or ends that',
      description:
        'Answered once it is durable; `status.configuration` is `in-force` when every pod of cloudflared has taken it up. It is no ' +
        'operation, and sending it again changes nothing: neither `Prefer: wait` nor `Idempotency-Key` makes a difference.',
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
        const { status: _, ...patch } = body
        const request = { patch, guard: guardOf(c) }
        if (query.dryRun) return json(c, 200, { dryRun: true, steps: await planExposure(use, cluster, request) })
        await changeExposure(use, cluster, request)
        const { bytes, etag } = await show()
        return json(c, 200, bytes, { etag })
      },
    }),
  ]
}
