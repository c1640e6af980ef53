export { type Bucket, type BucketTools, openBucket } from './client.ts'
export { BucketFault, type BucketFaultCode, type Finding } from './fault.ts'
export type { BucketPlace } from './place.ts'
export { probeBucket } from './probe.ts'
