import canonicalize from 'canonicalize'
import * as z from 'zod'
import type { Target } from '../resources/kind.ts'
import type { Action, ActionRequest, Actions } from './actions/action.ts'
import { createPasswordMint, type DecisionParts } from './deciding/decision.ts'
import type { Journal } from './journal.ts'
import type { Requests } from './own-request.ts'

/** @param parts every decision is made with these, as one about a request from outside is */
export function createRequests({ actions, ...parts }: DecisionParts & { actions: Actions; journal: Pick<Journal, 'accept'> }): Requests {
  return {
    async accept({ operationId, target, params = {}, query = {}, body: given, requestedBy, key }) {
      const { name, request } = requestOf(actions, target, operationId)
      const read = z.strictObject(request.query ?? {}).parse(query)
      const parsed = isAsGiven(request) ? given : (request.body?.parse(given) as unknown)
      const body = request.normalize ? request.normalize(parsed, target) : parsed
      const asking = { target, params, guard: () => {}, query: read, body, passwordAt: createPasswordMint() }
      const asked = request.prepare ? await request.prepare(parts, asking) : asking
      return parts.journal.accept({
        target,
        requestedBy,
        requestId: key,
        idempotencyKey: key,
        canonical: canonicalize({ operationId, target, params, query, body: named(request, body) ?? null }) ?? '',
        decide() {
          const proposed = request.decide(parts, asked)
          return proposed && { action: name, target, tryOut: [], ...proposed }
        },
      })
    },
  }
}

/** A merge patch is merged first, and a file was read by whoever has it. */
function isAsGiven({ patch, file }: ActionRequest): boolean {
  return patch !== undefined || file !== undefined
}

function named({ file }: ActionRequest, body: unknown): unknown {
  return file ? { digest: file.digestOf(body) } : body
}

function requestOf(actions: Actions, { kind }: Target, operationId: string): { name: string; request: ActionRequest } {
  const ofKind = actions[kind] as readonly Action[]
  for (const { name, requests } of ofKind) {
    const request = requests.find((each) => each.operationId === operationId)
    if (request) return { name, request }
  }
  throw new TypeError(`no action on a ${kind} has the request ${operationId}`)
}
