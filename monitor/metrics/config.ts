import * as z from 'zod'
import { discreet } from '../../shared/discretion.ts'
import { duration, fileToRead, secretFile } from '../../shared/fields.ts'
import { probeConfig } from '../probe/index.ts'
import { passwordHash } from './basic-auth.ts'

const tls = z.strictObject({
  certFile: fileToRead().describe('PEM certificate chain; a new one is loaded without a restart'),
  keyFile: fileToRead().describe('PEM key of the certificate'),
})

const basicAuth = z
  .strictObject({
    username: z
      .string()
      .min(1)
      .max(256)
      .regex(/^[^:]*$/, 'must not have a colon')
      .describe('User'),
    passwordFile: secretFile().optional().describe('File with the password'),
    passwordHash: discreet(passwordHash, 'whole')
      .optional()
      .describe('scrypt hash of the password, instead of the file: $scrypt$ln=15,r=8,p=1$<salt>$<hash>, both in Base64 without padding'),
  })
  .refine(({ passwordFile, passwordHash }) => (passwordFile === undefined) !== (passwordHash === undefined), {
    error: 'needs either passwordFile or passwordHash',
  })

const hostMetrics = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether there are metrics of the processors, memory, disks and network of the host'),
  interval: duration({ min: '1s', max: '1h' })
    .prefault('15s')
    .describe('Interval at which they are read; longer for file systems and temperature'),
})

/** The section of the monitor's configuration for its port: metrics, probes and health. */
export const metricsConfig = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: z.int().min(0).max(65_535).default(9809).describe('Port of metrics, probes and health; 0 is any free port'),
  tls: tls.optional().describe('Certificate for HTTPS; plain HTTP when left out'),
  basicAuth: basicAuth.optional().describe('User and password; health and readiness need none'),
  hostMetrics: hostMetrics.prefault({}).describe('Metrics of the host'),
  probe: probeConfig.prefault({}).describe('Probes on request, as of blackbox_exporter'),
})

export type MetricsConfig = z.output<typeof metricsConfig>
