import { type Element, parseXml, textOf } from './xml.ts'

/** What a store says when it refuses: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. Each part may be missing. */
export type Refusal = {
  code: string
  message: string
  /** The region of the bucket. MinIO and Garage name theirs in every refusal. */
  region?: string | undefined
  /** Where the bucket is. */
  endpoint?: string | undefined
  /** Which bucket was understood. Ceph, MinIO and Swift write BucketName too, Amazon's redirects Bucket. */
  bucket?: string | undefined
  serverTime?: string | undefined
}

/** The refusal in a body; undefined if it is none of S3. */
export function refusalIn(body: Buffer): Refusal | undefined {
  const root = rootOf(body)
  const code = root?.name === 'Error' ? textOf(root, 'Code') : undefined
  if (root === undefined || code === undefined) return undefined
  return {
    code,
    message: textOf(root, 'Message') ?? '',
    region: textOf(root, 'Region') || undefined,
    endpoint: textOf(root, 'Endpoint') || undefined,
    bucket: textOf(root, 'BucketName') ?? textOf(root, 'Bucket'),
    serverTime: textOf(root, 'ServerTime'),
  }
}

/** An object in a list. */
export type Listed = { key: string; bytes: number }

/** The root of an XML document; undefined if the body is none. */
export function rootOf(body: Buffer): Element | undefined {
  try {
    return parseXml(body.toString('utf8'))
  } catch {
    return undefined
  }
}

/** The objects in a ListBucketResult. @throws Error if there is one without a key or a size */
export function listedIn(root: Element): Listed[] {
  const isEncoded = textOf(root, 'EncodingType') === 'url'
  return root.children
    .filter(({ name }) => name === 'Contents')
    .map((each) => {
      const written = textOf(each, 'Key')
      const size = textOf(each, 'Size') ?? ''
      if (!written || !/^\d{1,16}$/.test(size)) throw new Error('an object without a key or a size')
      return { key: isEncoded ? decodeURIComponent(written.replaceAll('+', ' ')) : written, bytes: Number(size) }
    })
}
