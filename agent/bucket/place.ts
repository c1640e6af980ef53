/** A folder in a bucket of a store, and the key that opens it. */
export type BucketPlace = {
  bucket: string
  /** Of the bucket. Left out, the one in the name of Amazon's endpoint, or `us-east-1`, which stores elsewhere mostly take. */
  region?: string | undefined
  /** The store; Amazon's if left out. */
  endpointUrl?: string | undefined
  /** Whether the bucket is in the path, rather than before the host's name, where CrateDB puts it too by default. */
  pathStyle?: boolean | undefined
  /** The folder that every key is in. */
  basePath?: string | undefined
  accessKeyId: string
  secretAccessKey: string
}

/** A field of a place, as it is called in the body of a request. */
export type BucketField = keyof BucketPlace
