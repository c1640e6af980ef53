import { randomUUID } from 'node:crypto'
import { addressOf, keyIn, placeFaults } from './address.ts'
import { type Bucket, type BucketTools, openBucket, type Version } from './client.ts'
import { BucketFault, type BucketFaultCode, type Finding } from './fault.ts'
import type { BucketPlace } from './place.ts'

/**
 * Tries a bucket as backups use it: looks whether it is there, lists it, writes a probe below its base path, reads it back, and deletes it. Each
 * thing that is wrong is one finding; none means that the bucket can be used. What makes the others pointless ends the trial; missing rights are
 * found all at once. The probe is removed whatever happens, also when the signal aborts; one that cannot be removed is named.
 * @throws the signal's reason, unless it is a deadline (`AbortSignal.timeout`): a store that answers too slowly for it is a finding
 */
export async function probeBucket(place: BucketPlace, tools: BucketTools, signal: AbortSignal): Promise<Finding[]> {
  const faults = placeFaults(place, tools.rules)
  const found = faults.length > 0 ? faults : await trial(place, tools, signal).catch((error) => [tooSlow(error, place)])
  const byCode = new Map(found.map((fault) => [fault.code, fault]))
  return [...byCode.values()].map((fault) => fault.finding())
}

/** @throws any other error */
function tooSlow(error: unknown, place: BucketPlace): BucketFault {
  if (!(error instanceof DOMException) || error.name !== 'TimeoutError') throw error
  return new BucketFault('TimedOut', `${addressOf(place).authority} answers, but too slowly for the trial to end in its time.`)
}

/** More is not read, nor waited for. */
const longestProbe = 64 << 10

async function trial(place: BucketPlace, tools: BucketTools, signal: AbortSignal): Promise<BucketFault[]> {
  let bucket: Bucket
  try {
    bucket = openBucket(place, { ...tools, maxBytes: longestProbe })
  } catch (error) {
    if (error instanceof BucketFault) return [error]
    throw error
  }
  const key = `.skerry-probe-${randomUUID()}`
  const looked = await faultOf(bucket.head(signal))
  // CrateDB finds the region in the same way where none is given.
  if (looked?.region !== undefined && place.region === undefined) return trial({ ...place, region: looked.region }, tools, signal)
  if (looked !== undefined && isPlain.has(looked.code)) return [await wrongAddressing(looked, place, tools, signal)]
  // The answer to HEAD has no body, so this one says why. Nothing begins with the probe's key yet, so it costs the store little.
  const listed = await faultOf(bucket.list(key, { max: 1 }, signal))
  if (listed !== undefined && listed.code !== 'MayNotList') return [listed]
  const rights = await new Trial(bucket, { key, path: keyIn(place, key), mayList: listed === undefined }).faults(signal)
  return listed === undefined ? rights : [listed, ...rights]
}

/** What a HEAD shows as well as any other request. */
const isPlain: ReadonlySet<BucketFaultCode> = new Set([
  'EndpointInside',
  'NameUnknown',
  'NameServerFailed',
  'ConnectionRefused',
  'Unreachable',
  'TimedOut',
  'ConnectionCut',
  'ProxyFailed',
  'TlsUntrusted',
  'TlsWrongName',
  'TlsExpired',
  'TlsNotYetValid',
  'TlsFailed',
  'WrongRegion',
])

/** Whether the store is there, and only the name with the bucket before it is unknown, or not in its certificate. */
async function wrongAddressing(fault: BucketFault, place: BucketPlace, tools: BucketTools, signal: AbortSignal): Promise<BucketFault> {
  const { isPathStyle, host, endpoint } = addressOf(place)
  if (isPathStyle || (fault.code !== 'NameUnknown' && fault.code !== 'TlsWrongName')) return fault
  const other = await faultOf(openBucket({ ...place, pathStyle: true }, tools).head(signal))
  if (other !== undefined && isPlain.has(other.code) && other.code !== 'WrongRegion') return fault
  const why = fault.code === 'NameUnknown' ? `${host} is not known` : `its certificate is not valid for ${host}`
  return new BucketFault('WrongAddressing', `${endpoint.host} answers, but ${why}: this store has its buckets in the path.`, {
    action: 'Set pathStyle to true, or give the store names and a certificate for its buckets.',
  })
}

/** Says that nothing was written, and that the same key can be tried on. */
const isRefusedWrite: ReadonlySet<BucketFaultCode> = new Set(['MayNotWrite', 'StoreFull', 'EntityTooLarge', 'ReadOnly', 'ObjectLocked'])

/** How long the removal of the probe may take once nobody waits for the result any more, in milliseconds. */
const removalMs = 5_000

/** Writes, reads and deletes one probe. */
class Trial {
  readonly #bucket: Bucket
  readonly #mayList: boolean
  readonly #key: string
  readonly #path: string
  readonly #found: BucketFault[] = []
  #mayBeThere = false

  /** @param path the key in the bucket, with the base path */
  constructor(bucket: Bucket, { key, path, mayList }: { key: string; path: string; mayList: boolean }) {
    this.#bucket = bucket
    this.#mayList = mayList
    this.#key = key
    this.#path = path
  }

  async faults(signal: AbortSignal): Promise<BucketFault[]> {
    const bytes = Buffer.from(`Skerry tries whether this bucket can be used: ${this.#key}\n`)
    try {
      await this.#run(bytes, signal)
    } finally {
      if (this.#mayBeThere && signal.aborted) await this.#bucket.delete(this.#key, AbortSignal.timeout(removalMs)).catch(() => {})
    }
    return this.#found
  }

  async #run(bytes: Buffer, signal: AbortSignal): Promise<void> {
    this.#mayBeThere = true
    let version: Version = {}
    const written = await faultOf(this.#bucket.put(this.#key, bytes, signal).then((given) => (version = given)))
    if (written !== undefined) this.#found.push(written)
    if (written !== undefined && isRefusedWrite.has(written.code)) {
      this.#mayBeThere = false
      return this.#tryRights(signal)
    }
    if (written === undefined) await this.#read(bytes, signal)
    await this.#remove(version, signal, written === undefined ? 'is' : 'may be')
  }

  async #read(bytes: Buffer, signal: AbortSignal): Promise<void> {
    let read: Buffer | undefined
    const fault = await faultOf(this.#bucket.get(this.#key, signal).then((given) => (read = given)))
    if (fault?.code === 'NoSuchKey') this.#found.push(new BucketFault('OtherBytes', 'The store does not have what it took a moment ago.'))
    else if (fault !== undefined) this.#found.push(fault)
    else if (read?.equals(bytes) === false)
      this.#found.push(new BucketFault('OtherBytes', `The store returns ${read.length} other bytes than the ${bytes.length} that it took.`))
  }

  async #remove({ version }: Version, signal: AbortSignal, verb: 'is' | 'may be'): Promise<void> {
    let marker: Version = {}
    const fault = await faultOf(this.#bucket.delete(this.#key, signal).then((given) => (marker = given)))
    if (fault !== undefined) {
      this.#found.push(this.#leftBehind(fault, verb))
      return
    }
    this.#mayBeThere = false
    if (version !== undefined) return this.#removeVersions([version, marker.version], signal)
    if (this.#found.length > 0) return
    const gone = await faultOf(this.#bucket.get(this.#key, signal))
    if (gone === undefined)
      this.#found.push(
        this.#leftBehind(
          new BucketFault('DeletionWithoutEffect', 'The store says that it has deleted the probe, and still returns it.'),
          'is',
        ),
      )
  }

  /** Where a bucket keeps versions, a deletion hides the object. Its right is proven by then; these are not needed for backups. */
  async #removeVersions(versions: (string | undefined)[], signal: AbortSignal): Promise<void> {
    for (const version of versions) if (version !== undefined) await faultOf(this.#bucket.delete(this.#key, signal, { version }))
  }

  /** What else is missing, tried on a key that does not exist. Without the right to list, S3 refuses to say that there is no such object. */
  async #tryRights(signal: AbortSignal): Promise<void> {
    const read = await faultOf(this.#bucket.get(this.#key, signal))
    if (read?.code === 'MayNotRead' && this.#mayList) this.#found.push(read)
    const removed = await faultOf(this.#bucket.delete(this.#key, signal))
    if (removed?.code === 'MayNotDelete') this.#found.push(removed)
  }

  #leftBehind({ code, message, action, cause }: BucketFault, verb: 'is' | 'may be'): BucketFault {
    return new BucketFault(code, `${message} The probe ${this.#path} ${verb} left behind.`, { action, cause })
  }
}

/** The fault of a request; undefined if it has none. Whatever else it rejects with is the caller's. */
async function faultOf(request: Promise<unknown>): Promise<BucketFault | undefined> {
  try {
    await request
    return undefined
  } catch (error) {
    if (error instanceof BucketFault) return error
    throw error
  }
}
