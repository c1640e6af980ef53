import * as z from 'zod'
import { withoutTimes } from '../region/age.ts'
import { targetKinds } from '../resources/kind.ts'
import { actionRoutes } from './actions.ts'
import { json, route } from './http.ts'
import { readResponses } from './projects.ts'
import { createMemo, type Prepared, prepareObserved } from './representations/prepared.ts'
import { RegionDocumentMaker } from './representations/region.ts'
import { regionSchema } from './representations/region-schema.ts'
import { acceptingParts, type Resource } from './resource.ts'

/** The region. Its answer is made again when something in it has changed. */
export const region: Resource = {
  scopes: [targetKinds.region.scope],
  open(parts) {
    const { id } = parts.config.region
    const document = new RegionDocumentMaker(parts)
    const memo = createMemo<Prepared>()
    const getRegion = route({
      method: 'GET',
      path: '/region',
      operationId: 'getRegion',
      tag: 'Region',
      tagDescription: 'The cluster: its capacity, what it lacks, and the tunnel through which the agent is reached.',
      summary: 'The region, and how much of it is in use',
      description:
        'An identity that is bound to projects gets counts, capacity, databases and blockers of these alone, and null for the tunnel. Hosts and ' +
        'storage classes are those of the region; components, ledger and sealing certificate are left out.\n\n' +
        '`parts` has the age of each field. An optional field that is absent was never known. The entity tag is weak: it stays while nothing but ' +
        'the times in `parts` changes. So 304 confirms every field that was not stale.',
      scope: 'region:read',
      filtered: true,
      responses: () => readResponses({ description: 'The region.', schema: regionSchema }),
      handle(c) {
        const { projects: bound } = c.get('identity')
        const key = bound === undefined ? 'all' : `of ${[...bound].sort().join(' ')}`
        const { bytes, etag } = memo(key, document.madeFrom(), () => {
          const shown = document.shown(bound)
          return prepareObserved(id, shown, withoutTimes(shown))
        })
        return json(c, 200, bytes, { etag })
      },
    })
    const ofRegion = { kind: 'region' as const, path: '/region', tag: 'Region', params: z.strictObject({}), schema: regionSchema }
    return { routes: [getRegion, ...actionRoutes(acceptingParts(parts), { ...ofRegion, get: () => undefined })] }
  },
}
