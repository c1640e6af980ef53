import * as z from 'zod'
import { dryRunQuery } from '../../../agent/api/accepting.ts'
import type { EventSource } from '../../../agent/api/events/index.ts'
import { json, route } from '../../../agent/api/http.ts'
import type { Resource } from '../../../agent/api/resource.ts'
import { projectId } from '../../../agent/resources/identifiers.ts'
import { Problem } from '../../../shared/errors.ts'
import { createCache } from '../../../shared/kubernetes/cache.ts'
import { kinds } from '../../../shared/kubernetes/objects.ts'

const params = z.strictObject({ lighthouse: projectId })
const spec = z.strictObject({ height: z.int().min(1).max(200) })

/** A resource with everything that a resource can have, in one file. adding-a-resource.test.ts puts it into the agent. */
export const lighthouses: Resource = {
  scopes: ['lighthouses:write'],
  open({ cluster, clock, log }) {
    const standing = new Map<string, z.output<typeof spec>>()
    const listeners = new Set<Parameters<EventSource['subscribe']>[0]>()
    let isKept = false
    const shown = (id: string) => JSON.stringify({ id, ...standing.get(id), lit: isKept })
    const common = { path: '/lighthouses/{lighthouse}', tag: 'Lighthouses', params }
    return {
      routes: [
        route({
          ...common,
          method: 'GET',
          operationId: 'getLighthouse',
          summary: 'A lighthouse',
          scope: 'region:read',
          responses: () => ({ 200: { description: 'The lighthouse.', schema: spec } }),
          handle(c, { params }) {
            if (!standing.has(params.lighthouse)) throw new Problem('not-found', `There is no lighthouse ${params.lighthouse}.`)
            return json(c, 200, shown(params.lighthouse))
          },
        }),
        route({
          ...common,
          method: 'PUT',
          operationId: 'putLighthouse',
          summary: 'Builds a lighthouse',
          scope: 'lighthouses:write',
          query: z.strictObject(dryRunQuery),
          body: spec,
          responses: () => ({ 200: { description: 'The lighthouse.', schema: spec } }),
          handle(c, { params: { lighthouse: id }, query, body }) {
            if (query.dryRun) return json(c, 200, { dryRun: true, steps: [] })
            standing.set(id, body)
            for (const listener of listeners) listener({ type: 'added', project: 'harbour', id, show: () => shown(id) })
            return json(c, 200, shown(id))
          },
        }),
      ],
      events: [
        {
          kind: 'lighthouse',
          subscribe(listener) {
            listeners.add(listener)
            return () => listeners.delete(listener)
          },
        },
      ],
      caches: { lighthouses: createCache({ kind: kinds.Project }, { cluster, clock, log }) },
      controllers: [
        {
          name: 'lighthouse keeper',
          async start() {
            isKept = true
          },
          async stop() {
            isKept = false
          },
        },
      ],
    }
  },
}
