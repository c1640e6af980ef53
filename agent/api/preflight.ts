import * as z from 'zod'
import type { Clock } from '../../shared/clock.ts'
import type { Cluster } from '../../shared/kubernetes/connection.ts'
import { componentsToCome, ownComponents } from '../preflight/components.ts'
import { preflight } from '../preflight/index.ts'
import { type Report, reportOf } from '../preflight/report.ts'
import { json, type Route, route } from './http.ts'

const level = z.enum(['ok', 'warn', 'fail'])

const preflightSchema = z
  .object({
    checkedAt: z.iso.datetime(),
    level: level.describe('The worst one found'),
    findings: z.array(
      z.object({
        id: z
          .string()
          .describe('Stable; what follows the slash is what it is about')
          .meta({ example: 'storage-class-missing/crate-local' }),
        level,
        what: z.string().describe('What was seen'),
        why: z.string().describe('Why it matters; empty where nothing is wrong'),
        action: z.string().describe('What to do; empty where nothing is wrong'),
      }),
    ),
  })
  .meta({ id: 'Preflight', description: 'What the cluster lacks to be a region.' })

/** How long an answer is given again, in milliseconds: it takes some fifty requests to the API server. */
const freshMs = 10_000

/** The route of the preflight, with the eyes and the rights of the agent's own account. */
export function preflightRoutes(
  { namespace, crateOperator }: { namespace: string; crateOperator: { namespace: string; deployment: string } },
  { cluster, clock }: { cluster: Cluster; clock: Clock },
): Route[] {
  const operator = { namespace: crateOperator.namespace, name: crateOperator.deployment }
  const options = { audience: 'agent' as const, namespace, operator, siteCidrs: [], components: componentsToCome(ownComponents) }
  let latest: { report: Promise<Report>; until: number } | undefined

  function report(): Promise<Report> {
    if (latest && clock.monotonic() < latest.until) return latest.report
    const made = preflight(options, { cluster, clock }).then((findings) => reportOf(findings, clock.now()))
    const entry = { report: made, until: Number.POSITIVE_INFINITY }
    latest = entry
    const forget = (ms: number) => {
      entry.until = clock.monotonic() + ms
    }
    made.then(
      () => forget(freshMs),
      () => forget(0),
    )
    return made
  }

  return [
    route({
      method: 'GET',
      path: '/region/preflight',
      operationId: 'getPreflight',
      tag: 'Region',
      summary: 'What the cluster lacks to be a region',
      description:
        'What `skerry-agent preflight` looks at before an installation, but for what an agent neither needs nor sees: hosts outside, and what earlier installations left behind besides namespaces. An answer is given again for ten seconds.',
      scope: 'region:read',
      problems: ['cluster-unreachable', 'cluster-forbidden', 'cluster-error'],
      responses: () => ({ 200: { description: 'The findings, failures among them or not.', schema: preflightSchema } }),
      handle: async (c) => json(c, 200, await report()),
    }),
  ]
}
