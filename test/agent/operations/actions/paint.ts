import * as z from 'zod'
import { type Action, databaseRequest } from '../../../../agent/operations/actions/action.ts'
import { databaseOfRequest } from '../../../../agent/operations/deciding/present.ts'
import { readCrateDB } from '../../../../agent/operations/work/database-steps.ts'
import { desiredCrateDB } from '../../../../agent/resources/cratedb.ts'
import { type DatabaseTarget, namespaceOf } from '../../../../agent/resources/kind.ts'

const colour = 'example.com/colour'

/** An action that no agent has: it paints a database, which is an annotation. This file is all that there is of it. */
export const paint: Action<DatabaseTarget> = {
  name: 'paint',
  phase: 'Painting',
  requests: [
    databaseRequest({
      method: 'POST',
      operationId: 'paintDatabase',
      summary: 'Paints a database',
      body: z.strictObject({ colour: z.enum(['red', 'green']).describe('What it looks like afterwards') }),
      query: {
        coats: z.coerce
          .number()
          .int()
          .default(1)
          .meta({ override: { type: 'integer', default: 1 } }),
      },
      example: { colour: 'red' },
      asksForState: false,
      decide(parts, { body, query, ...asked }) {
        const { spec } = databaseOfRequest(parts, asked)
        const object = desiredCrateDB(asked.target, spec, parts.config)
        object.metadata.annotations = { ...object.metadata.annotations, [colour]: body.colour }
        const consequences = [`It will be ${body.colour}, in ${query.coats} coats.`]
        return { parameters: body, timeoutSeconds: 60, plan: [{ name: 'paint', consequences, objects: [object] }] }
      },
    }),
  ],
  work: {
    async advance(context) {
      const current = await readCrateDB(context)
      if (!current) return { next: 'failed', reason: 'Disappeared', message: 'There is nothing to paint.' }
      if (!context.operation.status?.step) await context.begin('paint')
      const { project, database } = context.target
      const annotations = { [colour]: context.operation.spec.parameters?.colour }
      const ref = { kind: 'CrateDB' as const, namespace: namespaceOf(project), name: database }
      await context.cluster.patch(ref, { metadata: { annotations } })
      await context.finish()
      return { next: 'done', message: 'Painted.' }
    },
  },
}
