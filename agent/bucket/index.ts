export { type Bucket, type BucketTools, openBucket } from './client.ts'
export { BucketFault, type BucketFaultCode, bucketFaults, type Finding } from './fault.ts'
export type { BucketField, BucketPlace } from './place.ts'
export { probeBucket } from './probe.ts'
