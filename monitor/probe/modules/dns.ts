import * as z from 'zod'
import { ipProtocol } from './fields.ts'

/** DNS record types that can be queried, and their numbers (RFC 1035, section 3.2.2, and later RFCs). */
export const dnsTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, CAA: 257, ANY: 255 } as const

/** DNS response codes by number (RFC 1035, section 4.1.1). */
export const dnsCodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const

/** The section `dns` of a module. */
export const dnsSettings = z.strictObject({
  query_name: z
    .string()
    .regex(/^(\.|([^.]{1,63}\.)*[^.]{1,63}\.?)$/, 'must be a domain name')
    .max(253)
    .describe('Name to query'),
  query_type: z
    .enum(Object.keys(dnsTypes) as [keyof typeof dnsTypes])
    .default('ANY')
    .describe('Type of the records'),
  transport_protocol: z.enum(['udp', 'tcp']).default('udp').describe('Transport of the query'),
  recursion_desired: z.boolean().default(true).describe('Whether to request recursion'),
  valid_rcodes: z.array(z.enum(dnsCodes)).default(['NOERROR']).describe('Response codes that count as success'),
  ...ipProtocol,
})

/** The settings of a DNS probe. */
export type DnsSettings = z.output<typeof dnsSettings>
