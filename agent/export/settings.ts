import * as z from 'zod'
import { duration, fileToRead } from '../../shared/fields.ts'
import { importSection } from '../region-file/import/settings.ts'
import { basePath, endpointUrl, plainName } from '../resources/bucket-fields.ts'

const bucket = z.strictObject({
  bucket: plainName('the name of a bucket').describe('Bucket on S3 or a compatible store'),
  region: plainName('the name of a region').optional().describe('Region of the bucket'),
  endpointUrl: endpointUrl.optional().describe("Address of the store, where it is not Amazon's; it may be in the cluster"),
  basePath: basePath.optional().describe('Folder in the bucket; the file is in regions/<region> below it'),
  pathStyle: z.boolean().optional().describe("Whether the bucket is in the path of URLs rather than in the host's name"),
  accessKeyIdFile: fileToRead().describe('File with the access key'),
  secretAccessKeyFile: fileToRead().describe('File with the secret access key; new keys take effect with the next file'),
  caFile: fileToRead().optional().describe("PEM CA certificates that the store's certificate may come from, besides those of the system"),
  keep: z.int().min(1).max(900).default(30).describe('How many files of this region stay in the bucket'),
})

/** The section `recovery` of the configuration. */
export const recoverySection = z.strictObject({
  export: z
    .strictObject({
      cloud: z.boolean().default(true).describe('Whether the cloud of the region gets the file, where the region has one'),
      bucket: bucket.optional().describe('The bucket that gets the file; none by default'),
      file: z
        .string()
        .regex(/^\/.*[^/]$/, 'must be the absolute path of a file')
        .max(4096)
        .optional()
        .describe('The path at which whoever leads writes the file, with mode 0600; none by default. In a pod it needs a volume'),
      debounce: duration({ min: '1s', max: '1h' }).prefault('60s').describe('How long changes are gathered before another file is made'),
      every: duration({ min: '10m', max: '7d' })
        .prefault('24h')
        .describe('The longest time between two files at a place, also if nothing has changed'),
      recipientFile: fileToRead()
        .optional()
        .describe(
          'Public key (PEM, or JWK) of whoever may open the secrets of databases: EC on P-256, P-384 or P-521, or X25519. With it, the file has ' +
            'these secrets, encrypted for that key. Without it, which is the default, the file has none',
        ),
    })
    .prefault({})
    .describe('The file that the region can be made again from, and where it is kept'),
  import: importSection.prefault({}).describe('Which volumes an import may make again'),
})
export type RecoveryConfig = z.output<typeof recoverySection>
