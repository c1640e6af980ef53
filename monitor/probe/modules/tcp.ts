import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { pattern } from '../../wire/patterns.ts'
import { ipProtocol, tlsConfig } from './fields.ts'

/** The section `tcp` of a module. */
export const tcpSettings = z.strictObject({
  query_response: discreet(
    z
      .array(
        z.strictObject({
          expect: pattern.optional().describe('Wait for a line that matches; earlier lines are skipped'),
          send: z
            .string()
            .max(65_536)
            .optional()
            .describe(`Then send this text and a line end; \${1} stands for the first group of expect`),
          starttls: z.boolean().default(false).describe('Then start TLS'),
        }),
      )
      .max(100),
    'steps',
  )
    .default([])
    .describe('The dialogue, step by step'),
  tls: z.boolean().default(false).describe('Whether to start TLS at once'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

/** The settings of a TCP probe. */
export type TcpSettings = z.output<typeof tcpSettings>
