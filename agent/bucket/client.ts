import { createHash } from 'node:crypto'
import type { Clock } from '../../shared/clock.ts'
import { addressOf, encodeKey, keyIn, placeFaults, regionOf } from './address.ts'
import { type Listed, listedIn, rootOf } from './answer.ts'
import { answerFault, type Intent, typeOf } from './answer-fault.ts'
import { type Answer, createExchange, type Route, type Sent } from './exchange.ts'
import { BucketFault } from './fault.ts'
import type { BucketPlace } from './place.ts'
import { authorization, queryString, sha256, signedDate } from './signature.ts'

/** What a bucket is opened with. */
export type BucketTools = Route & {
  clock: Pick<Clock, 'now'>
  /** The longest object that is read; 64 MiB by default. */
  maxBytes?: number | undefined
}

/** Of an object in a bucket with versions: which one, and whether it stands for a deletion. */
export type Version = { version?: string | undefined }

/**
 * A folder of a bucket. Keys are below its base path. Each request rejects with a BucketFault, or with the signal's reason; it is sent once, and has
 * a deadline of its own.
 */
export type Bucket = {
  /** Resolves if the bucket is there. */
  head(signal: AbortSignal): Promise<void>
  /** The first objects whose keys begin so, in the order of their keys, and whether there are more. @param max at most 1000 */
  list(prefix: string, options: { max: number }, signal: AbortSignal): Promise<{ objects: Listed[]; isTruncated: boolean }>
  put(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<Version>
  /** The bytes of an object. @throws BucketFault `NoSuchKey` if there is none */
  get(key: string, signal: AbortSignal): Promise<Buffer>
  /** Resolves too if there is no such object. Of a bucket with versions, the version alone if there is one. */
  delete(key: string, signal: AbortSignal, options?: Version): Promise<Version>
}

const longestObject = 64 << 20
/** A thousand keys of 1 KiB, encoded. */
const longestList = 4 << 20
const longestRefusal = 64 << 10

/**
 * Opens a bucket; nothing is sent yet.
 * @throws BucketFault if the place has a fault that needs no request
 */
export function openBucket(place: BucketPlace, tools: BucketTools): Bucket {
  const [fault] = placeFaults(place, tools.rules)
  if (fault !== undefined) throw fault
  return new S3Bucket(place, tools)
}

type Ask = Pick<Sent, 'method' | 'body'> & {
  intent: Intent
  key?: string
  query?: [string, string][]
  maxBytes?: number
  signal: AbortSignal
}

class S3Bucket implements Bucket {
  readonly #place: BucketPlace
  readonly #tools: BucketTools
  readonly #address
  readonly #exchange
  readonly #region

  constructor(place: BucketPlace, tools: BucketTools) {
    this.#place = place
    this.#tools = tools
    this.#address = addressOf(place)
    this.#exchange = createExchange(this.#address, tools)
    this.#region = regionOf(place)
  }

  async head(signal: AbortSignal): Promise<void> {
    await this.#ask({ intent: 'look', method: 'HEAD', signal })
  }

  async list(prefix: string, { max }: { max: number }, signal: AbortSignal) {
    const whole = keyIn(this.#place, prefix)
    const query: [string, string][] = [
      ['encoding-type', 'url'],
      ['list-type', '2'],
      ['max-keys', String(max)],
      ['prefix', whole],
    ]
    const answer = await this.#ask({ intent: 'list', method: 'GET', query, maxBytes: longestList, signal })
    return this.#listIn(answer, whole, max)
  }

  async put(key: string, body: Uint8Array, signal: AbortSignal): Promise<Version> {
    return versionIn(await this.#ask({ intent: 'write', method: 'PUT', key, body, signal }))
  }

  async get(key: string, signal: AbortSignal): Promise<Buffer> {
    const { maxBytes = longestObject } = this.#tools
    return (await this.#ask({ intent: 'read', method: 'GET', key, maxBytes, signal })).body
  }

  async delete(key: string, signal: AbortSignal, { version }: Version = {}): Promise<Version> {
    const query: [string, string][] = version === undefined ? [] : [['versionId', version]]
    try {
      return versionIn(await this.#ask({ intent: 'delete', method: 'DELETE', key, query, signal }))
    } catch (error) {
      // S3 says nothing of it, Swift does.
      if (error instanceof BucketFault && error.code === 'NoSuchKey') return {}
      throw error
    }
  }

  async #ask({ intent, method, body, key, query = [], maxBytes = longestRefusal, signal }: Ask): Promise<Answer> {
    const at = this.#tools.clock.now()
    const bucket = this.#address.path
    const path = key === undefined ? bucket || '/' : `${bucket}/${encodeKey(keyIn(this.#place, key))}`
    const headers = this.#signed(at, { method, path, query, body })
    const asked = query.length === 0 ? path : `${path}?${queryString(query)}`
    const answer = await this.#exchange({ method, target: asked, headers, body, maxBytes }, signal)
    if (answer.status >= 200 && answer.status <= 299) return answer
    throw answerFault(answer, { intent, place: this.#place, address: this.#address, region: this.#region, at })
  }

  #signed(
    at: number,
    { method, path, query, body }: { method: string; path: string; query: [string, string][]; body?: Uint8Array | undefined },
  ) {
    const headers: Record<string, string> = {
      host: this.#address.authority,
      'x-amz-content-sha256': sha256(body ?? ''),
      'x-amz-date': signedDate(at),
      ...(body !== undefined && {
        'content-length': String(body.byteLength),
        // A bucket with Object Lock takes nothing without it.
        'content-md5': createHash('md5').update(body).digest('base64'),
      }),
    }
    const signer = { ...this.#place, region: this.#region }
    return { ...headers, authorization: authorization({ method, path, query, headers }, signer) }
  }

  #listIn({ body, headers }: Answer, prefix: string, max: number) {
    const { authority } = this.#address
    const root = rootOf(body)
    if (root?.name === 'ListAllMyBucketsResult') {
      throw new BucketFault(
        'WrongAddressing',
        `${authority} lists its buckets instead: it looks for the bucket in the path, not before its name.`,
        {
          action: 'Set pathStyle to true.',
        },
      )
    }
    if (root === undefined && body.subarray(0, 5).toString() === '<?xml')
      throw new BucketFault('AnswerCut', `The list of ${authority} is cut, or damaged.`)
    if (root?.name !== 'ListBucketResult') {
      throw new BucketFault('NotS3', `${authority} does not answer with a list of S3, but with ${typeOf(headers['content-type'])}.`)
    }
    let all: Listed[]
    try {
      all = listedIn(root)
    } catch (cause) {
      throw new BucketFault('NotS3', `${authority} answers with a list that is none of S3.`, { cause })
    }
    if (all.length > max || all.some(({ key }) => !key.startsWith(prefix)))
      throw new BucketFault('OtherBytes', `${authority} lists what was not asked for.`)
    const before = keyIn(this.#place, '').length
    const isTruncated = root.children.some(({ name, text }) => name === 'IsTruncated' && text.trim() === 'true')
    return { objects: all.map(({ key, bytes }) => ({ key: key.slice(before), bytes })), isTruncated }
  }
}

function versionIn({ headers }: Answer): Version {
  const version = [headers['x-amz-version-id']].flat()[0]
  return version === undefined || version === 'null' ? {} : { version }
}
