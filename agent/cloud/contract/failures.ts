/**
 * Why a cloud refuses a region. A class is the end of the `type` of a problem document (RFC 9457) with which the cloud answers, whatever its
 * status: one 401 for everything made agents throw good keys away (wazuh#39282).
 *
 * - `wait`: the region asks again by itself, later each time.
 * - `person`: asking again changes nothing. It asks again when somebody has done what the action says.
 */
export type FailureClass = { status: number; retry: 'wait' | 'person'; reason: string; message: string; action: string }

/** Every class of a refusal. None of them ends what runs in the region, or its key: an answer is not signed. */
export const failures = {
  'token-expired': {
    status: 403,
    retry: 'person',
    reason: 'TokenExpired',
    message: 'The installation token has expired.',
    action: 'Let the cloud make another one, and give it to the region.',
  },
  'token-used': {
    status: 409,
    retry: 'person',
    reason: 'TokenUsed',
    message: 'Another region has joined with this installation token, which is good for one.',
    action: 'Let the cloud make another one, and give it to the region.',
  },
  'token-unknown': {
    status: 403,
    retry: 'person',
    reason: 'TokenUnknown',
    message: 'The cloud does not know this installation token.',
    action: 'Compare the address of the cloud with that of the one that made the token. Let this cloud make another one.',
  },
  'not-approved': {
    status: 403,
    retry: 'person',
    reason: 'NotApproved',
    message: 'Somebody at the cloud has refused this region.',
    action: 'Ask there why. After an approval, ask again.',
  },
  'pairing-code-taken': {
    status: 409,
    retry: 'wait',
    reason: 'PairingCodeTaken',
    message: 'Another region shows the same pairing code.',
    action: 'None: the region takes another code.',
  },
  'clock-skew': {
    status: 401,
    retry: 'wait',
    reason: 'ClockSkew',
    message: 'The clock of the region is wrong.',
    action: 'None for the region, which reckons with the difference. Synchronize the clock all the same: timedatectl set-ntp true',
  },
  'credential-expired': {
    status: 401,
    retry: 'wait',
    reason: 'CredentialExpired',
    message: 'The credential of the region has expired.',
    action: 'None: the region gets another one with its key.',
  },
  'out-of-step': {
    status: 412,
    retry: 'wait',
    reason: 'OutOfStep',
    message: 'The cloud has another status of the region than the one that changes are told against.',
    action: 'None: the region tells its whole status.',
  },
  'export-refused': {
    status: 403,
    retry: 'wait',
    reason: 'ExportRefused',
    message: 'The cloud does not take the file that the region can be made again from.',
    action:
      'Keep it elsewhere: name a bucket in recovery.export.bucket, or a file in recovery.export.file. If the cloud should take it, ask there why ' +
      'it does not; if it never will, set recovery.export.cloud to false.',
  },
  'unknown-region': {
    status: 404,
    retry: 'wait',
    reason: 'UnknownRegion',
    message: 'The cloud does not know this region. It may have been restored from a backup that is older than the region.',
    action: 'If the cloud will not know it again, let it make an installation token, and give it to the region, which then joins anew.',
  },
  'invalid-signature': {
    status: 401,
    retry: 'wait',
    reason: 'InvalidSignature',
    message: 'The cloud does not accept the signature of the region.',
    action: 'Compare the thumbprint of the key with the one that the cloud shows for this region.',
  },
  cloned: {
    status: 409,
    retry: 'person',
    reason: 'Cloned',
    message:
      'The state of the region is older than what the cloud has given out: either another cluster uses a copy of its key, or the etcd of this ' +
      'cluster was restored from a backup.',
    action: 'Make sure that no copy of the region runs. Unlock the region at the cloud, then ask again.',
  },
  revoked: {
    status: 403,
    retry: 'person',
    reason: 'Revoked',
    message: 'Somebody at the cloud has revoked the credentials of this region.',
    action: 'Ask there why. After it has been allowed again, ask again.',
  },
  deregistered: {
    status: 410,
    retry: 'person',
    reason: 'Deregistered',
    message: 'Somebody at the cloud has deregistered this region. Everything that runs in it stays.',
    action:
      'If it was a mistake, let it be undone there, then ask again. Else, to join again, give the region an installation token of the cloud.',
  },
} as const satisfies Record<string, FailureClass>

/** Why the region cannot talk with its cloud, as it finds itself: no cloud answers with these classes. */
export type OwnFailureClass = Omit<FailureClass, 'status'> & { kind: FaultKind }

/**
 * - `unreachable`: there was no answer.
 * - `untrusted`: the certificate of the cloud is not trusted.
 * - `garbled`: the answer is not what the contract says, or contradicts what the cloud has said before.
 * - `busy`: the cloud asks for patience, or has a fault of its own.
 */
export type FaultKind = 'unreachable' | 'untrusted' | 'garbled' | 'busy'

/** Every class that the region finds itself. Its message says more where more is known. The region asks again by itself in all of them. */
export const ownFailures = {
  unreachable: {
    kind: 'unreachable',
    retry: 'wait',
    reason: 'Unreachable',
    message: 'The cloud does not answer.',
    action: 'None if it passes. Else look at the link of the site, its DNS and proxy, and the address in cloud.url.',
  },
  untrusted: {
    kind: 'untrusted',
    retry: 'wait',
    reason: 'Untrusted',
    message: 'The certificate of the cloud is not trusted.',
    action: 'Name the CA certificate of the cloud in cloud.caFile, or give the region an installation token that pins the CA.',
  },
  'ca-changed': {
    kind: 'untrusted',
    retry: 'wait',
    reason: 'CaChanged',
    message: 'The certificate of the cloud comes from a CA that the region does not trust, and the cloud has not announced it.',
    action:
      'Ask at the cloud whether its CA was changed. If it was, let it publish a trust document with the new CA, or name that in ' +
      'cloud.caFile. If not, something on the way answers in its place, such as a proxy that opens TLS: let it leave this address alone.',
  },
  'wrong-clock': {
    kind: 'untrusted',
    retry: 'wait',
    reason: 'WrongClock',
    message: 'The clock of this machine is wrong.',
    action: 'Synchronize it: timedatectl set-ntp true',
  },
  'certificate-dates': {
    kind: 'untrusted',
    retry: 'wait',
    reason: 'CertificateDates',
    message: 'The dates of the certificate of the cloud do not fit.',
    action: 'Renew it at the cloud. If its dates are right, synchronize the clock of this machine: timedatectl set-ntp true',
  },
  'key-changed': {
    kind: 'garbled',
    retry: 'wait',
    reason: 'KeyChanged',
    message: 'The cloud signs with a key that the region does not know, and the cloud has not announced it.',
    action: 'Let the cloud publish the trust documents that lead from the key that the region knows to the present one.',
  },
  garbled: {
    kind: 'garbled',
    retry: 'wait',
    reason: 'InvalidAnswer',
    message: 'The cloud answers something else than agreed.',
    action: 'Compare the address in cloud.url with that of the cloud, and the version of the cloud with that of the region.',
  },
  busy: {
    kind: 'busy',
    retry: 'wait',
    reason: 'Busy',
    message: 'The cloud asks for patience, or has a fault of its own.',
    action: 'None if it passes. Else ask at the cloud.',
  },
} as const satisfies Record<string, OwnFailureClass>

/** What is shown of a class that the region finds itself: its own sentence, and what is known of this time. */
export function sentenceOf(name: OwnFailureName, detail: string): string {
  const { message } = ownFailures[name]
  return detail.startsWith(message.slice(0, -1)) ? detail : `${message} ${detail}`
}

/** The name of a class that the region finds itself. */
export type OwnFailureName = keyof typeof ownFailures

/** The name of a class, as the `type` of a problem document ends. */
export type FailureName = keyof typeof failures

/** The `type` of a problem document of a class. */
export function typeOfFailure(name: FailureName): string {
  return `https://skerry.dev/cloud/problems/${name}`
}

/** The class that a `type` names; undefined for any other text. */
export function failureOfType(type: unknown): FailureName | undefined {
  const [, name] = (typeof type === 'string' && /\/([a-z-]{1,40})$/.exec(type)) || []
  return name !== undefined && Object.hasOwn(failures, name) ? (name as FailureName) : undefined
}
