import * as z from 'zod'

/** The section `log` of a program's configuration. */
export const logConfig = z
  .strictObject({
    level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Lowest level that is written'),
    format: z
      .enum(['auto', 'json', 'text'])
      .default('auto')
      .describe('Lines of JSON, or of text for people; auto is text on a terminal, and else JSON'),
  })
  .prefault({})
  .describe('Log on standard output')
