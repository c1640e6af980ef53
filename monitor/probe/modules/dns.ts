import * as z from 'zod'
import { dnsClasses, dnsCodes, dnsTypes } from '../../wire/dns/index.ts'
import { anyPattern } from '../../wire/patterns.ts'
import { flag, ipProtocol, text, tlsConfig } from './fields.ts'
import { sourceAddress } from './source-address.ts'

/** A name of a table. @param what what it names */
function nameIn<T extends string>(table: Readonly<Record<T, number>>, what: string) {
  return z.enum(Object.keys(table) as [T], {
    error: (issue) => (issue.input === undefined ? undefined : `must be ${what}, such as ${Object.keys(table).slice(1, 3).join(' or ')}`),
  })
}

const expression = text(4096).pipe(anyPattern)

const rules = z
  .strictObject({
    fail_if_matches_regexp: z.array(expression).max(100).default([]).describe('Fail if any record matches any of these'),
    fail_if_all_match_regexp: z
      .array(expression)
      .max(100)
      .default([])
      .describe('As in blackbox_exporter: fail if not every record matches all of these'),
    fail_if_not_matches_regexp: z
      .array(expression)
      .max(100)
      .default([])
      .describe('Fail if any record does not match all of these, or if there is none'),
    fail_if_none_matches_regexp: z.array(expression).max(100).default([]).describe('Fail if no record matches any of these'),
  })
  .prefault({})

/** The section `dns` of a module. */
export const dnsSettings = z
  .strictObject({
    query_name: z
      .string()
      .regex(/^(\.|([^.]{1,63}\.)*[^.]{1,63}\.?)$/, 'must be a domain name')
      .max(253)
      .describe('Name to query'),
    query_type: nameIn(dnsTypes, 'a record type').default('ANY').describe('Type of the records'),
    query_class: nameIn(dnsClasses, 'a class').default('IN').describe('Class of the records'),
    transport_protocol: z.enum(['udp', 'tcp']).default('udp').describe('Transport of the query'),
    dns_over_tls: flag.prefault(false).describe('Whether to query over TLS, with transport_protocol tcp; the usual port is then 853'),
    tls_config: tlsConfig,
    recursion_desired: flag.prefault(true).describe('Whether to request recursion'),
    valid_rcodes: z.array(nameIn(dnsCodes, 'a response code')).default(['NOERROR']).describe('Response codes that count as success'),
    validate_answer_rrs: rules.describe('Rules for the records of the answer'),
    validate_authority_rrs: rules.describe('Rules for the records of the authority section'),
    validate_additional_rrs: rules.describe('Rules for the records of the additional section'),
    ...sourceAddress,
    ...ipProtocol,
  })
  .refine(({ dns_over_tls, transport_protocol }) => !dns_over_tls || transport_protocol === 'tcp', {
    path: ['transport_protocol'],
    error: 'must be tcp for dns_over_tls',
  })

/** The settings of a DNS probe. */
export type DnsSettings = z.output<typeof dnsSettings>
/** The rules for the records of a section. */
export type RecordRules = z.output<typeof rules>
