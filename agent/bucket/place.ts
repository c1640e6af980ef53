/** A folder in a bucket of a store, and the key that opens it. */
export type BucketPlace = {
  bucket: string
  /** Of the bucket. Left out, the one in the name of Amazon's endpoint, or `us-east-1`; a trial finds the one that the store names. */
  region?: string | undefined
  /** The store; Amazon's if left out. */
  endpointUrl?: string | undefined
  /** Whether the bucket is in the path, rather than before the host's name. Left out, it is unless the store is Amazon's. */
  pathStyle?: boolean | undefined
  /** The folder that every key is in. */
  basePath?: string | undefined
  accessKeyId: string
  secretAccessKey: string
}

/** A field of a place, as it is called in the body of a request. */
export type BucketField = keyof BucketPlace
