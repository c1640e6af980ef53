import { type Bucket, BucketFault } from '../../bucket/index.ts'
import { type MadeRegionFile, type Place, PlaceFault } from './place.ts'

/** What a list of a bucket has at most. */
const mostListed = 1_000

/**
 * A bucket, in the folder `regions/<id>/`: each file under its time, and the last one as `latest.json` too.
 * @param open opens the bucket, with the keys of now
 * @param keep how many files stay
 */
export function bucketPlace(open: () => Promise<Bucket>, { keep, warn }: { keep: number; warn: (message: string) => void }): Place {
  return {
    name: 'bucket',
    waits: () => undefined,
    pauseMs: () => 0,
    async write(file, signal, isFirst = false) {
      const folder = `regions/${file.region}`
      let bucket: Bucket
      try {
        bucket = await open()
        if (isFirst) await setAside(bucket, `${folder}/latest.json`, `${folder}/${beforeName(file)}`, signal)
        // A store shows an object whole or not at all. The dated one comes first: `latest.json` may be replaced, it may not.
        await bucket.put(`${folder}/${datedName(file)}`, file.bytes, signal)
        await bucket.put(`${folder}/latest.json`, file.bytes, signal)
      } catch (error) {
        throw faultOf(error)
      }
      try {
        await removeOld(bucket, `${folder}/${namesOf(file)}`, keep, signal)
      } catch (error) {
        signal.throwIfAborted()
        // The new one is safe. That old ones stay is the price of a key that may not delete, which some want.
        warn(faultOf(error).message)
      }
    },
  }
}

/** What is there gets another name as well, which it keeps: the dated files go. A key that may not read it leaves it at that. */
async function setAside(bucket: Bucket, key: string, aside: string, signal: AbortSignal): Promise<void> {
  try {
    await bucket.put(aside, await bucket.get(key, signal), signal)
  } catch (error) {
    if (!(error instanceof BucketFault && ['NoSuchKey', 'MayNotRead', 'AccessDenied'].includes(error.code))) throw error
  }
}

function beforeName(file: MadeRegionFile): string {
  return `before-${datedName(file)}`
}

function namesOf({ region }: MadeRegionFile): string {
  return `skerry-region-${region}-`
}

/** `skerry-region-harbour-1-20260131T120000Z.json`: in the order of their names, they are in the order of time. */
function datedName(file: MadeRegionFile): string {
  return `${namesOf(file)}${file.createdAt.slice(0, 19).replaceAll(/[-:]/g, '')}Z.json`
}

async function removeOld(bucket: Bucket, prefix: string, keep: number, signal: AbortSignal): Promise<void> {
  const { objects } = await bucket.list(prefix, { max: mostListed }, signal)
  const dated = objects.map(({ key }) => key).filter((key) => /^\d{8}T\d{6}Z\.json$/.test(key.slice(prefix.length)))
  for (const key of dated.sort().slice(0, -keep)) await bucket.delete(key, signal)
}

/** @throws any other error */
function faultOf(error: unknown): PlaceFault {
  if (!(error instanceof BucketFault)) throw error
  const { message, action } = error
  return new PlaceFault(`${message} ${action}`, { cause: error })
}
