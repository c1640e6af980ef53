import { withoutSecrets } from '../../shared/without-secrets.ts'
import type { Address } from './address.ts'
import { type Refusal, refusalIn } from './answer.ts'
import type { Answer } from './exchange.ts'
import { BucketFault, type BucketFaultCode } from './fault.ts'
import type { BucketPlace } from './place.ts'

/** What was asked for. */
export type Intent = 'look' | 'list' | 'write' | 'read' | 'delete'

/** What an answer is understood by. */
export type Asked = {
  intent: Intent
  place: BucketPlace
  address: Address
  /** In which the request was signed. */
  region: string
  /** By our clock, Unix ms. */
  at: number
}

type Facts = Asked & { answer: Answer; refusal: Refusal | undefined; code: string; message: string }
type Rule = (facts: Facts) => BucketFault | undefined

/** How far clocks may differ for S3, in milliseconds: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html */
const maxSkewMs = 15 * 60_000

/** What an answer means that is no success. The first rule that knows it counts. */
export function answerFault(answer: Answer, asked: Asked): BucketFault {
  const refusal = refusalIn(answer.body)
  const facts = { ...asked, answer, refusal, code: refusal?.code ?? '', message: refusal?.message ?? '' }
  for (const rule of rules) {
    const found = rule(facts)
    if (found !== undefined) return withoutKey(found, asked.place)
  }
  return withoutKey(new BucketFault('Refused', `${asked.address.authority} refuses: ${words(facts)}.`), asked.place)
}

/** Some stores repeat the access key, and any may. The secret is never sent. */
function withoutKey(fault: BucketFault, place: BucketPlace): BucketFault {
  const { code, cause, region } = fault
  const [message, action] = [masked(fault.message, place), masked(fault.action, place)]
  return message === fault.message && action === fault.action ? fault : new BucketFault(code, message, { cause, action, region })
}

/** To be called before a text is cut too: half a key is not recognized. */
function masked(text: string, { accessKeyId }: BucketPlace): string {
  return withoutSecrets(text, [accessKeyId], '…')
}

/** Garage says `InvalidRequest`, Date is too old; and no HEAD says why. */
const wrongClock: Rule = ({ code, answer: { status, headers, body }, refusal, at, address }) => {
  const there = Date.parse(refusal?.serverTime ?? headers.date ?? '')
  const isTheirs = refusal !== undefined || body.length === 0
  const isSkewed = isTheirs && (status === 400 || status === 403) && Math.abs(there - at) >= maxSkewMs
  if (code !== 'RequestTimeTooSkewed' && !isSkewed) return undefined
  const theirs = Number.isNaN(there) ? 'it does not say which time it has' : `it is ${iso(there)} there`
  return new BucketFault(
    'RequestTimeTooSkewed',
    `${address.authority} refuses the time of the request: it is ${iso(at)} here, and ${theirs}.`,
  )
}

/** Garage says both of these with the code AccessDenied. */
const wrongKey: Rule = ({ code, message, address }) => {
  if (code === 'InvalidAccessKeyId' || /^Forbidden: No such key/.test(message))
    return new BucketFault('InvalidAccessKeyId', `${address.authority} does not know the access key.`)
  if (code === 'SignatureDoesNotMatch' || /^Forbidden: Invalid signature/.test(message))
    return new BucketFault(
      'SignatureDoesNotMatch',
      `${address.authority} does not accept the signature: the secret is not the one of this access key.`,
    )
  return undefined
}

const suspended: Rule = (facts) =>
  /^(UserSuspended|AllAccessDisabled|AccountProblem|NotSignedUp)$/.test(facts.code)
    ? new BucketFault('AccountSuspended', `${facts.address.authority} has closed the account of the access key: ${words(facts)}.`)
    : undefined

const wrongRegion: Rule = ({ code, message, refusal, answer: { status, headers }, region, place, address }) => {
  const isSaid = /^(AuthorizationHeaderMalformed|PermanentRedirect|InvalidRegion)$/.test(code)
  if (!isSaid && ![301, 307, 400, 403].includes(status)) return undefined
  // Ceph has this header in each answer, and takes any region: with 403 it says nothing.
  const header = status === 403 ? undefined : [headers['x-amz-bucket-region']].flat()[0]
  const right = header ?? (isSaid ? (refusal?.region ?? /expecting '([^']+)'/.exec(message)?.[1]) : undefined)
  const assumed = place.region === undefined ? `${region}, which was assumed since none is given` : region
  if (right !== undefined && right !== region && /^[\w-]{1,63}$/.test(right)) {
    return new BucketFault('WrongRegion', `The bucket ${place.bucket} is in the region ${right}, not in ${assumed}.`, {
      region: header,
      action: `Set region to ${right}${place.endpointUrl === undefined ? '' : ', and endpointUrl to the store there if each region has one'}.`,
    })
  }
  // Amazon's redirects and Alibaba's refusals name the host, not the region.
  if (refusal?.endpoint === undefined || address.authority.endsWith(refusal.endpoint)) return undefined
  return new BucketFault(
    'WrongRegion',
    `The bucket ${place.bucket} is at ${masked(refusal.endpoint, place).slice(0, 200)}, not at ${address.authority} (${assumed}).`,
    {
      action: 'Set endpointUrl to that store, and region to its region.',
    },
  )
}

/** What is refused to a bucket in the path, and what a store says that takes the first folder for the bucket. */
const wrongAddressing: Rule = ({ code, refusal, place, address }) => {
  if (/^(SecondLevelDomainForbidden|PathStyleDomainForbidden)$/.test(code)) {
    return new BucketFault('WrongAddressing', `${address.authority} wants the bucket before its name, not in the path.`, {
      action: 'Set pathStyle to false.',
    })
  }
  if (address.isPathStyle || !/^(NoSuchBucket|InvalidBucketName)$/.test(code)) return undefined
  if (refusal?.bucket === undefined || refusal.bucket === place.bucket) return undefined
  return new BucketFault('WrongAddressing', `${address.authority} looks for the bucket in the path, not before its name.`, {
    action: 'Set pathStyle to true.',
  })
}

const noBucket: Rule = ({ code, answer: { status }, place, address, intent }) => {
  if (code === 'InvalidBucketName')
    return new BucketFault('InvalidBucketName', `${address.authority} says that "${place.bucket}" is not the name of a bucket.`)
  const isMissing = code === 'NoSuchBucket' || (intent === 'look' && status === 404)
  return isMissing ? new BucketFault('NoSuchBucket', `${address.authority} has no bucket ${place.bucket}.`) : undefined
}

const noObject: Rule = ({ code, answer: { status, body }, intent, address, place }) => {
  if (code !== 'NoSuchKey' && !(status === 404 && body.length === 0)) return undefined
  if (intent !== 'list') return new BucketFault('NoSuchKey', `${address.authority} has no such object.`)
  return new BucketFault('EndpointInvalid', `${address.authority} takes the bucket ${place.bucket} for an object.`, {
    action: 'Leave the bucket out of endpointUrl: the address of the store comes without it.',
  })
}

/**
 * Ceph: 403 QuotaExceeded. MinIO: 507 XMinioStorageFull, 400 XMinioAdminBucketQuotaExceeded. Garage: 403 AccessDenied, "… quota …". Swift: 400
 * EntityTooLarge, "Upload exceeds quota.".
 */
const full: Rule = (facts) => {
  const { code, message, answer, address } = facts
  const isFull =
    /Quota|StorageFull|InsufficientStorage/.test(code) || /\bquota\b|storage cap|no space left|insufficient storage/i.test(message)
  if (isFull || answer.status === 507)
    return new BucketFault('StoreFull', `${address.authority} is full, or a quota is used up: ${words(facts)}.`)
  if (code !== 'EntityTooLarge' && answer.status !== 413) return undefined
  return new BucketFault('EntityTooLarge', `${address.authority} refuses an object of this size: ${words(facts)}.`)
}

const locked: Rule = (facts) =>
  /\bWORM\b|object.?lock|retention|legal hold|immutab/i.test(`${facts.code} ${facts.message}`)
    ? new BucketFault('ObjectLocked', `${facts.address.authority} keeps what is in the bucket ${facts.place.bucket}: ${words(facts)}.`)
    : undefined

/** Swift says it with 500: its own middleware `read_only` answers 405 to the one that speaks S3. */
const readOnly: Rule = (facts) => {
  const { code, message, answer, intent, address } = facts
  if (intent !== 'write' && intent !== 'delete') return undefined
  const isSaid = answer.status === 405 || /read.?only|unexpected status code 405/i.test(`${code} ${message}`)
  return isSaid ? new BucketFault('ReadOnly', `${address.authority} takes nothing: ${words(facts)}.`) : undefined
}

const missingRight: Record<Intent, [BucketFaultCode, string]> = {
  look: ['AccessDenied', 'look at'],
  list: ['MayNotList', 'list'],
  write: ['MayNotWrite', 'write in'],
  read: ['MayNotRead', 'read what is in'],
  delete: ['MayNotDelete', 'delete in'],
}

const denied: Rule = ({ refusal, answer: { status, body }, intent, place }) => {
  if ((status !== 401 && status !== 403) || (refusal === undefined && body.length > 0)) return undefined
  const [code, verb] = missingRight[intent]
  return new BucketFault(code, `The access key may not ${verb} the bucket ${place.bucket}.`)
}

const writeHttps = { action: 'Write https:// in endpointUrl.' }

const redirected: Rule = ({ answer: { status, headers }, address: { authority, endpoint, host }, place }) => {
  if (status < 300 || status > 399) return undefined
  const to = headers.location === undefined ? null : URL.parse(headers.location, endpoint.href)
  const isForTls = endpoint.protocol === 'http:' && to?.protocol === 'https:' && to.hostname === host
  const message = `${authority} redirects${to === null ? '' : ` to ${masked(to.origin, place).slice(0, 200)}`} (${status}).`
  return new BucketFault('Redirected', message, isForTls ? writeHttps : {})
}

const unavailable: Rule = (facts) => {
  const { status } = facts.answer
  const isBusy = status === 429 || status === 408 || (status >= 500 && status !== 501 && status !== 511)
  return isBusy ? new BucketFault('Unavailable', `${facts.address.authority} cannot do it now: ${words(facts)}.`) : undefined
}

/** The words of nginx and of servers in Go to a request without TLS. */
const withoutTls: Rule = ({ answer: { status, body }, address: { authority, endpoint } }) =>
  endpoint.protocol === 'http:' && status === 400 && /HTTP request (was sent )?to (an )?HTTPS/.test(body.toString('latin1', 0, 1_000))
    ? new BucketFault('EndpointInvalid', `${authority} speaks TLS alone.`, writeHttps)
    : undefined

/** 511 is that of a network that wants a login first (RFC 6585). */
const noS3: Rule = ({ refusal, answer: { status, headers, body }, address }) =>
  refusal === undefined && body.length > 0
    ? new BucketFault('NotS3', `What answers at ${address.authority} is not S3: status ${status}, with ${typeOf(headers['content-type'])}.`)
    : undefined

const rules: readonly Rule[] = [
  wrongClock,
  wrongKey,
  suspended,
  wrongAddressing,
  wrongRegion,
  noBucket,
  noObject,
  full,
  locked,
  readOnly,
  denied,
  redirected,
  unavailable,
  withoutTls,
  noS3,
]

const knownTypes = ['text/html', 'text/plain', 'application/json', 'application/xml', 'text/xml']

/** The type of a content for people. */
export function typeOf(contentType = ''): string {
  return knownTypes.find((known) => contentType.startsWith(known)) ?? (contentType === '' ? 'no content type' : 'another content type')
}

/** What the store says. */
function words({ refusal, answer: { status }, place }: Facts): string {
  if (refusal === undefined) return `status ${status}`
  const [code, message] = [masked(refusal.code, place).slice(0, 60), masked(refusal.message, place).slice(0, 200)]
  return `${code} (${status}) ${message}`.replace(/[.\s]+$/, '')
}

function iso(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+/, '')
}
