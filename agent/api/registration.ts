import * as z from 'zod'
import { Problem } from '../../shared/errors.ts'
import { type RegistrationStatus, registrationStates } from '../cloud/registration/status.ts'
import { json, route } from './http.ts'
import { readResponses } from './projects.ts'
import { prepareDocument } from './representations/prepared.ts'
import type { Resource } from './resource.ts'

const moment = z.iso.datetime().meta({ example: '2026-01-31T12:00:00Z' })
const tags = z.record(z.string(), z.string())

const registrationSchema = z
  .object({
    state: z.enum(registrationStates).meta({ example: 'Ready' }),
    reason: z.string().describe('One word for programs; of a refusal, its class').meta({ example: 'Registered' }),
    message: z.string().meta({ example: 'The region is registered as r-5f3c9a.' }),
    action: z.string().nullable().describe('What a person can do').meta({ example: null }),
    since: moment.describe('Since when state and reason are the same'),
    attempts: z.int().describe('Attempts in vain since then').meta({ example: 0 }),
    nextAttempt: moment.nullable().describe('null where only a person can help, or nothing is due').meta({ example: null }),
    cloud: z.string().meta({ example: 'https://cloud.example.org' }),
    id: z.string().nullable().describe('The registration, as the cloud calls it').meta({ example: 'r-5f3c9a' }),
    thumbprint: z
      .string()
      .describe("Of the region's key (RFC 7638); the cloud shows it too")
      .meta({ example: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k' }),
    pairing: z
      .object({ code: z.string().meta({ example: '7Q2M-X4KD' }), expires: moment })
      .nullable()
      .describe('A code to type at the cloud, of a region without a token')
      .meta({ example: null }),
    credential: z.object({ renews: moment, expires: moment }).nullable().describe('When it is renewed, and when it expires'),
    lastHeard: moment.nullable().describe('When the cloud last answered as agreed, to five minutes'),
    ledgerKnown: z.int().nullable().describe('The last operation that the cloud says it knows').meta({ example: 41 }),
    name: z
      .string()
      .nullable()
      .describe('What people call the region: the word of the site, or else that of the cloud')
      .meta({ example: 'Harbour' }),
    tags: tags
      .describe('What the site and the cloud say about the region; of two with one name, that of the site')
      .meta({ example: { coast: 'west' } }),
  })
  .meta({ id: 'RegionRegistration', description: 'How the region stands with its cloud.' })

/** How to configure a cloud. */
const howToConfigure = 'The region has no cloud: set `cloud.url` in the configuration of the agent.'

/** The registration of the region at its cloud, as the leader has written it down last. Every replica answers. */
export const registration: Resource = {
  open({ config, registration: shown }) {
    const getRegistration = route({
      method: 'GET',
      path: '/region/registration',
      operationId: 'getRegistration',
      tag: 'Region',
      summary: 'How the region stands with its cloud',
      description: [
        'Which state it is in and since when, why, what a person can do, and when it tries again. For ten minutes `pairing.code` is good for',
        'whoever reads it: a cloud that takes it from him takes the region. Nothing else in it is secret.',
      ].join(' '),
      scope: 'region:read',
      problems: ['not-found', 'not-ready', 'not-served', 'cluster-forbidden', 'cluster-unreachable', 'cluster-error'],
      responses: () => readResponses({ description: 'The registration.', schema: registrationSchema }),
      handle(c) {
        if (shown === undefined) throw new Problem('not-found', howToConfigure)
        const { status, fault } = shown
        if (fault !== undefined) throw fault
        if (status === undefined) throw new Problem('not-ready', 'No replica has looked at the registration yet.')
        const { bytes, etag } = prepareDocument(config.region.id, representationOf(status))
        return json(c, 200, bytes, { etag })
      },
    })
    return { routes: [getRegistration] }
  },
}

function representationOf(status: RegistrationStatus): z.input<typeof registrationSchema> {
  const { state, reason, message, since, attempts, cloud, thumbprint } = status
  return {
    state,
    reason,
    message,
    action: status.action ?? null,
    since,
    attempts,
    nextAttempt: status.nextAttempt ?? null,
    cloud,
    id: status.id ?? null,
    thumbprint,
    pairing: status.pairing ?? null,
    credential: status.credential ?? null,
    lastHeard: status.lastHeard ?? null,
    ledgerKnown: status.ledgerKnown ?? null,
    name: status.name ?? null,
    tags: status.tags ?? {},
  }
}
