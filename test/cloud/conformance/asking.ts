import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { importJWK, type JWK, SignJWT } from 'jose'
import { instant } from '../../../agent/cloud/contract/documents.ts'
import { type Endpoint, pathAt } from '../../../agent/cloud/contract/endpoints.ts'
import { type FailureName, failureOfType } from '../../../agent/cloud/contract/failures.ts'
import { mostAskedMs } from '../../../agent/cloud/pause.ts'
import type { Received, Transport } from '../../../agent/cloud/transport.ts'
import { type PrivateKey, thumbprintOf } from '../../../shared/signing/key.ts'

/** What a proof says instead of what is right. `signer`: the key that signs in place of the one in the header. Null leaves a claim out. */
export type Forged = {
  htm?: string
  htu?: string
  /** Seconds to add to the time of the cloud. */
  lateBy?: number
  iat?: number
  jti?: string
  ath?: string | null
  typ?: string
  /** No signature, and `none` for its algorithm. */
  isUnsigned?: true
  signer?: PrivateKey
}

/** A request to the cloud that is tried. */
export type Question = {
  endpoint: Endpoint
  key: PrivateKey
  region?: string
  body?: object
  credential?: string
  ifMatch?: number
  isPacked?: boolean
  forged?: Forged
}

/** What the cloud has answered. `failure`: the class of a refusal, if it has one. */
export type Answer = { code: number; body: Record<string, unknown>; failure: FailureName | undefined; text: string }

/** How often a cloud that asks for patience is asked again, for how long at most, and how long after an answer that does not say when. */
const patience = { times: 5, maxSeconds: 60, unsaidSeconds: 0.1 }

/**
 * Asks the cloud as a region would, or otherwise where that is told, and notes what is wrong with any answer. It takes answers as they are: what is
 * wrong with one counts where it belongs, and nowhere else.
 */
export class Asking {
  readonly url: string
  readonly transport: Transport
  /** How far the clock of the cloud is ahead, as it has told, in milliseconds. */
  aheadMs = 0
  /** What is wrong with answers, whatever was asked. */
  readonly notes = { json: new Set<string>(), shape: new Set<string>(), problem: new Set<string>(), patience: new Set<string>() }
  /** How often the cloud has asked for patience as agreed. */
  delays = 0
  /** Whether the cloud has ever answered. */
  isAnswered = false

  constructor(url: string, transport: Transport) {
    this.url = url
    this.transport = transport
  }

  /** @throws CloudFault if there is no answer */
  async ask(question: Question): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const received = await this.#send(question)
      this.isAnswered = true
      const seconds = this.#delayOf(question.endpoint, received)
      const isLater = seconds !== undefined && seconds <= patience.maxSeconds
      if (!isLater || attempt === patience.times) return this.#read(question.endpoint, received)
      await sleep(seconds * 1000)
    }
  }

  /** For how many seconds the cloud wants to be left alone; undefined if it does not. */
  #delayOf({ method, path }: Endpoint, { status, headers }: Received): number | undefined {
    if (status !== 429 && status !== 503) return undefined
    const header = headers['retry-after'] ?? 'missing'
    const isAgreed = /^\d{1,4}$/.test(header) && Number(header) * 1000 <= mostAskedMs
    if (isAgreed) this.delays++
    else this.notes.patience.add(`${method} ${path}, answered ${status}: Retry-After is ${header.slice(0, 60)}`)
    return isAgreed ? Number(header) : patience.unsaidSeconds
  }

  async #send({ endpoint, key, region = '', body, credential, ifMatch, isPacked, forged = {} }: Question): Promise<Received> {
    const { method, request } = endpoint
    const path = pathAt(endpoint, region)
    const ath = credential === undefined ? undefined : createHash('sha256').update(credential).digest('base64url')
    const text = body && JSON.stringify(body)
    const headers = {
      dpop: await this.#proof(key, { htm: method, htu: `${this.url}${path}`, ...(ath !== undefined && { ath }), ...forged }),
      ...(credential !== undefined && { authorization: `DPoP ${credential}` }),
      ...(request && { 'content-type': request.mediaType }),
      ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
      ...(isPacked && { 'content-encoding': 'gzip' }),
    }
    const sent = { method, path, headers, body: isPacked && text !== undefined ? gzipSync(text) : text }
    return this.transport.send(sent, new AbortController().signal)
  }

  async #proof(key: PrivateKey, { signer = key, typ = 'dpop+jwt', lateBy = 0, isUnsigned, ...said }: Forged): Promise<string> {
    const { kty, crv, x } = key
    const iat = Math.floor((Date.now() + this.aheadMs) / 1000) + lateBy
    const claims = Object.entries({ jti: randomBytes(6).toString('base64url'), iat, ...said }).filter(([, value]) => value !== null)
    if (isUnsigned) return unsigned({ typ, alg: 'none', jwk: { kty, crv, x } }, Object.fromEntries(claims))
    const proof = new SignJWT(Object.fromEntries(claims)).setProtectedHeader({ typ, alg: 'EdDSA', jwk: { kty, crv, x } })
    return proof.sign(await importJWK(signer as JWK, 'EdDSA'))
  }

  #read(endpoint: Endpoint, { status, headers, body }: Received): Answer {
    const where = `${endpoint.method} ${endpoint.path}, answered ${status}`
    const parsed = recordOf(body)
    // A cloud that has not understood, or has a fault of its own, refuses nothing.
    const isRefusal = status >= 300 && status !== 400 && status < 500
    if (status < 300) this.#noteShape(endpoint, where, status, parsed)
    if (status !== 204 || body !== '') {
      const type = headers['content-type'] ?? 'no content type'
      if (parsed === undefined) this.notes.json.add(`${where}: ${body.slice(0, 60)} is no JSON object`)
      else if (!instant.safeParse(parsed.now).success) this.notes.json.add(`${where}: now is ${JSON.stringify(parsed.now)}`)
      else this.aheadMs = Number(parsed.now) - Date.now()
      if (status < 300 && !/^application\/json\b/.test(type)) this.notes.json.add(`${where}: its content type is ${type}`)
      if (isRefusal && !/^application\/problem\+json\b/.test(type)) this.notes.problem.add(`${where}: its content type is ${type}`)
    }
    const failure = status >= 300 ? failureOfType(parsed?.type) : undefined
    if (isRefusal && failure === undefined) this.notes.problem.add(`${where}: its type is ${JSON.stringify(parsed?.type)}`)
    return { code: status, body: parsed ?? {}, failure, text: failure ?? `${status} ${body.slice(0, 200)}`.trim() }
  }

  /** That `now` is missing is noted elsewhere. */
  #noteShape(endpoint: Endpoint, where: string, status: number, parsed: unknown): void {
    const answer = endpoint.answers[status]
    if (answer === undefined) this.notes.shape.add(`${where}, not ${Object.keys(endpoint.answers).join(' or ')}`)
    const issues = answer?.schema?.safeParse(parsed ?? {}).error?.issues ?? []
    // No region that this script makes tells of an operation.
    const known = (parsed as { ledger?: { known?: unknown } } | undefined)?.ledger?.known
    if (Number(known) > 0) this.notes.shape.add(`${where}: /ledger/known: ${known}, of a region that has told of no operation`)
    for (const { path, message } of issues) if (path[0] !== 'now') this.notes.shape.add(`${where}: /${path.join('/')}: ${message}`)
  }
}

/** A key that nobody else has, with its thumbprint. */
export type Key = { key: PrivateKey; thumbprint: string }

/** A key with its thumbprint. */
export async function withThumbprint(key: PrivateKey): Promise<Key> {
  return { key, thumbprint: await thumbprintOf(key) }
}

function unsigned(...parts: [header: object, claims: object]): string {
  return `${parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
}

function recordOf(body: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
