import canonicalize from 'canonicalize'
import * as z from 'zod'
import type { Target } from '../resources/kind.ts'
import type { Action, ActionRequest, Actions } from './actions/action.ts'
import { createPasswordMint, type DecisionParts } from './deciding/decision.ts'
import type { Journal } from './journal.ts'
import type { OwnRequest, Requests } from './own-request.ts'

/** Also says what a request would do. */
export type OwnRequests = Requests & {
  /** What a dry run of a request answers besides its steps. @throws TypeError when the request shows nothing */
  show(request: Omit<OwnRequest, 'requestedBy' | 'key'>): Promise<Record<string, unknown>>
}

/** @param parts every decision is made with these, as one about a request from outside is */
export function createRequests({ actions, ...parts }: DecisionParts & { actions: Actions; journal: Pick<Journal, 'accept'> }): OwnRequests {
  async function read({ operationId, target, params = {}, query = {}, body: given }: Omit<OwnRequest, 'requestedBy' | 'key'>) {
    const { name, request } = requestOf(actions, target, operationId)
    const parsed = isAsGiven(request) ? given : (request.body?.parse(given) as unknown)
    const body = request.normalize ? request.normalize(parsed, target) : parsed
    const known = z.strictObject(request.query ?? {}).parse(query)
    const asking = { target, params, guard: () => {}, query: known, body, passwordAt: createPasswordMint() }
    const asked = request.prepare ? await request.prepare(parts, asking) : asking
    const canonical = canonicalize({ operationId, target, params, query, body: named(request, body) ?? null }) ?? ''
    return { name, request, asked, canonical }
  }

  return {
    async accept({ requestedBy, key, ...given }) {
      const { name, request, asked, canonical } = await read(given)
      const { target } = given
      return parts.journal.accept({
        target,
        requestedBy,
        requestId: key,
        idempotencyKey: key,
        canonical,
        decide() {
          const proposed = request.decide(parts, asked)
          return proposed && { action: name, target, tryOut: [], ...proposed }
        },
      })
    },
    async show(given) {
      const { request, asked } = await read(given)
      if (!request.show) throw new TypeError(`${given.operationId} shows nothing`)
      const { plan: _, ...shown } = request.show.of(parts, asked)
      return shown
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
