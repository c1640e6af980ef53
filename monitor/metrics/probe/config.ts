import { BlockList, isIP } from 'node:net'
import * as z from 'zod'
import { byteSize, duration, secretFile } from '../../../shared/fields.ts'

/** A regular expression as in blackbox_exporter's configuration, including leading flags such as `(?i)`. */
const pattern = z
  .string()
  .min(1)
  .max(500)
  .refine((source) => expressionOf(source) !== undefined, { error: 'must be a regular expression' })

/** The regular expression for a text of the configuration; undefined if the text is invalid. */
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
    insecure_skip_verify: z.boolean().default(false).describe('Accept any certificate'),
    server_name: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe("Server name to send (SNI) and to verify in the certificate; by default the target's"),
    ca_file: secretFile().optional().describe('PEM file of the CA certificates to trust, instead of those built into Node'),
    cert_file: secretFile().optional().describe('PEM file of a client certificate'),
    key_file: secretFile().optional().describe("PEM file of the client certificate's private key"),
  })
  .prefault({})
  .describe('How TLS servers are trusted')

const ipProtocol = {
  preferred_ip_protocol: z.enum(['ip4', 'ip6']).default('ip6').describe('Which addresses of a name to try first'),
  ip_protocol_fallback: z.boolean().default(true).describe('Whether to use the other addresses if a name has none of these'),
}

const headerRule = z.strictObject({
  header: z.string().min(1).max(200).describe('Name of a header field'),
  regexp: pattern.describe('Regular expression for its value'),
  allow_missing: z.boolean().default(false).describe('Whether an answer without this field passes'),
})

const httpProbe = z.strictObject({
  valid_status_codes: z.array(z.int().min(100).max(599)).default([]).describe('Statuses that count as success; 200 to 299 by default'),
  valid_http_versions: z
    .array(z.enum(['HTTP/1.0', 'HTTP/1.1']))
    .default([])
    .describe('Versions that count as success; all by default'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS']).default('GET').describe('Method of the request'),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe(
      'Additional header fields; authorization, cookie, proxy-authorization and host are not sent to another origin after a redirect',
    ),
  body: z.string().max(65_536).optional().describe('Body of the request'),
  body_size_limit: byteSize({ max: '16MiB' }).prefault('1MiB').describe('The most bytes of the body to read; the rest is ignored'),
  follow_redirects: z.boolean().default(true).describe('Follow up to ten redirects; each must be an allowed target'),
  fail_if_ssl: z.boolean().default(false).describe('Fail if the last answer came over TLS'),
  fail_if_not_ssl: z.boolean().default(false).describe('Fail if the last answer did not come over TLS'),
  fail_if_body_matches_regexp: z.array(pattern).default([]).describe('Fail if the body matches any of these'),
  fail_if_body_not_matches_regexp: z.array(pattern).default([]).describe('Fail if the body does not match all of these'),
  fail_if_header_matches: z.array(headerRule).default([]).describe('Fail if a header field matches its expression'),
  fail_if_header_not_matches: z.array(headerRule).default([]).describe('Fail if a header field does not match its expression'),
  basic_auth: z
    .strictObject({ username: z.string().max(256).describe('User name'), password_file: secretFile().describe('File with the password') })
    .optional()
    .describe('Credentials for the target; they are not sent to another origin after a redirect'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

const tcpProbe = z.strictObject({
  query_response: z
    .array(
      z.strictObject({
        expect: pattern.optional().describe('Wait for a line that matches; earlier lines are skipped'),
        send: z.string().max(65_536).optional().describe(`Then send this text and a line end; \${1} stands for the first group of expect`),
        starttls: z.boolean().default(false).describe('Then start TLS'),
      }),
    )
    .max(100)
    .default([])
    .describe('The dialogue, step by step'),
  tls: z.boolean().default(false).describe('Whether to start TLS at once'),
  tls_config: tlsConfig,
  ...ipProtocol,
})

/** DNS record types that can be queried, and their numbers (RFC 1035, section 3.2.2, and later RFCs). */
export const dnsTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, CAA: 257, ANY: 255 } as const

/** DNS response codes by number (RFC 1035, section 4.1.1). */
export const dnsCodes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const

const dnsProbe = z.strictObject({
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

const timeout = duration({ min: '10ms', max: '2m' })
  .optional()
  .describe('Longest duration of a probe; it is shorter if the scrape timeout that Prometheus sends is shorter')

/** One module, written as in blackbox_exporter's configuration. */
export const probeModule = z.discriminatedUnion('prober', [
  z.strictObject({ prober: z.literal('http'), timeout, http: httpProbe.prefault({}).describe('Settings of an HTTP probe') }),
  z.strictObject({ prober: z.literal('tcp'), timeout, tcp: tcpProbe.prefault({}).describe('Settings of a TCP probe') }),
  z.strictObject({ prober: z.literal('dns'), timeout, dns: dnsProbe.describe('Settings of a DNS probe') }),
])

/** A parsed module. */
export type ProbeModule = z.output<typeof probeModule>

/** The settings of an HTTP probe. */
export type HttpProbe = z.output<typeof httpProbe>
/** The settings of a TCP probe. */
export type TcpProbe = z.output<typeof tcpProbe>
/** The settings of a DNS probe. */
export type DnsProbe = z.output<typeof dnsProbe>
/** The section `tls_config`. */
export type ProbeTls = z.output<typeof tlsConfig>

/** The built-in modules. A configured module of the same name takes precedence. */
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

/** An address or a network, for Node's BlockList; undefined if the text is neither. */
export function networkOf(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [, address = '', bits] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  const longest = version === 4 ? 32 : 128
  const prefix = bits === undefined ? longest : Number(bits)
  if (version === 0 || prefix > longest) return undefined
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** The addresses of several networks. */
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
    .describe('Host names that may be probed; * stands for any text. Without names, only IP addresses may be probed'),
  addresses: z
    .array(network)
    .min(1)
    .describe('Addresses and networks that may be connected to; the address of a name must be among them, too'),
  ports: z.array(ports).min(1).describe('Ports and ranges of ports'),
})

/** A rule of the targets that may be probed. */
export type ProbeRule = z.output<typeof rule>

/** The section of the configuration for `/probe`. */
export const probeConfig = z.strictObject({
  allow: z
    .array(rule)
    .default([])
    .describe('Targets that may be probed; none by default. Link-local addresses and metadata services are never allowed'),
  modules: z.record(z.string(), probeModule).default({}).describe("Modules, written as in blackbox_exporter's configuration"),
  parallelism: z.int().min(1).max(1000).default(20).describe('The most probes at the same time; further ones are rejected'),
})

/** The parsed section. */
export type ProbeConfig = z.output<typeof probeConfig>
