import * as z from 'zod'
import { flag, ipProtocol } from './fields.ts'
import { sourceAddress } from './source-address.ts'

/** The section `icmp` of a module. */
export const icmpSettings = z.strictObject({
  payload_size: z.int().min(0).max(65_507).default(0).describe('Bytes to send; 0 means 28, as in blackbox_exporter'),
  dont_fragment: flag.prefault(false).describe('Forbid to fragment the packet; IPv4 only, and only with the ping of iputils'),
  ttl: z.int().min(0).max(255).default(64).describe("Time to live, or hop limit; 0 means the system's"),
  ...sourceAddress,
  ...ipProtocol,
})

/** The settings of an ICMP probe. */
export type IcmpSettings = z.output<typeof icmpSettings>
