import * as z from 'zod'
import { credential } from './identifiers.ts'

// The first character is `[A-Za-z0-9]`: the value becomes an argument or a variable of the backup image, and must not look like an option.
/** The name of a bucket, a region or the like. @param what its kind, for the message */
export const plainName = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, `must be ${what}: letters, digits, "." "_" and "-"`)

/** A folder in a bucket. */
export const basePath = z
  .string()
  .max(512)
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/,
    'must be a path such as "harbour/tidal-gauge", of letters, digits, "." "_" and "-"',
  )

/** A credential that a read never returns. @param needed when it must be given */
export const writeOnly = (what: string, example: string, needed = 'required at creation') =>
  credential.optional().describe(`${what}; ${needed}, never returned`).meta({ example, writeOnly: true })

/** The address of a store that is compatible with S3, without a path. */
export const hostUrl = z
  .string()
  .max(512)
  .regex(
    /^https?:\/\/[A-Za-z0-9.-]+(:\d{1,5})?\/?$/,
    'must be a URL such as "https://s3.harbour.example" without a path: CrateDB reads the host and the port only',
  )

/** The address of a store that is compatible with S3. */
export const endpointUrl = z
  .string()
  .max(512)
  .regex(
    /^https?:\/\/[A-Za-z0-9.-]+(:\d{1,5})?(\/[A-Za-z0-9._/-]*)?$/,
    'must be a URL such as "https://s3.harbour.example"; an IPv6 address needs a name',
  )
