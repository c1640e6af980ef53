import { visible } from '../../shared/visible.ts'
import type { BucketField } from './place.ts'

type Kind = {
  /** The field of the place that is probably at fault. */
  field?: BucketField
  action: string
}

const network = 'Check the way from the cluster to the store: routes, firewall, network policies (databases.egressPorts).'

/** Every way in which a bucket cannot be used. The names are those of S3 where S3 has one. */
export const bucketFaults = {
  EndpointInvalid: { field: 'endpointUrl', action: 'Set endpointUrl to an address such as https://s3.harbour.example.' },
  EndpointInside: {
    field: 'endpointUrl',
    action: 'Use a store outside the cluster, or let the site allow this one in databases.backupEndpoints.allowed.',
  },
  InvalidBucketName: { field: 'bucket', action: 'Correct bucket: it is a name, without address and folder.' },
  NameUnknown: {
    field: 'endpointUrl',
    action: 'Correct endpointUrl. If it is right, the DNS of the cluster does not know it: see its CoreDNS.',
  },
  NameServerFailed: { action: 'Check the DNS of the cluster, and the servers that it asks. The name itself may be right.' },
  ConnectionRefused: { field: 'endpointUrl', action: 'Start the store, or correct the port in endpointUrl.' },
  Unreachable: { action: network },
  TimedOut: { action: network },
  ConnectionCut: { action: 'See the log of the store, and of what stands before it: a firewall or a proxy may cut connections.' },
  ProxyFailed: { action: 'Check the proxy of the agent (HTTPS_PROXY, HTTP_PROXY), or name the store in its NO_PROXY.' },
  TlsUntrusted: {
    field: 'endpointUrl',
    action:
      'Install the CA of the store among the CAs of the cluster, or give the store a certificate of a public one. It must send its whole chain.',
  },
  TlsWrongName: { field: 'endpointUrl', action: 'Issue the certificate for this name, or use a name that it has.' },
  TlsExpired: { action: 'Renew the certificate of the store. If its dates are right, set the clocks of the nodes.' },
  TlsNotYetValid: { action: 'Set the clocks of the nodes and of the store.' },
  TlsFailed: { field: 'endpointUrl', action: 'Check that endpointUrl has the right port, and http:// where the store has no TLS.' },
  SignatureDoesNotMatch: {
    field: 'secretAccessKey',
    action: 'Correct secretAccessKey. Some stores say so of an access key too that they do not know.',
  },
  InvalidAccessKeyId: { field: 'accessKeyId', action: 'Correct accessKeyId, or create the key in this store.' },
  AccountSuspended: { field: 'accessKeyId', action: 'Let the owner of the account put it in order, or use the key of another one.' },
  AccessDenied: { action: 'Let the owner of the bucket give this key the rights to list, write, read and delete in it.' },
  MayNotList: { action: 'Let the owner of the bucket give this key the right to list it (s3:ListBucket).' },
  MayNotWrite: { action: 'Let the owner of the bucket give this key the right to write in it (s3:PutObject).' },
  MayNotRead: { action: 'Let the owner of the bucket give this key the right to read what is in it (s3:GetObject).' },
  MayNotDelete: {
    action: 'Let the owner of the bucket give this key the right to delete in it (s3:DeleteObject): old snapshots are removed.',
  },
  RequestTimeTooSkewed: { action: 'Set the clock that is wrong: that of the nodes (chrony, NTP), or that of the store.' },
  WrongRegion: { field: 'region', action: 'Set region to the region of the bucket.' },
  NoSuchBucket: { field: 'bucket', action: 'Correct bucket, or create it in the store.' },
  NoSuchKey: { action: 'List the bucket to see what is in it.' },
  WrongAddressing: { field: 'pathStyle', action: 'Change pathStyle.' },
  Redirected: {
    field: 'endpointUrl',
    action: 'Set endpointUrl to the address of the store itself. Redirects are not followed: they would carry the signature elsewhere.',
  },
  StoreFull: { action: 'Make room in the store, or let its owner raise the quota.' },
  EntityTooLarge: { action: 'Let the owner of the store raise its limit. A store may also say this of a quota that is used up.' },
  ReadOnly: { action: 'Use a bucket that can be written: this one, or the store, is read-only.' },
  ObjectLocked: { action: 'Use a bucket without a default retention (Object Lock): old snapshots could not be removed.' },
  DeletionWithoutEffect: { action: 'Use a store that deletes what it is told to: old snapshots would fill it.' },
  NotS3: {
    field: 'endpointUrl',
    action: 'Correct endpointUrl: it must lead to the S3 API, not to a web page, a console or a login page of the network.',
  },
  OtherBytes: { action: 'Do not use this store: what it returns is not what was written. See what stands before it: a cache, a proxy.' },
  AnswerCut: { action: 'See the log of the store, and of what stands before it: a firewall or a proxy may cut answers.' },
  AnswerTooLarge: { field: 'endpointUrl', action: 'Check that endpointUrl leads to the S3 API.' },
  Unavailable: { action: 'None if it passes. Otherwise see the log of the store.' },
  Refused: { action: "See the log of the store: the message has the store's own words." },
} as const satisfies Record<string, Kind>

/** The key of a row in `bucketFaults`. */
export type BucketFaultCode = keyof typeof bucketFaults

/** What is wrong with a bucket, for people: what was found, and what to do. `field` is the field of the place that is probably at fault. */
export type Finding = { code: BucketFaultCode; message: string; action: string; field?: BucketField }

/** The longest message: it becomes an Event, a fault in an answer, and a line of the log. */
const longestMessage = 600

/** Why something in a bucket could not be done. The message is one bounded line without secrets, though it may quote the store. */
export class BucketFault extends Error {
  override readonly name = 'BucketFault'
  readonly code: BucketFaultCode
  readonly action: string
  readonly field: BucketField | undefined
  /** Where the bucket is, of `WrongRegion`, if a header says so: whoever is given no region finds it there. */
  readonly region: string | undefined

  /** @param action more exact words than those of the table */
  constructor(
    code: BucketFaultCode,
    message: string,
    { cause, action, region }: { cause?: unknown; action?: string; region?: string | undefined } = {},
  ) {
    const kind: Kind = bucketFaults[code]
    super(visible(message.replace(/\s+/g, ' ').trim()).slice(0, longestMessage).toWellFormed(), { cause })
    this.code = code
    this.action = action ?? kind.action
    this.field = kind.field
    this.region = region
  }

  finding(): Finding {
    const { code, message, action, field } = this
    return { code, message, action, ...(field !== undefined && { field }) }
  }
}
