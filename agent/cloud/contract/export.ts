import * as z from 'zod'
import { instant } from './documents.ts'

const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ example: '8f02e6d4b1c7'.repeat(6).slice(0, 64) })

/**
 * The file that the region can be made again from, as far as a cloud looks into it. What else is in the document is for the region that reads
 * it: each version of it says more.
 */
export const regionFile = z
  .object({
    document: z
      .looseObject({
        kind: z.literal('SkerryRegion'),
        version: z.int().min(1).meta({ example: 1 }),
        region: z.looseObject({ id: z.string().meta({ example: 'harbour-1' }) }),
        createdAt: z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' }),
      })
      .describe('Projects, databases, volumes and what else the region is made again from. No secrets, unless for somebody else to open'),
    digest: digest.describe('SHA-256 of the document in canonical JSON (RFC 8785)'),
    signature: z
      .object({
        jws: z
          .string()
          .describe('Compact JWS with `typ: skerry-region+jws`, whose payload is `{"sha256": DIGEST}`')
          .meta({ example: 'eyJhbGciOiJFZERTQSJ9.eyJzaGEyNTYiOiI4ZjAyIn0.c2lnbmVkLWJ5LXRoZS1yZWdpb24' }),
        jwk: z.object({
          kty: z.literal('OKP'),
          crv: z.literal('Ed25519'),
          x: z.string().meta({ example: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }),
        }),
      })
      .optional()
      .describe('By the key of the region'),
  })
  .meta({ id: 'RegionFile', description: 'What a region can be made again from, in another cluster.' })

/** The answer once the file is stored. */
export const exportAnswer = z
  .object({ stored: digest.describe('The digest of the file that the cloud has stored'), now: instant })
  .meta({ id: 'ExportAnswer' })
