import * as z from 'zod'
import type { ActionRequest } from '../operations/actions/action.ts'
import { createPasswordMint, type DecisionParts } from '../operations/deciding/decision.ts'
import { type TargetKind, type TargetOf, targetKinds } from '../resources/kind.ts'
import { type AcceptingParts, acceptingResponses, carryOut, dryRunQuery } from './accepting.ts'
import { checkPreconditions, type Input, type Route, requireScope } from './http.ts'
import type { Prepared } from './representations/prepared.ts'

/** The resource of the API for the targets of one kind. */
export type ResourceOfKind<Kind extends TargetKind> = {
  kind: Kind
  /** Below `/v1`: `/projects/{project}`. */
  path: string
  tag: string
  params: z.ZodObject
  schema: z.ZodType
  /** By the parameters of the path. */
  get(params: Record<string, string>): Prepared | undefined
  /** Whether the resource is another one than the target: then it has the requests whose place is in its chapter, and no others. */
  isElsewhere?: boolean
}

/** The routes of all actions on one kind of target, derived from the table. */
export function actionRoutes<Kind extends TargetKind>(parts: AcceptingParts & DecisionParts, resource: ResourceOfKind<Kind>): Route[] {
  const isHere = ({ at, isOwn }: ActionRequest<TargetOf<Kind>>) =>
    !isOwn && (resource.isElsewhere ? at?.tag === resource.tag : at === undefined || at.tag === resource.tag)
  return parts.actions[resource.kind].flatMap(({ name, requests }) =>
    requests.filter(isHere).map((request) => routeOf(parts, resource, name, request)),
  )
}

const exampleNames = { project: 'harbour', database: 'tidal-gauge' }

function routeOf<Kind extends TargetKind>(
  parts: AcceptingParts & DecisionParts,
  { kind, path, tag, params, schema, get }: ResourceOfKind<Kind>,
  name: string,
  request: ActionRequest<TargetOf<Kind>>,
): Route {
  const { asksForState, at, query, takesAlong, normalize, prepare, decide, show, isOwn: _, ...facts } = request
  return {
    ...facts,
    path: at?.path ?? (request.method === 'POST' ? `${path}/actions/${name}` : path),
    tag: at?.tag ?? tag,
    scope: targetKinds[kind].scope,
    params: at?.params ?? params,
    query: z.strictObject({ ...dryRunQuery, ...query }),
    comparesLedger: true,
    responses() {
      const target = { kind, ...Object.fromEntries(targetKinds[kind].names.map((each) => [each, exampleNames[each]])) }
      const steps: Partial<Record<string, string>> =
        kind === 'project' ? { PUT: 'apply', PATCH: 'apply' } : { PUT: 'create', PATCH: 'scale' }
      const planned = [steps[request.method] ?? name]
      const example = { action: name, target, planned }
      return acceptingResponses(parts.schemas, { unchanged: asksForState ? schema : undefined, shown: show?.schema, example })
    },
    async handle(c, { params, ...input }) {
      const given = params as Record<string, string>
      const target = at ? at.targetOf(given) : ({ kind, ...given } as TargetOf<Kind>)
      const { dryRun, ...query } = input.query as { dryRun: boolean }
      for (const along of takesAlong?.(query) ?? []) requireScope(c, targetKinds[along].scope)
      const body = normalize ? normalize(input.body, target) : input.body
      const guard = (present: unknown) => checkPreconditions(c, present === undefined ? undefined : get(given)?.etag)
      const read = { target, params: given, guard, query, body, passwordAt: createPasswordMint() }
      const asked = prepare ? await prepare(parts, read) : read
      const resource = asksForState ? () => get(given) : undefined
      const shown = show && (() => show.of(parts, asked))
      const what = { action: name, target, decide: () => decide(parts, asked), resource, shown }
      const named = request.file ? { digest: request.file.digestOf(body) } : body
      return carryOut(c, { ...input, body: named } as Input<unknown, { dryRun: boolean }>, parts, what)
    },
  }
}
