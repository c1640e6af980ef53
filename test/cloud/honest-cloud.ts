import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { type Context, Hono } from 'hono'
import { CompactSign } from 'jose'
import * as z from 'zod'
import { documentTypes, joinStatePayload } from '../../agent/cloud/contract/documents.ts'
import { failures, typeOfFailure } from '../../agent/cloud/contract/failures.ts'
import { claim as claimSchema, renewal as renewalSchema } from '../../agent/cloud/contract/registration.ts'
import { trustPath } from '../../agent/cloud/transport.ts'
import { hashOf, Proofs, Refusal } from './proofs.ts'
import { type Registered, Registry } from './registry.ts'

const statusSchema = z.looseObject({ sequence: z.int(), generatedAt: z.string(), region: z.record(z.string(), z.unknown()) })

/** Life of a credential, in seconds. */
const lifeSeconds = 3_600

/**
 * The other side of the contract: a small cloud that keeps it, in memory. Tests drive the registry as people at the cloud would.
 * @param now its clock, in Unix milliseconds
 */
export class HonestCloud {
  readonly origin: string
  readonly registry = new Registry()
  readonly app = new Hono()
  readonly #now: () => number
  readonly #proofs: Proofs
  #keys: { privateKey: KeyObject; publicKey: KeyObject } = generateKeyPairSync('ed25519')
  /** What it has published about its trust, oldest first, and whether it gives the last one out with each answer to a status. */
  readonly documents: string[] = []
  announces = false

  constructor(origin: string, now: () => number) {
    this.origin = origin
    this.#now = now
    this.#proofs = new Proofs(origin)
    this.app.post('/v1/regions', (c) => this.#claim(c))
    this.app.post('/v1/regions/:id/credential', (c) => this.#renew(c))
    this.app.put('/v1/regions/:id/status', (c) => this.#whole(c))
    this.app.patch('/v1/regions/:id/status', (c) => this.#patch(c))
    this.app.delete('/v1/regions/:id', (c) => this.#leave(c))
    this.app.get(trustPath, (c) =>
      this.documents.length === 0 ? c.notFound() : c.body(this.documents.join('\n'), 200, { 'content-type': 'application/jose' }),
    )
    this.app.onError((error, c) => this.#problem(error, c))
  }

  /** The public key with which it signs, as PEM. */
  get key(): string {
    return this.#keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }

  /** Publishes by what it is trusted from now on. A new key counts at once, and only those who take the document know it. */
  async publish({ anchors, newKey = false }: { anchors: string[]; newKey?: boolean }): Promise<string> {
    const keys = newKey ? generateKeyPairSync('ed25519') : this.#keys
    const sequence = this.documents.length + 1
    const payload = { iss: this.origin, iat: Math.floor(this.#now() / 1000), sequence, anchors, keys: [jwkOf(keys.publicKey)] }
    const document = await this.#sign(documentTypes.trust, payload)
    this.documents.push(document)
    this.#keys = keys
    return document
  }

  async #claim(c: Context): Promise<Response> {
    const claim = claimSchema.parse(await c.req.json())
    const over = claim.token && Buffer.from(claim.token.sha256, 'hex').toString('base64url')
    const thumbprint = await this.#proven(c, over)
    const region = this.registry.claim(claim, thumbprint, this.#now())
    if (region.state === 'awaiting') return c.json({ state: 'awaiting-approval', id: region.id, retryAfter: 1, now: this.#now() }, 202)
    this.registry.get(region.id, thumbprint)
    // A claim that is repeated before its answer was used gets the same answer.
    return c.json(await this.#ready(region, region.last && !region.isUsed ? 'again' : 'new'))
  }

  async #renew(c: Context): Promise<Response> {
    const { joinState } = renewalSchema.parse(await c.req.json())
    const region = this.registry.get(c.req.param('id') ?? '', await this.#proven(c))
    const { sequence } = joinStatePayload.parse(JSON.parse(Buffer.from(joinState.split('.')[1] ?? '', 'base64url').toString()))
    return c.json(await this.#ready(region, this.registry.presented(region, sequence)))
  }

  async #leave(c: Context): Promise<Response> {
    const region = this.registry.get(c.req.param('id') ?? '', await this.#proven(c))
    region.state = 'deregistered'
    return c.body(null, 204)
  }

  async #whole(c: Context): Promise<Response> {
    const region = await this.#authenticated(c)
    const status = statusSchema.parse(await jsonOf(c))
    region.status = status
    return c.json(this.#acknowledged(region))
  }

  async #patch(c: Context): Promise<Response> {
    const region = await this.#authenticated(c)
    const patch = await jsonOf(c)
    if (c.req.header('if-match') !== `"${region.status?.sequence}"`) throw new Refusal('out-of-step')
    region.status = statusSchema.parse(merged(region.status, patch))
    return c.json(this.#acknowledged(region))
  }

  #acknowledged({ status }: Registered): unknown {
    const trust = this.announces ? this.documents.at(-1) : undefined
    return { acknowledged: status?.sequence, now: this.#now(), ...(trust !== undefined && { trust }) }
  }

  /** The region that a credential belongs to. @throws Refusal */
  async #authenticated(c: Context): Promise<Registered> {
    const credential = /^DPoP (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    const region = this.registry.get(c.req.param('id') ?? '', await this.#proven(c, hashOf(credential)))
    const { last } = region
    if (last === undefined || last.credential !== credential || last.expiresAt <= this.#now()) throw new Refusal('credential-expired')
    region.isUsed = true
    return region
  }

  #proven(c: Context, over?: string): Promise<string> {
    const { method, path } = c.req
    return this.#proofs.verify(c.req.header('dpop') ?? '', { method, path, now: this.#now(), over })
  }

  async #ready(region: Registered, how: 'new' | 'again'): Promise<unknown> {
    const now = this.#now()
    if (how === 'new' || region.last === undefined) {
      region.sequence++
      region.isUsed = false
      region.last = {
        joinState: await this.#sign(documentTypes.joinState, {
          iss: this.origin,
          sub: region.id,
          jkt: region.thumbprint,
          sequence: region.sequence,
          iat: Math.floor(now / 1000),
        }),
        credential: randomBytes(16).toString('base64url'),
        expiresAt: now + lifeSeconds * 1000,
      }
    }
    const { joinState, credential, expiresAt } = region.last
    return {
      state: 'ready',
      id: region.id,
      credential: { token: credential, expiresIn: Math.max(60, Math.floor((expiresAt - now) / 1000)) },
      joinState,
      keys: [jwkOf(this.#keys.publicKey)],
      now,
    }
  }

  #sign(typ: string, payload: object): Promise<string> {
    return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', typ }).sign(this.#keys.privateKey)
  }

  #problem(error: Error, c: Context): Response {
    if (!(error instanceof Refusal)) return c.json({ type: 'about:blank', status: 400, detail: error.message.slice(0, 200) }, 400)
    const { status, message } = failures[error.failure]
    const body = { type: typeOfFailure(error.failure), title: message, status, detail: error.message, now: this.#now() }
    return c.body(JSON.stringify(body), status, { 'content-type': 'application/problem+json' })
  }
}

function jwkOf(key: KeyObject): { kty: string; crv?: string; x?: string } {
  const { crv, x } = key.export({ format: 'jwk' })
  return { kty: 'OKP', ...(crv !== undefined && { crv }), ...(x !== undefined && { x }) }
}

async function jsonOf(c: Context): Promise<unknown> {
  const bytes = Buffer.from(await c.req.arrayBuffer())
  return JSON.parse(
    (c.req.header('content-encoding') === 'gzip' ? gunzipSync(bytes, { maxOutputLength: 4 * 2 ** 20 }) : bytes).toString('utf8'),
  )
}

/** What a merge patch makes of a document (RFC 7396). */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = merged(result[name], value)
  }
  return result
}
