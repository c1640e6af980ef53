import * as z from 'zod'
import { type ApiParts, createApi } from '../../../agent/api/app.ts'
import type { AuditRecord } from '../../../agent/api/audit.ts'
import {
  checkPreconditions,
  etag,
  type Identity,
  json,
  nextLink,
  pageOf,
  pageQuery,
  type Route,
  route,
  type Scope,
} from '../../../agent/api/http.ts'
import { limitsConfig } from '../../../agent/api/limits.ts'
import { scopes } from '../../../agent/api/resources.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { createLog, type Log } from '../../../shared/log.ts'

type Line = Record<string, unknown>

/** A log whose lines are kept, parsed, and can be awaited by their message. */
export function createKeptLog(): { log: Log; lines: Line[]; seen(message: string, count?: number): Promise<void> } {
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  const write = (line: string) => {
    lines.push(JSON.parse(line))
    for (const check of waiting) check()
  }
  return {
    lines,
    log: createLog({ level: 'debug', name: 'test', destination: { write } }),
    seen: (message, count = 1) =>
      new Promise((resolve) => {
        const check = () => {
          if (lines.filter(({ msg }) => msg === message).length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}

const boat = z.strictObject({
  length: z.number().min(1).max(400),
  name: z.string().min(1).max(40).optional(),
  crew: z.array(z.strictObject({ name: z.string(), role: z.enum(['master', 'mate']) })).default([]),
})

const harbour = { harbour: z.string().regex(/^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes') }
const boatSchema = z.strictObject({ id: z.string(), length: z.number() }).meta({ id: 'Boat' })

/** Routes that do as the agent's do, on a map in place of a cluster: what the machinery does with them is what is tested. */
export function createHarbour() {
  const boats = new Map<string, { length: number; seen: number }>([['tern', { length: 9, seen: 1 }]])
  let writes = 0
  const routes: Route[] = [
    route({
      method: 'GET',
      path: '/harbours/{harbour}/boats',
      operationId: 'listBoats',
      tag: 'Boats',
      summary: 'The boats of a harbour',
      scope: 'region:read',
      params: z.strictObject(harbour),
      query: z.strictObject({ ...pageQuery, kind: z.enum(['sail', 'motor']).optional() }),
      responses: () => ({
        200: { description: 'Boats by name', schema: z.strictObject({ items: z.array(boatSchema) }), headers: { Link: 'The next page' } },
      }),
      handle(c, { query }) {
        const sorted = [...boats.keys()].sort()
        const page = pageOf(sorted, (id) => id, query, 'boats')
        const items = page.items.map((id) => ({ id, length: boats.get(id)?.length }))
        return json(c, 200, { items }, page.next === undefined ? {} : { link: nextLink(c, page.next) })
      },
    }),
    route({
      method: 'GET',
      path: '/harbours/{harbour}/boats/{boat}',
      operationId: 'getBoat',
      tag: 'Boats',
      summary: 'One boat',
      scope: 'region:read',
      params: z.strictObject({ ...harbour, boat: z.string().max(40) }),
      responses: () => ({ 200: { description: 'The boat', schema: boatSchema } }),
      handle(c, { params }) {
        const found = boats.get(params.boat)
        if (found === undefined) throw new Problem('not-found', 'There is no such boat.')
        const body = Buffer.from(JSON.stringify({ id: params.boat, length: found.length }))
        return json(c, 200, body, { etag: etag(String(found.length), String(found.seen)) })
      },
    }),
    route({
      method: 'PUT',
      path: '/harbours/{harbour}/boats/{boat}',
      operationId: 'putBoat',
      tag: 'Boats',
      summary: 'Takes a boat in',
      scope: 'projects:write',
      params: z.strictObject({ ...harbour, boat: z.string().max(40) }),
      query: z.strictObject({ dryRun: z.stringbool().default(false) }),
      body: boat,
      responses: () => ({
        202: { description: 'Accepted', schema: z.strictObject({ operation: z.string(), waited: z.number(), key: z.string() }) },
      }),
      handle(c, { params, body, waitSeconds, idempotencyKey }) {
        const present = boats.get(params.boat)
        checkPreconditions(c, present && etag(String(present.length), String(present.seen)))
        writes++
        boats.set(params.boat, { length: body.length, seen: writes })
        c.set('operation', `op-${writes}`)
        return json(c, 202, { operation: `op-${writes}`, waited: waitSeconds ?? 0, key: idempotencyKey ?? '' })
      },
    }),
    route({
      method: 'PATCH',
      path: '/harbours/{harbour}/boats/{boat}',
      operationId: 'patchBoat',
      tag: 'Boats',
      summary: 'Changes a boat',
      scope: 'projects:write',
      params: z.strictObject({ ...harbour, boat: z.string().max(40) }),
      patch: boat,
      responses: () => ({ 200: { description: 'The patch', schema: z.record(z.string(), z.unknown()) } }),
      handle: (c, { body }) => json(c, 200, body),
    }),
    route({
      method: 'POST',
      path: '/harbours/{harbour}/actions/close',
      operationId: 'closeHarbour',
      tag: 'Harbours',
      summary: 'Closes a harbour',
      scope: 'projects:write',
      params: z.strictObject(harbour),
      body: z.strictObject({ reason: z.string() }).optional(),
      responses: () => ({ 200: { description: 'Closed', schema: z.strictObject({ reason: z.string() }) } }),
      handle: (c, { body }) => json(c, 200, { reason: body?.reason ?? 'none' }),
    }),
    route({
      method: 'DELETE',
      path: '/harbours/{harbour}',
      operationId: 'deleteHarbour',
      tag: 'Harbours',
      summary: 'Fails in a way nobody designed',
      scope: 'projects:write',
      params: z.strictObject(harbour),
      responses: () => ({ 200: { description: 'Never' } }),
      handle() {
        throw new TypeError('cannot read properties of undefined (reading "secret-of-the-house")')
      },
    }),
  ]
  return { routes, boats, writes: () => writes }
}

type Given = {
  clock?: Clock
  limits?: Record<string, unknown>
  scopes?: readonly Scope[]
  identity?: () => Identity
  authentication?: ApiParts['authentication']
  routes?: readonly Route[]
}

/** The API over the harbour, with everyone let in as `pilot` unless `identity` says otherwise. */
export function createTestApi({
  clock = systemClock,
  limits = {},
  scopes: granted = scopes,
  identity,
  authentication,
  routes,
}: Given = {}) {
  const harbourOfTest = createHarbour()
  const records: AuditRecord[] = []
  const observed: { method: string; route: string; status: number; problem?: string }[] = []
  const { log, lines } = createKeptLog()
  const app = createApi(limitsConfig.parse({ requestsPerSecond: 1e6, burst: 1e6, ...limits }), {
    routes: routes ?? harbourOfTest.routes,
    authentication: authentication ?? { identify: async () => identity?.() ?? { name: 'pilot', scopes: new Set(granted) } },
    audit: { record: (record) => void records.push(record) },
    observe: ({ seconds: _, ...request }) => void observed.push(request),
    version: '0.0.0',
    clock,
    log,
  })
  return { app, ...harbourOfTest, records, observed, lines, log }
}
