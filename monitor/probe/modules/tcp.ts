import * as z from 'zod'
import { discreet } from '../../../shared/discretion.ts'
import { anyPattern } from '../../wire/patterns.ts'
import { flag, ipProtocol, text, tlsConfig } from './fields.ts'
import { sourceAddress } from './source-address.ts'

const label = z.strictObject({
  name: z
    .string()
    .max(100)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of a label')
    .refine((name) => !name.startsWith('__'), 'must not begin with two underscores, as the labels of Prometheus itself do')
    .describe('Name of the label'),
  value: text(1000).prefault('').describe('Its value, with groups of expect as in send'),
})

const step = z
  .strictObject({
    expect: text(4096).pipe(anyPattern).optional().describe('Wait for a line that matches; earlier lines are skipped'),
    expect_bytes: text(65_536).optional().describe('Wait for exactly these bytes'),
    labels: z
      .array(label)
      .max(20)
      .refine((labels) => new Set(labels.map(({ name }) => name)).size === labels.length, 'must have different names')
      .optional()
      .describe('Labels of the series probe_expect_info, which is set when the line of expect has come'),
    send: text(65_536)
      .optional()
      .describe(`Then send this text and a line end; \${1} or \${name} stands for a group of expect, and $$ for a dollar sign`),
    starttls: flag.prefault(false).describe('Then start TLS'),
  })
  .refine(({ expect, expect_bytes }) => expect === undefined || !expect_bytes, 'must not have both expect and expect_bytes')

/** The section `tcp` of a module. */
export const tcpSettings = z.strictObject({
  query_response: discreet(z.array(step).max(100), 'steps').default([]).describe('The dialogue, step by step'),
  tls: flag.prefault(false).describe('Whether to start TLS at once'),
  tls_config: tlsConfig,
  ...sourceAddress,
  ...ipProtocol,
})

/** The settings of a TCP probe. */
export type TcpSettings = z.output<typeof tcpSettings>
