import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { documentTypes, type JoinStatePayload, joinStatePayload } from '../../agent/cloud/contract/documents.ts'
import { type Endpoint, endpoints } from '../../agent/cloud/contract/endpoints.ts'
import { regionFile } from '../../agent/cloud/contract/export.ts'
import { failures, typeOfFailure } from '../../agent/cloud/contract/failures.ts'
import { claim as claimSchema, renewal as renewalSchema } from '../../agent/cloud/contract/registration.ts'
import { type StatusAnswer, statusChange, wholeStatus } from '../../agent/cloud/contract/status.ts'
import { trustPath } from '../../agent/cloud/transport.ts'
import { readRegionFile } from '../../agent/region-file/reading.ts'
import type { Point } from './points.ts'
import { hashOf, Proofs, Refusal } from './proofs.ts'
import { type Registered, Registry } from './registry.ts'
import { Signatures } from './signatures.ts'

/** Seconds between two heartbeats of a region that was not asked for others, and how many of them it may miss. */
const usualHeartbeat = 60
const heartbeatsMissed = 3

/** The most bytes of the body of a request, unpacked: a region file may have as many. */
const maxBodyBytes = 64 * 2 ** 20

/** What a cloud tells regions besides, whenever it answers to a status. */
export type Besides = Pick<StatusAnswer, 'heartbeat' | 'resync' | 'call' | 'ledger' | 'name' | 'tags'>

/**
 * The other side of the contract: a small cloud that keeps it, in memory. Tests drive the registry as people at the cloud would. Its answers are
 * held against the schemas of the contract.
 */
export class HonestCloud {
  readonly origin: string
  readonly registry: Registry
  readonly signatures: Signatures
  readonly app = new Hono()
  /** Life of a credential, in seconds. */
  lifeSeconds = 3_600
  /** What each answer to a status says besides. */
  besides: Besides = {}
  /** Whether it gives the last trust document out with each answer to a status. */
  announces = false
  readonly #now: () => number
  readonly #proofs: Proofs
  readonly #without: Point | undefined

  /**
   * @param now its clock, in Unix milliseconds
   * @param without a point of the contract that it does not keep, to see who notices it
   * @param proofs verifies the proofs in another way
   */
  constructor(
    origin: string,
    now: () => number,
    { without, proofs = new Proofs(origin, without) }: { without?: Point; proofs?: Proofs } = {},
  ) {
    this.origin = origin
    this.registry = new Registry(origin, without)
    this.signatures = new Signatures(origin, now)
    this.#now = now
    this.#proofs = proofs
    this.#without = without
    this.app.post('/v1/regions', (c) => this.#claim(c))
    this.app.post('/v1/regions/:region/credential', (c) => this.#renew(c))
    this.app.put('/v1/regions/:region/status', (c) => this.#whole(c))
    this.app.patch('/v1/regions/:region/status', (c) => this.#change(c))
    this.app.put('/v1/regions/:region/export', (c) => this.#export(c))
    this.app.delete('/v1/regions/:region', (c) => this.#leave(c))
    this.app.get(trustPath, (c) => this.#trust(c))
    this.app.onError((error, c) => this.#problem(error, c))
  }

  /** The public key with which it signs, as PEM. */
  get key(): string {
    return this.signatures.keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  }

  /** What it has published about its trust, oldest first. */
  get documents(): string[] {
    return this.signatures.documents
  }

  /** Publishes by what it is trusted from now on. A new key counts at once, and only those who take the document know it. */
  publish(trust: { anchors: string[]; newKey?: boolean }): Promise<string> {
    return this.signatures.publish(trust)
  }

  /** Judged by when it was heard of, by the clock here: what a region writes about itself says nothing. */
  isAlive(id: string): boolean {
    const silentMs = this.#now() - (this.registry.records.regions[id]?.heardAt ?? Number.NEGATIVE_INFINITY)
    return silentMs <= (this.besides.heartbeat ?? usualHeartbeat) * 1000 * heartbeatsMissed
  }

  async #claim(c: Context): Promise<Response> {
    const claim = this.#read(claimSchema, await this.#body(c))
    const thumbprint = await this.#proven(c)
    const region = this.registry.claim(claim, thumbprint, this.#now())
    if (region.state === 'awaiting') {
      const answer = { state: 'awaiting-approval', id: region.id, retryAfter: 1, now: this.#now() }
      return this.#answer(c, endpoints.claim, 202, answer)
    }
    this.registry.get(region.id, thumbprint)
    // A claim that is repeated before its answer was used gets the same answer.
    return this.#answer(c, endpoints.claim, 200, await this.#ready(region, region.last && !region.isUsed ? 'again' : 'new'))
  }

  async #renew(c: Context): Promise<Response> {
    const { joinState } = this.#read(renewalSchema, await this.#body(c))
    const region = this.registry.get(regionOf(c), await this.#proven(c))
    const { sequence } = await this.#joinState(joinState, region)
    return this.#answer(c, endpoints.renew, 200, await this.#ready(region, this.registry.presented(region, sequence)))
  }

  async #leave(c: Context): Promise<Response> {
    const region = this.registry.get(regionOf(c), await this.#proven(c))
    if (this.#without !== 'Leaving') region.state = 'deregistered'
    return c.body(null, 204)
  }

  async #whole(c: Context): Promise<Response> {
    const region = await this.#authenticated(c)
    const status = this.#read(wholeStatus, await this.#body(c))
    const isOlder = status.sequence < (region.status?.sequence ?? 0)
    if (isOlder && this.#without === 'The whole status') throw new Refusal('out-of-step')
    region.status = status
    return this.#acknowledged(c, endpoints.whole, region)
  }

  async #change(c: Context): Promise<Response> {
    const region = await this.#authenticated(c)
    const before = region.status
    const patch = this.#read(statusChange, await this.#body(c))
    const isInStep = before !== undefined && c.req.header('if-match') === `"${before.sequence}"`
    if (!isInStep && this.#without !== 'Another status') throw new Refusal('out-of-step')
    if (patch.region === undefined && this.#without === 'A heartbeat') throw new Refusal('out-of-step')
    if (patch.region === undefined || this.#without !== 'A patch') region.status = this.#read(wholeStatus, merged(before, patch))
    return this.#acknowledged(c, endpoints.change, region)
  }

  async #export(c: Context): Promise<Response> {
    const region = await this.#authenticated(c)
    const bytes = await this.#bytes(c)
    const { digest } = regionFile.parse(JSON.parse(bytes.toString('utf8')))
    const read = this.#without === 'A damaged region file' ? undefined : await readRegionFile(bytes)
    if (read?.ok === false) throw new Refusal('export-refused', `${read.faults[0]?.path} ${read.faults[0]?.message}`)
    const isTheirs = read === undefined || (read.origin.by === 'key' && read.origin.thumbprint === region.thumbprint)
    if (!isTheirs) throw new Refusal('export-refused', 'it is not signed with the key of this region')
    region.file = { digest, bytes, at: this.#now() }
    const stored = this.#without === 'The region file' ? '0'.repeat(64) : digest
    return this.#answer(c, endpoints.export, 200, { stored, now: this.#without === 'JSON with your time' ? undefined : this.#now() })
  }

  #trust(c: Context): Response | Promise<Response> {
    if (this.documents.length === 0 || this.#without === 'The trust document') return c.notFound()
    return c.body(this.documents.join('\n'), 200, { 'content-type': 'application/jose' })
  }

  #acknowledged(c: Context, endpoint: Endpoint, { status }: Registered): Response {
    const now = this.#without === 'JSON with your time' ? undefined : this.#now()
    const trust = this.announces ? this.documents.at(-1) : undefined
    return this.#answer(c, endpoint, 200, { acknowledged: status?.sequence, now, ...this.besides, ...(trust !== undefined && { trust }) })
  }

  /** The region that a credential belongs to. @throws Refusal */
  async #authenticated(c: Context): Promise<Registered> {
    const credential = /^DPoP (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? ''
    const region = this.registry.get(regionOf(c), await this.#proven(c, hashOf(credential)))
    const { last } = region
    const holds = last !== undefined && last.credential === credential && last.expiresAt > this.#now()
    if (!holds && this.#without !== 'The credential') throw new Refusal('credential-expired')
    region.isUsed = true
    // Its life is judged by when it is heard, by the clock of the cloud.
    region.heardAt = this.#now()
    return region
  }

  #proven(c: Context, over?: string): Promise<string> {
    const { method, path } = c.req
    return this.#proofs.verify(c.req.header('dpop') ?? '', { method, path, now: this.#now(), over })
  }

  /** @throws Refusal `invalid-signature` if the cloud has not given out that join state to this region */
  async #joinState(document: string, region: Registered): Promise<JoinStatePayload> {
    if (this.#without === 'A forged state') {
      return joinStatePayload.parse(JSON.parse(Buffer.from(document.split('.')[1] ?? '', 'base64url').toString()))
    }
    const read = await this.signatures.read(documentTypes.joinState, document).catch(() => undefined)
    const { data } = joinStatePayload.safeParse(read)
    const isOurs = data?.sub === region.id && data.jkt === region.thumbprint
    if (!isOurs) throw new Refusal('invalid-signature', 'the join state is not one of this cloud for this region')
    return data
  }

  async #ready(region: Registered, how: 'new' | 'again'): Promise<unknown> {
    const now = this.#now()
    if (how === 'new' || region.last === undefined) {
      region.sequence++
      region.isUsed = false
      const iss = this.#without === 'The document' ? 'https://another.example.org' : this.origin
      const state = { iss, sub: region.id, jkt: region.thumbprint, sequence: region.sequence, iat: Math.floor(now / 1000) }
      region.last = {
        joinState: await this.signatures.sign(documentTypes.joinState, state),
        credential: randomBytes(16).toString('base64url'),
        expiresAt: now + this.lifeSeconds * 1000,
      }
    }
    // An answer that was lost may be given again a year later: its life begins again too.
    region.last.expiresAt = now + this.lifeSeconds * 1000
    const { joinState, credential } = region.last
    return {
      state: 'ready',
      id: region.id,
      credential: { token: credential, expiresIn: this.#without === 'The shape of answers' ? '1h' : this.lifeSeconds },
      joinState,
      keys: this.signatures.jwks,
      now,
    }
  }

  /** The body of a request. Large ones come compressed. */
  async #body(c: Context): Promise<unknown> {
    return JSON.parse((await this.#bytes(c)).toString('utf8'))
  }

  async #bytes(c: Context): Promise<Buffer> {
    const bytes = Buffer.from(await c.req.arrayBuffer())
    const isPacked = c.req.header('content-encoding') === 'gzip' && this.#without !== 'Compressed bodies'
    return isPacked ? gunzipSync(bytes, { maxOutputLength: maxBodyBytes }) : bytes
  }

  #read<T extends z.ZodObject>(schema: T, given: unknown): z.output<T> {
    return (this.#without === 'Unknown fields' ? schema.strict() : schema).parse(given) as z.output<T>
  }

  /** An answer as the contract has it: a cloud that errs here is not honest any more. */
  #answer(c: Context, endpoint: Endpoint, status: 200 | 202, body: unknown): Response {
    const wrong = this.#without === undefined ? endpoint.answers[status]?.schema?.safeParse(body).error : undefined
    if (wrong) throw new TypeError(`the honest cloud errs: ${z.prettifyError(wrong)}`)
    return c.json(body, status)
  }

  #problem(error: Error, c: Context): Response {
    if (error instanceof TypeError) return c.json({ type: 'about:blank', status: 500, detail: error.message, now: this.#now() }, 500)
    if (!(error instanceof Refusal)) {
      return c.json({ type: 'about:blank', status: 400, detail: error.message.slice(0, 200), now: this.#now() }, 400)
    }
    const { status, message } = failures[error.failure]
    const body = { type: typeOfFailure(error.failure), title: message, status, detail: error.message, now: this.#now() }
    const type = this.#without === 'Problem documents' ? 'text/plain' : 'application/problem+json'
    return c.body(JSON.stringify(body), status, { 'content-type': type })
  }
}

function regionOf(c: Context): string {
  return c.req.param('region') ?? ''
}

/** What a merge patch makes of a document (RFC 7396). */
export function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const isObject = typeof target === 'object' && target !== null && !Array.isArray(target)
  // A map, in which `__proto__` is a name as any other one.
  const result = new Map<string, unknown>(isObject ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name)
    else result.set(name, merged(result.get(name), value))
  }
  return Object.fromEntries(result)
}
