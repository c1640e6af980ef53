import { BlockList, isIP } from 'node:net'
import * as z from 'zod'
import { byteSize, duration, secretFile } from '../../../shared/fields.ts'

/** A regular expression as blackbox_exporter takes it: its leading flags, such as `(?i)`, are understood too. */
const pattern = z
  .string()
  .min(1)
  .max(500)
  .refine((source) => expressionOf(source) !== undefined, { error: 'must be a regular expression' })

/** The regular expression of a text in the configuration; undefined if it is none. */
export function expressionOf(source: string): RegExp | undefined {
  const [, flags = '', rest = source] = /^\(\?([ims]+)\)(.*)$/s.exec(source) ?? []
  try {
    return new RegExp(rest, [...new Set(flags)].join(''))
  } catch {
    return undefined
  }
}

const tlsConfig = z
  .strictObject({
    insecure_skip_verify: z.boolean().default(false).describe('Connect to whatever certificate there is'),
    server_name: z.string().min(1).max(253).optional().describe("Name to ask for and to find in the certificate, if not the target's"),
    ca_file: secretFile().optional().describe('PEM authorities to trust, instead of those that Node brings'),
    cert_file: secretFile().optional().describe('PEM client certificate'),
    key_file: secretFile().optional().describe('PEM key of the client certificate'),
  })
  .prefault({})
  .describe('How TLS servers are trusted')

const ipProtocol = {
  preferred_ip_protocol: z.enum(['ip4', 'ip6']).default('ip6').describe('Which addresses of a name are used first'),
  ip_protocol_fallback: z.boolean().default(true).describe('Whether the others are used if there are none of these'),
}

const headerRule = z.strictObject({
  header: z.string().min(1).max(200).describe('Name of a header field'),
  regexp: pattern.describe('What its value is held against'),
  allow_missing: z.boolean().default(false).describe('Whether an answer without that field passes'),
})

const httpProbe = z.strictObject({
  valid_status_codes: z.array(z.int().min(100).max(599)).default([]).describe('Statuses of success; 200 to 299 when empty'),
  valid_http_versions: z
    .array(z.enum(['HTTP/1.0', 'HTTP/1.1']))
    .default([])
    .describe('Versions of success; any when empty'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET').describe('Method of the request'),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe('Further header fields; authorization, cookie, proxy-authorization and host are not sent to where it redirects'),
  body: z.string().max(65_536).optional().describe('Body of the request'),
  body_size_limit: byteSize({ max: '16MiB' }).prefault('1MiB').describe('How much of the body is read; the rest is left'),
  follow_redirects: z.boolean().default(true).describe('Follow up to ten redirects; each must be allowed as a target'),
  fail_if_ssl: z.boolean().default(false).describe('Fail if the last answer came over TLS'),
  fail_if_not_ssl: z.boolean().default(false).describe('Fail if it did not'),
  fail_if_body_matches_regexp: z.array(pattern).default([]).describe('Fail if the body matches one of these'),
  fail_if_body_not_matches_regexp: z.array(pattern).default([]).describe('Fail if the body does not match all of these'),
  fail_if_header_matches: z.array(headerRule).default([]).describe('Fail if a header field matches'),
  fail_if_header_not_matches: z.array(headerRule).default([]).describe('Fail if a header field does not match'),
  basic_auth: z
    .strictObject({ username: z.string().max(256).describe('User'), password_file: secretFile().describe('File with the password') })
    .optional()
    .describe('Sent to the target, not to where it redirects'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

const tcpProbe = z.strictObject({
  query_response: z
    .array(
      z.strictObject({
        expect: pattern.optional().describe('A line must match this; lines before it are passed over'),
        send: z.string().max(65_536).optional().describe(`Then this is sent, with a line end; \${1} stands for the first group of expect`),
        starttls: z.boolean().default(false).describe('Then TLS begins'),
      }),
    )
    .max(100)
    .default([])
    .describe('What is said, step by step'),
  tls: z.boolean().default(false).describe('Whether TLS begins at once'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

/** Types of DNS records that can be asked for, and their numbers (RFC 1035, section 3.2.2, and later ones). */
export const dnsTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, CAA: 257, ANY: 255 } as const

/** Response codes of DNS by their number (RFC 1035, section 4.1.1). */
export const dnsCodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const

const dnsProbe = z.strictObject({
  query_name: z
    .string()
    .regex(/^(\.|([^.]{1,63}\.)*[^.]{1,63}\.?)$/, 'must be a domain name')
    .max(253)
    .describe('Name to ask for'),
  query_type: z
    .enum(Object.keys(dnsTypes) as [keyof typeof dnsTypes])
    .default('ANY')
    .describe('Type of the records'),
  transport_protocol: z.enum(['udp', 'tcp']).default('udp').describe('How the name server is asked'),
  recursion_desired: z.boolean().default(true).describe('Whether the server should ask others'),
  valid_rcodes: z.array(z.enum(dnsCodes)).default(['NOERROR']).describe('Response codes of success'),
  ...ipProtocol,
})

const timeout = duration({ min: '10ms', max: '2m' })
  .optional()
  .describe('Longest time of a probe; never more than the scrape has left, which Prometheus tells')

/** One module: written as in blackbox_exporter's configuration. */
export const probeModule = z.discriminatedUnion('prober', [
  z.strictObject({ prober: z.literal('http'), timeout, http: httpProbe.prefault({}).describe('What HTTP probes do') }),
  z.strictObject({ prober: z.literal('tcp'), timeout, tcp: tcpProbe.prefault({}).describe('What TCP probes do') }),
  z.strictObject({ prober: z.literal('dns'), timeout, dns: dnsProbe.describe('What DNS probes do') }),
])

/** A module as it is used. */
export type ProbeModule = z.output<typeof probeModule>
export type HttpProbe = z.output<typeof httpProbe>
export type TcpProbe = z.output<typeof tcpProbe>
export type DnsProbe = z.output<typeof dnsProbe>
export type ProbeTls = z.output<typeof tlsConfig>

/** Modules that are there without configuration; one of the same name replaces it. */
export const builtInModules: Readonly<Record<string, z.input<typeof probeModule>>> = {
  http_2xx: { prober: 'http' },
  http_post_2xx: { prober: 'http', http: { method: 'POST' } },
  tcp_connect: { prober: 'tcp' },
  tls_connect: { prober: 'tcp', tcp: { tls: true } },
  ssh_banner: { prober: 'tcp', tcp: { query_response: [{ expect: '^SSH-2.0-' }, { send: 'SSH-2.0-skerry' }] } },
  dns_udp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A' } },
  dns_tcp: { prober: 'dns', dns: { query_name: 'kubernetes.default.svc.cluster.local', query_type: 'A', transport_protocol: 'tcp' } },
}

const network = z.string().refine((text) => networkOf(text) !== undefined, 'must be an IP address, or a network such as 10.0.0.0/8')

/** An address or a network as Node's BlockList takes it; undefined if the text is none. */
export function networkOf(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [, address = '', bits] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  const longest = version === 4 ? 32 : 128
  const prefix = bits === undefined ? longest : Number(bits)
  if (version === 0 || prefix > longest) return undefined
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** The addresses of some networks. */
export function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const each of networks) {
    const found = networkOf(each)
    if (found !== undefined) list.addSubnet(found.address, found.prefix, found.family)
  }
  return list
}

const ports = z.union([
  z.int().min(1).max(65_535),
  z
    .string()
    .regex(/^\d{1,5}-\d{1,5}$/, 'must be a port or a range such as 8000-8100')
    .transform((text) => text.split('-').map(Number) as [number, number])
    .refine(([from, to]) => from >= 1 && from <= to && to <= 65_535, 'must be a range of ports from 1 to 65535'),
])

const rule = z.strictObject({
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9_.*-]{1,253}$/, 'must be a host name, in which * stands for anything'))
    .default([])
    .describe('Names that may be asked for, in which * stands for anything; without one, only addresses may'),
  addresses: z
    .array(network)
    .min(1)
    .describe('Addresses and networks to which connections may go: what a name resolves to must be among them, too'),
  ports: z.array(ports).min(1).describe('Ports and ranges of ports'),
})

/** What may be probed. */
export type ProbeRule = z.output<typeof rule>

/** The section of the configuration that is about `/probe`. */
export const probeConfig = z.strictObject({
  allow: z
    .array(rule)
    .default([])
    .describe('Targets that may be probed: nothing by default. Link-local addresses and metadata services never are'),
  modules: z.record(z.string(), probeModule).default({}).describe("Modules, written as in blackbox_exporter's configuration"),
  parallelism: z.int().min(1).max(1000).default(20).describe('Probes at the same time; further ones are turned away'),
})

export type ProbeConfig = z.output<typeof probeConfig>
