import type * as z from 'zod'
import { trustPayload } from './documents.ts'
import { exportAnswer, regionFile } from './export.ts'
import type { FailureName } from './failures.ts'
import { awaitingAnswer, claim, readyAnswer, renewal } from './registration.ts'
import { statusAnswer, statusChange, wholeStatus } from './status.ts'

/** One thing that a region asks of its cloud. */
export type Endpoint = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `{region}` stands for the registration. */
  path: string
  operationId: string
  summary: string
  /** What a cloud's developer has to know beyond the schemas. */
  description: string
  /** What proves who asks: `credential` with a proof by the key, `key` a proof alone, `nothing` for what everybody may read. */
  by: 'credential' | 'key' | 'nothing'
  request?: { schema: z.ZodType; mediaType: string }
  answers: Record<number, { description: string; schema?: z.ZodType; mediaType?: string }>
  failures: readonly FailureName[]
}

const always = ['invalid-signature', 'clock-skew'] as const
const ofRegion = [...always, 'unknown-region', 'cloned', 'revoked', 'deregistered'] as const
const json = 'application/json'
const awaiting = { description: 'Somebody has to approve it. The region asks again.', schema: awaitingAnswer }
const acknowledged = { 200: { description: 'The status is stored.', schema: statusAnswer } }

/** Everything that a region asks of its cloud, and nothing else. */
export const endpoints = {
  claim: {
    method: 'POST',
    path: '/v1/regions',
    operationId: 'claimRegion',
    summary: 'A key wants to become the key of a region',
    description:
      'The region is known by the thumbprint of its key from now on. The same key with the same token is the same region, however often it ' +
      'asks: an answer may have been lost. A token is used up by the first key that claims with it, in one step with the registration.\n\n' +
      'A claim without a token waits until somebody has typed its pairing code at the cloud, or was expected there by its thumbprint.',
    by: 'key',
    request: { schema: claim, mediaType: json },
    answers: {
      200: { description: 'The region has joined.', schema: readyAnswer },
      202: awaiting,
    },
    failures: [
      ...always,
      'token-expired',
      'token-used',
      'token-unknown',
      'not-approved',
      'pairing-code-taken',
      'cloned',
      'revoked',
      'deregistered',
    ],
  },
  renew: {
    method: 'POST',
    path: '/v1/regions/{region}/credential',
    operationId: 'renewCredential',
    summary: 'The region wants another credential',
    description:
      'Before the last one expires, or months after: the key is enough, with the join state that the cloud gave out last. Compare its number ' +
      'with the last one that was given out. The same: give out the next one. One less, while the last was never used: its answer was lost, ' +
      'so give the same answer again. Any other lower one: two use this key, so refuse both as `cloned` until a person has looked. A higher ' +
      'one, with the own signature: the cloud itself was restored from a backup, so go on from that number.',
    by: 'key',
    request: { schema: renewal, mediaType: json },
    answers: { 200: { description: 'Another credential and join state.', schema: readyAnswer }, 202: awaiting },
    failures: [...ofRegion, 'not-approved'],
  },
  leave: {
    method: 'DELETE',
    path: '/v1/regions/{region}',
    operationId: 'leave',
    summary: 'The region leaves, on the word of its site',
    description: 'What runs in the region stays; its key will be deleted.',
    by: 'key',
    answers: { 204: { description: 'It is no longer registered.' } },
    failures: ofRegion,
  },
  whole: {
    method: 'PUT',
    path: '/v1/regions/{region}/status',
    operationId: 'putStatus',
    summary: 'The whole status of the region',
    description:
      'At the start, after a takeover and an outage, and when the cloud asks for it with `resync` or `out-of-step`. It replaces what was ' +
      'stored, whatever the sequence of that: the clock of the region may have been set back.',
    by: 'credential',
    request: { schema: wholeStatus, mediaType: json },
    answers: acknowledged,
    failures: [...ofRegion, 'credential-expired', 'out-of-step'],
  },
  change: {
    method: 'PATCH',
    path: '/v1/regions/{region}/status',
    operationId: 'patchStatus',
    summary: 'What has changed in the status, or a heartbeat',
    description:
      'A merge patch (RFC 7396) of the status whose sequence stands in If-Match. With another one stored, answer `out-of-step`. Without ' +
      '`region` it is a heartbeat: all that is not stale is confirmed as of the time in the proof. Whether a region lives is judged by when ' +
      'its requests arrive, by the clock of the cloud, never by what it writes.',
    by: 'credential',
    request: { schema: statusChange, mediaType: 'application/merge-patch+json' },
    answers: acknowledged,
    failures: [...ofRegion, 'credential-expired', 'out-of-step'],
  },
  export: {
    method: 'PUT',
    path: '/v1/regions/{region}/export',
    operationId: 'putExport',
    summary: 'The file that the region can be made again from',
    description:
      'A minute after something in it has changed, and once a day. It replaces what was stored, whatever the time in it. Keep earlier ones as ' +
      'well if you can: a region that was broken by a mistake tells you of the mistake too. Compressed it has 2 KiB for each ten databases, and ' +
      'unpacked 64 MiB at the most. Store it before you answer, and give it back to the people of the region when they ask for it: with it, ' +
      'they make the region again in another cluster.',
    by: 'credential',
    request: { schema: regionFile, mediaType: json },
    answers: { 200: { description: 'The file is stored.', schema: exportAnswer } },
    failures: [...ofRegion, 'credential-expired', 'export-refused'],
  },
  trust: {
    method: 'GET',
    path: '/.well-known/skerry-trust.jws',
    operationId: 'getTrust',
    summary: 'What the cloud is trusted by',
    description:
      'Compact JWS with the header `typ: skerry-trust+jws`, one document a line, oldest first, each signed with a key that the one before ' +
      'names: a region that was away through several changes follows them one by one. The last one is enough as long as the keys stay. ' +
      'Regions ask for it over a connection that nobody vouches for, once a certificate or a signature of the cloud is not trusted.',
    by: 'nothing',
    answers: { 200: { description: 'The documents.', schema: trustPayload, mediaType: 'application/jose' } },
    failures: [],
  },
} as const satisfies Record<string, Endpoint>

/** The path of an endpoint for a registration. */
export function pathAt({ path }: Pick<Endpoint, 'path'>, region: string): string {
  return path.replace('{region}', encodeURIComponent(region))
}
