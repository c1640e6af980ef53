import * as z from 'zod'
import { fileToRead } from '../../shared/fields.ts'
import { probeRule } from './access/rules.ts'
import { probeModule } from './modules/index.ts'

/** The section of the configuration for `/probe`. */
export const probeConfig = z.strictObject({
  allow: z
    .array(probeRule)
    .default([])
    .describe('Targets that may be probed; none by default. Link-local addresses and metadata services are never allowed'),
  modulesFile: fileToRead()
    .optional()
    .describe('Configuration of blackbox_exporter whose modules are had as they are; it is read again when it changes and on SIGHUP'),
  modules: z
    .record(z.string(), probeModule)
    .default({})
    .describe("Modules, written as in blackbox_exporter's configuration; one that modulesFile has too takes precedence"),
  parallelism: z.int().min(1).max(1000).default(20).describe('The most probes at the same time; further ones are rejected'),
})

/** The parsed section. */
export type ProbeConfig = z.output<typeof probeConfig>
