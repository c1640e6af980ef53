import * as z from 'zod'
import { componentsToCome, ownComponents } from '../preflight/components.ts'
import { preflight as runPreflight } from '../preflight/index.ts'
import { type Report, reportOf } from '../preflight/report.ts'
import { json, route } from './http.ts'
import { operatorAt, type Resource } from './resource.ts'

const level = z.enum(['ok', 'warn', 'fail'])

const preflightSchema = z
  .object({
    checkedAt: z.iso.datetime(),
    level: level.describe('The worst level found').meta({ example: 'fail' }),
    findings: z.array(
      z.object({
        id: z.string().describe('Stable; after the slash, the object it is about').meta({ example: 'storage-class-missing/crate-local' }),
        level: level.meta({ example: 'fail' }),
        what: z.string().describe('The fact').meta({ example: 'There is no StorageClass crate-local.' }),
        why: z
          .string()
          .describe('Why it matters; empty if nothing is wrong')
          .meta({ example: 'Volumes of this class stay Pending, and so do the databases that ask for them.' }),
        action: z
          .string()
          .describe('What to do; empty if nothing is wrong')
          .meta({ example: 'Create the StorageClass, or use another one.' }),
      }),
    ),
  })
  .meta({ id: 'Preflight', description: 'What the cluster lacks to be a region.' })

/** How long a report is kept, in milliseconds: it takes about fifty requests to the API server. */
const freshMs = 10_000

/** The preflight, with the network and the rights of the agent's own account. */
export const preflight: Resource = {
  open({ config, cluster, clock, clocks }) {
    const { namespace } = config.cluster
    const options = {
      audience: 'agent' as const,
      namespace,
      operator: operatorAt(config),
      siteCidrs: [],
      clocks: clocks.read,
      components: componentsToCome(ownComponents),
    }
    let latest: { report: Promise<Report>; until: number } | undefined

    function report(): Promise<Report> {
      if (latest && clock.monotonic() < latest.until) return latest.report
      const made = runPreflight(options, { cluster, clock }).then((findings) => reportOf(findings, clock.now()))
      const entry = { report: made, until: Number.POSITIVE_INFINITY }
      latest = entry
      const expireIn = (ms: number) => {
        entry.until = clock.monotonic() + ms
      }
      made.then(
        () => expireIn(freshMs),
        () => expireIn(0),
      )
      return made
    }

    const getPreflight = route({
      method: 'GET',
      path: '/region/preflight',
      operationId: 'getPreflight',
      tag: 'Region',
      summary: 'What the cluster lacks to be a region',
      description:
        'The checks of `skerry-agent preflight`, without those that an agent neither needs nor can do: hosts outside, and leftovers of earlier installations other than namespaces. The answer is cached for ten seconds.',
      scope: 'region:read',
      problems: ['cluster-unreachable', 'cluster-forbidden', 'cluster-error'],
      responses: () => ({ 200: { description: 'The findings, failures included.', schema: preflightSchema } }),
      handle: async (c) => json(c, 200, await report()),
    })
    return { routes: [getPreflight] }
  },
}
