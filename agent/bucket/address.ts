import { isIP } from 'node:net'
import { type EndpointRules, endpointFault } from '../resources/endpoint.ts'
import { BucketFault } from './fault.ts'
import type { BucketPlace } from './place.ts'

/** Where requests about a bucket go. */
export type Address = {
  /** The store, without the bucket. */
  endpoint: URL
  /** Whom to connect to: a name or an address, without brackets. */
  host: string
  port: number
  /** The header `Host`. */
  authority: string
  /** What leads to the bucket, encoded, without a slash at its end: empty where the name does. */
  path: string
  isPathStyle: boolean
}

/** Where the bucket is. The place must have no faults. */
export function addressOf(place: BucketPlace): Address {
  const endpoint = new URL(place.endpointUrl ?? amazonEndpoint(place.region))
  // An address has no names below it.
  const isPathStyle = (place.pathStyle ?? place.endpointUrl !== undefined) || isIP(bare(endpoint.hostname)) !== 0
  const name = isPathStyle ? endpoint.hostname : `${place.bucket}.${endpoint.hostname}`
  const before = endpoint.pathname.replace(/\/+$/, '')
  const path = isPathStyle ? `${before}/${encodeKey(place.bucket)}` : before
  return {
    endpoint,
    host: bare(name),
    port: Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80),
    authority: endpoint.port === '' ? name : `${name}:${endpoint.port}`,
    path,
    isPathStyle,
  }
}

/** The region in which requests are signed. */
export function regionOf({ region, endpointUrl }: BucketPlace): string {
  const named = endpointUrl === undefined ? undefined : /^https?:\/\/s3[.-]([a-z]{2}-[a-z-]+-\d+)\.amazonaws\.com/.exec(endpointUrl)?.[1]
  return region ?? named ?? 'us-east-1'
}

/** What is wrong with a place before anybody is asked; all of it. Whether the endpoint may be used goes by its name here, later by its address. */
export function placeFaults(place: BucketPlace, rules: EndpointRules): BucketFault[] {
  const { bucket, endpointUrl } = place
  const faults: BucketFault[] = []
  // The oldest buckets have capitals and underscores. What else a URL would read as its own must not get into the host.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket) || bucket.includes('..'))
    faults.push(new BucketFault('InvalidBucketName', `"${bucket}" is not the name of a bucket: 3 to 63 letters, digits, "-" and ".".`))
  if (endpointUrl === undefined) return faults
  const url = URL.parse(endpointUrl)
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    faults.push(new BucketFault('EndpointInvalid', 'The endpoint is not an http or https URL without user, query and fragment.'))
    return faults
  }
  // With the bucket before it, the name may be another one: `kubernetes.default.svc` and `cluster.local`.
  const inside = endpointFault(endpointUrl, rules, faults.length > 0 ? undefined : addressOf(place).host.replace(/\.$/, ''))
  if (inside !== undefined) faults.push(new BucketFault('EndpointInside', `The endpoint ${inside}.`))
  return faults
}

/** The key of an object below the base path. */
export function keyIn({ basePath = '' }: BucketPlace, key: string): string {
  const folder = basePath.replace(/^\/+|\/+$/g, '')
  return folder === '' ? key : `${folder}/${key}`
}

/** Each byte as S3's signature wants it: unreserved characters and slashes stay. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodePart).join('/')
}

/** As `encodeKey`, slashes too. */
export function encodePart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`)
}

function amazonEndpoint(region: string | undefined): string {
  if (region === undefined) return 'https://s3.amazonaws.com'
  return `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '')
}
