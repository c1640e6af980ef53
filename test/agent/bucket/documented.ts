import type { BucketFaultCode, BucketPlace } from '../../../agent/bucket/index.ts'
import { type Reply, refusal, xml } from './stand-in.ts'

/*
 * What stores say, from their sources and manuals:
 *
 * Amazon    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and documents of refusals as others have printed them:
 *           AuthorizationHeaderMalformed with Region, PermanentRedirect with Bucket and Endpoint, RequestTimeTooSkewed with ServerTime
 * MinIO     cmd/api-errors.go, cmd/api-headers.go at 7aac2a2: `Region` is that of the site, in every refusal; with XMinio… for its own
 * Ceph      rgw_http_s3_errors in src/rgw/rgw_common.cc, dump_error in src/rgw/rgw_rest.cc: no Message for most, BucketName, and any region is taken
 * Garage    src/api/common/common_error.rs, …/signature/payload.rs, src/api/s3/put.rs at 3f4ab3a: wrong keys and full buckets are AccessDenied
 * Swift     swift/common/middleware/s3api/{s3response,s3request}.py at d57c078, and 2.30.1 itself (with-swift.real.test.ts)
 * Alibaba   SecondLevelDomainForbidden, and AccessDenied with an Endpoint for another region, as users of OSS have reported them
 */

/** An answer of a store to one kind of request. */
export type Documented = {
  store: string
  /** Requests that get it: all but HEAD, or those of one method for an object. */
  to?: 'PUT' | 'GET' | 'DELETE'
  reply: Reply
  /** Of HEAD, which has no body; the status of `reply` by default. */
  head?: Reply
  given?: Partial<BucketPlace>
  /** What is found. */
  code: BucketFaultCode
  /** A part of the message or the action. */
  says: RegExp
}

const denied = (more = '') => refusal(403, 'AccessDenied', 'Access Denied', more)
const host = '<HostId>mJYpxdY5MthZwY4NUeF/MTIcJbYPpZ+6</HostId>'

export const documented: Documented[] = [
  {
    store: 'Amazon',
    reply: refusal(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      '<AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n20261130T114500Z\n20261130/us-east-1/s3/aws4_request</StringToSign>',
    ),
    code: 'SignatureDoesNotMatch',
    says: /Correct secretAccessKey/,
  },
  {
    store: 'Amazon',
    reply: refusal(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      `<AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId>${host}`,
    ),
    code: 'InvalidAccessKeyId',
    says: /does not know the access key/,
  },
  {
    store: 'Amazon',
    reply: refusal(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      '<RequestTime>20170428T070106Z</RequestTime><ServerTime>2017-04-28T07:17:20Z</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>',
    ),
    code: 'RequestTimeTooSkewed',
    says: /it is 20\d\d-.*Z here, and it is 2017-04-28T07:17:20Z there/,
  },
  {
    store: 'Amazon',
    reply: refusal(
      400,
      'AuthorizationHeaderMalformed',
      "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'",
      `<Region>eu-north-1</Region>${host}`,
    ),
    code: 'WrongRegion',
    says: /in the region eu-north-1, not in us-east-1, which was assumed.*Set region to eu-north-1/,
  },
  {
    store: 'Amazon',
    given: { region: 'eu-central-1' },
    head: { status: 301, headers: { 'x-amz-bucket-region': 'eu-north-1' } },
    reply: { status: 500 },
    code: 'WrongRegion',
    says: /in the region eu-north-1, not in eu-central-1\. /,
  },
  {
    store: 'Amazon',
    given: { region: 'eu-central-1' },
    reply: xml(
      301,
      `<Error><Code>PermanentRedirect</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.</Message><Bucket>harbour-snapshots</Bucket><Endpoint>harbour-snapshots.s3.eu-north-1.amazonaws.com</Endpoint>${host}</Error>`,
    ),
    code: 'WrongRegion',
    says: /is at harbour-snapshots\.s3\.eu-north-1\.amazonaws\.com, not at/,
  },
  {
    store: 'Amazon',
    head: { status: 404 },
    reply: refusal(404, 'NoSuchBucket', 'The specified bucket does not exist', '<BucketName>harbour-snapshots</BucketName>'),
    code: 'NoSuchBucket',
    says: /has no bucket harbour-snapshots/,
  },
  {
    store: 'Amazon',
    reply: refusal(400, 'InvalidBucketName', 'The specified bucket is not valid.'),
    code: 'InvalidBucketName',
    says: /not the name/,
  },
  {
    store: 'Amazon',
    reply: refusal(403, 'AllAccessDisabled', 'All access to this object has been disabled.'),
    code: 'AccountSuspended',
    says: /AllAccessDisabled \(403\)/,
  },
  { store: 'Amazon', reply: refusal(503, 'SlowDown', 'Please reduce your request rate.'), code: 'Unavailable', says: /SlowDown \(503\)/ },
  { store: 'Amazon', to: 'PUT', reply: denied(), code: 'MayNotWrite', says: /s3:PutObject/ },
  { store: 'Amazon', to: 'GET', reply: denied(), code: 'MayNotRead', says: /s3:GetObject/ },
  { store: 'Amazon', to: 'DELETE', reply: denied(), code: 'MayNotDelete', says: /s3:DeleteObject/ },
  {
    store: 'Amazon',
    to: 'DELETE',
    reply: refusal(403, 'AccessDenied', 'Access Denied because object protected by object lock.'),
    code: 'ObjectLocked',
    says: /The probe tidal-gauge\/\.skerry-probe-[0-9a-f-]{36} is left behind/,
  },
  {
    store: 'MinIO',
    given: { region: 'eu-north-1' },
    head: { status: 400, headers: { 'x-amz-bucket-region': 'harbour' } },
    reply: refusal(
      400,
      'AuthorizationHeaderMalformed',
      "The authorization header is malformed; the region is wrong; expecting 'harbour'.",
      '<Region>harbour</Region>',
    ),
    code: 'WrongRegion',
    says: /Set region to harbour/,
  },
  {
    store: 'MinIO',
    to: 'PUT',
    reply: refusal(
      507,
      'XMinioStorageFull',
      'Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed.',
    ),
    code: 'StoreFull',
    says: /minimum free drive threshold/,
  },
  {
    store: 'MinIO',
    to: 'PUT',
    reply: refusal(400, 'XMinioAdminBucketQuotaExceeded', 'Bucket quota exceeded'),
    code: 'StoreFull',
    says: /Bucket quota exceeded/,
  },
  {
    store: 'MinIO',
    to: 'DELETE',
    reply: refusal(400, 'InvalidRequest', 'Object is WORM protected and cannot be overwritten'),
    code: 'ObjectLocked',
    says: /is left behind/,
  },
  {
    store: 'MinIO',
    reply: refusal(503, 'XMinioServerNotInitialized', 'Server not initialized yet, please try again.'),
    code: 'Unavailable',
    says: /None if it passes/,
  },
  {
    store: 'Ceph',
    to: 'PUT',
    reply: xml(
      403,
      '<Error><Code>QuotaExceeded</Code><Message/><BucketName>harbour-snapshots</BucketName><RequestId>tx1</RequestId><HostId>a</HostId></Error>',
    ),
    code: 'StoreFull',
    says: /QuotaExceeded \(403\)/,
  },
  {
    store: 'Ceph',
    head: { status: 403, headers: { 'x-amz-bucket-region': 'default' } },
    reply: xml(
      403,
      '<Error><Code>UserSuspended</Code><BucketName>harbour-snapshots</BucketName><RequestId>tx1</RequestId><HostId>a</HostId></Error>',
    ),
    code: 'AccountSuspended',
    says: /key of another one/,
  },
  {
    store: 'Garage',
    reply: refusal(403, 'AccessDenied', 'Forbidden: No such key: AKIAEXAMPLE'),
    code: 'InvalidAccessKeyId',
    says: /create the key/,
  },
  {
    store: 'Garage',
    reply: refusal(403, 'AccessDenied', 'Forbidden: Invalid signature'),
    code: 'SignatureDoesNotMatch',
    says: /not accept the signature/,
  },
  {
    store: 'Garage',
    reply: refusal(
      400,
      'AuthorizationHeaderMalformed',
      'Authorization header malformed, unexpected scope: 20261130/us-east-1/s3/aws4_request',
      '<Resource>/harbour-snapshots</Resource><Region>garage</Region>',
    ),
    code: 'WrongRegion',
    says: /Set region to garage/,
  },
  {
    store: 'Garage',
    reply: xml(400, '<Error><Code>InvalidRequest</Code><Message>Bad request: Date is too old</Message></Error>', {
      date: 'Fri, 28 Apr 2017 07:17:20 GMT',
    }),
    code: 'RequestTimeTooSkewed',
    says: /2017-04-28T07:17:20Z there/,
  },
  {
    store: 'Garage',
    to: 'PUT',
    reply: refusal(403, 'AccessDenied', 'Forbidden: Object quota is reached, maximum objects for this bucket: 1000'),
    code: 'StoreFull',
    says: /maximum objects for this bucket: 1000/,
  },
  {
    store: 'Swift',
    to: 'PUT',
    reply: refusal(400, 'EntityTooLarge', 'Upload exceeds quota.'),
    code: 'StoreFull',
    says: /EntityTooLarge \(400\) Upload exceeds quota\./,
  },
  {
    store: 'Swift',
    to: 'PUT',
    reply: refusal(500, 'InternalError', 'unexpected status code 405'),
    code: 'ReadOnly',
    says: /read-only/,
  },
  {
    store: 'Amazon',
    to: 'PUT',
    reply: refusal(400, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.'),
    code: 'EntityTooLarge',
    says: /quota that is used up/,
  },
  {
    store: 'Alibaba',
    given: { pathStyle: true },
    reply: refusal(
      403,
      'SecondLevelDomainForbidden',
      'The bucket you are attempting to access must be addressed using OSS third level domain.',
    ),
    code: 'WrongAddressing',
    says: /Set pathStyle to false/,
  },
  {
    store: 'Alibaba',
    reply: denied('<Bucket>harbour-snapshots</Bucket><Endpoint>oss-cn-hangzhou.aliyuncs.com</Endpoint>'),
    code: 'WrongRegion',
    says: /is at oss-cn-hangzhou\.aliyuncs\.com/,
  },
  { store: 'any', to: 'PUT', reply: refusal(405, 'MethodNotAllowed', 'Not here.'), code: 'ReadOnly', says: /read-only/ },
  { store: 'any', to: 'PUT', reply: refusal(403, 'AccessDenied', 'The bucket is read only'), code: 'ReadOnly', says: /read-only/ },
  { store: 'any', to: 'PUT', reply: { status: 507 }, code: 'StoreFull', says: /status 507/ },
]
