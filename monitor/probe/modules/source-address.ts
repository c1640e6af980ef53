import { isIP } from 'node:net'
import * as z from 'zod'

/** The address that a probe is sent from. Spread into the settings of a prober. */
export const sourceAddress = {
  source_ip_address: z
    .string()
    .max(45)
    .refine((text) => text === '' || isIP(text) !== 0, 'must be an IP address')
    .optional()
    // As in blackbox_exporter, an empty text is none.
    .transform((text) => (text === '' ? undefined : text))
    .describe("IP address of this machine to send from; by default the system's choice"),
}
