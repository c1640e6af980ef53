import * as z from 'zod'
import { duration, secretFile } from '../../shared/fields.ts'
import { passwordHash } from './basic-auth.ts'
import { probeConfig } from './probe/config.ts'

const tls = z.strictObject({
  certFile: z.string().describe('PEM certificate chain; a new one is taken up while running'),
  keyFile: z.string().describe('PEM key of the certificate'),
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
    passwordHash: passwordHash
      .optional()
      .describe('Instead of it, its scrypt hash: $scrypt$ln=15,r=8,p=1$<salt>$<hash>, both in Base64 without padding'),
  })
  .refine(({ passwordFile, passwordHash }) => (passwordFile === undefined) !== (passwordHash === undefined), {
    error: 'needs either passwordFile or passwordHash',
  })

const hostMetrics = z.strictObject({
  enabled: z.boolean().default(true).describe('Whether processors, memory, disks and network of the host are told'),
  interval: duration({ min: '1s', max: '1h' }).prefault('15s').describe('How often they are read; file systems and temperature less often'),
})

/** The section of the monitor's configuration that is about its port: metrics, probes and health. */
export const metricsConfig = z.strictObject({
  host: z.string().default('0.0.0.0').describe('Address to listen on'),
  port: z.int().min(0).max(65_535).default(9809).describe('Port of metrics, probes and health; 0 takes any free one'),
  tls: tls.optional().describe('Certificate of the port; plain HTTP when left out'),
  basicAuth: basicAuth.optional().describe('Who may read it; health and readiness need no password'),
  hostMetrics: hostMetrics.prefault({}).describe('Metrics of the host'),
  probe: probeConfig.prefault({}).describe("Probes on request, as blackbox_exporter's"),
})

export type MetricsConfig = z.output<typeof metricsConfig>
