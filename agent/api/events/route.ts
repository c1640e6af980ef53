import * as z from 'zod'
import { answer } from '../answer.ts'
import { sees } from '../reach.ts'
import { type Route, route } from '../route.ts'

/** The events that a subscriber asks for. */
export type Wanted = {
  /** The name of the subscriber. */
  identity: string
  kinds: ReadonlySet<string>
  project: string | undefined
  /** Whether the subscriber may know of a project. */
  sees: (project: string | undefined) => boolean
  /** Whether its credential is still valid. */
  isStillAllowed: () => Promise<boolean>
}

/** @param kinds the types of events that exist @param open starts a stream of those that are wanted */
export function eventsRoute(
  kinds: readonly string[],
  open: (wanted: Wanted, lastEventId: string | undefined, stopping: AbortSignal | undefined) => ReadableStream,
): Route {
  return route({
    method: 'GET',
    path: '/events',
    operationId: 'watchEvents',
    tag: 'Events',
    tagDescription: 'Changes as they happen, over one connection.',
    summary: 'Changes as they happen',
    description: `Server-sent events (\`text/event-stream\`). The stream begins with the next change: to have everything, open it first, then list.

The types of events are ${kinds.map((kind) => `\`${kind}\``).join(', ')}, with \`{"type":"added"|"changed"|"removed","project":…,"id":…,"object":…}\`
as data, where \`object\` is the answer of a read and is missing from a removal; and \`relist\`, when events were missed: list again,
the stream continues meanwhile. The same state may be sent twice.

A client that comes back with \`Last-Event-ID\` gets what it missed, or \`relist\`. A comment comes every 15 seconds; a stream that is
silent for a minute is dead. After an hour the stream ends; come back with the last id.`,
    scope: 'region:read',
    filtered: true,
    query: z.strictObject({
      project: z.string().min(1).max(63).optional().describe('Only events of this project.'),
      kinds: z
        .string()
        .transform((text) => text.split(','))
        .pipe(z.array(z.enum(kinds as [string, ...string[]])).nonempty())
        .optional()
        .describe(`Only these kinds, separated by commas: ${kinds.join(', ')}.`)
        .meta({ override: { type: 'string' }, example: 'operation,database' }),
      lastEventId: z.string().max(100).optional().describe('Like the header Last-Event-ID, which takes precedence.'),
    }),
    responses: () => ({
      200: {
        description: 'Events, until either side ends the stream',
        schema: z.string(),
        contentType: 'text/event-stream',
        example: 'id: k3f9a0bc-17\nevent: operation\ndata: {"type":"changed","project":"harbour","id":"op-0000000042","object":{}}\n\n',
      },
    }),
    handle(c, { query: { project, kinds: given, lastEventId } }) {
      const headers = {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no', // nginx would buffer the events
      }
      if (c.req.method === 'HEAD') return answer(c, 200, null, headers)
      const wanted = {
        identity: c.get('identity').name,
        kinds: new Set(given ?? kinds),
        project,
        sees: (id: string | undefined) => sees(c, id),
        isStillAllowed: c.get('isStillAllowed'),
      }
      return answer(c, 200, open(wanted, c.req.header('last-event-id') || lastEventId, c.env?.stopping), headers)
    },
  })
}
