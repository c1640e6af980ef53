import { BlockList, isIP } from 'node:net'
import * as z from 'zod'

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

/** What stands for the port of a ping, which has none. No rule for ports includes it. */
export const icmpPort = 0

const ports = z.union([
  z.int().min(1).max(65_535),
  z.literal('icmp').transform(() => icmpPort),
  z
    .string()
    .regex(/^\d{1,5}-\d{1,5}$/, 'must be a port or a range such as 8000-8100')
    .transform((text) => text.split('-').map(Number) as [number, number])
    .refine(([from, to]) => from >= 1 && from <= to && to <= 65_535, 'must be a range of ports from 1 to 65535'),
])

/** A rule of the targets that may be probed. */
export const probeRule = z.strictObject({
  hosts: z
    .array(z.string().regex(/^[A-Za-z0-9_.*-]{1,253}$/, 'must be a host name, in which * stands for anything'))
    .default([])
    .describe('Host names that may be probed; * stands for any text. Without names, only IP addresses may be probed'),
  addresses: z
    .array(network)
    .min(1)
    .describe('Addresses and networks that may be connected to; the address of a name must be among them, too'),
  ports: z.array(ports).min(1).describe('Ports and ranges of ports; icmp allows to ping the addresses'),
})

/** A parsed rule. */
export type ProbeRule = z.output<typeof probeRule>
