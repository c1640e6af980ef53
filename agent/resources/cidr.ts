import { isIPv4, isIPv6 } from 'node:net'
import * as z from 'zod'
import { wrongType } from './wording.ts'

/** An IP network: the address as a number of 32 or 128 bits, and the length of its prefix. */
type Network = { address: bigint; bits: 32 | 128; prefix: number }

function parseIPv4(text: string): bigint {
  return text.split('.').reduce((address, octet) => (address << 8n) | BigInt(octet), 0n)
}

function parseIPv6(text: string): bigint {
  // The URL parser (WHATWG, "IPv6 serializer") writes every address the same way, and an embedded IPv4 address as two groups.
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].reduce((address, group) => (address << 16n) | BigInt(`0x${group}`), 0n)
}

function parseNetwork(text: string): Network | undefined {
  const [address = '', prefix = '', more] = text.split('/', 3)
  if (more !== undefined || !/^(0|[1-9]\d{0,2})$/.test(prefix)) return undefined
  const length = Number(prefix)
  if (isIPv4(address)) return length <= 32 ? { address: parseIPv4(address), bits: 32, prefix: length } : undefined
  if (isIPv6(address) && !address.includes('%')) {
    return length <= 128 ? { address: parseIPv6(address), bits: 128, prefix: length } : undefined
  }
  return undefined
}

function formatNetwork({ address, bits, prefix }: Network): string {
  if (bits === 32) return `${[24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n).join('.')}/${prefix}`
  const groups = Array.from({ length: 8 }, (_, index) => ((address >> BigInt(112 - 16 * index)) & 0xffffn).toString(16))
  return `${new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)}/${prefix}`
}

function withoutHostBits(network: Network): Network {
  const shift = BigInt(network.bits - network.prefix)
  return { ...network, address: (network.address >> shift) << shift }
}

/** The canonical form of a network (`2001:db8::/32`); undefined if the text is not a network or has bits set beyond its prefix. */
export function canonicalCidr(text: string): string | undefined {
  const network = parseNetwork(text)
  if (!network || withoutHostBits(network).address !== network.address) return undefined
  return formatNetwork(network)
}

/** Whether the two networks have an address in common; false if one of the texts is not a network. */
export function cidrsOverlap(one: string, other: string): boolean {
  const [a, b] = [parseNetwork(one), parseNetwork(other)]
  if (!a || !b || a.bits !== b.bits) return false
  const shift = BigInt(a.bits - Math.min(a.prefix, b.prefix))
  return a.address >> shift === b.address >> shift
}

/** Whether a network is within 127.0.0.0/8 or ::1/128: no packet from there arrives at another machine (RFC 1122, section 3.2.1.3). */
export function isLoopback(text: string): boolean {
  const network = parseNetwork(text)
  if (!network) return false
  if (network.bits === 32) return network.prefix >= 8 && network.address >> 24n === 127n
  return network.prefix === 128 && network.address === 1n
}

/** Networks from which no client calls, with the reason. */
const strangeSources: { network: string; is: string }[] = [
  { network: '0.0.0.0/8', is: '"this network", which is no source of packets' },
  { network: '169.254.0.0/16', is: 'a link-local network, whose packets no router forwards' },
  { network: 'fe80::/10', is: 'a link-local network, whose packets no router forwards' },
  { network: '224.0.0.0/4', is: 'a multicast network, which is no source of packets' },
  { network: 'ff00::/8', is: 'a multicast network, which is no source of packets' },
  { network: '240.0.0.0/4', is: 'a reserved network, which is no source of packets' },
  // The unspecified address, that of the loopback, and addresses with an IPv4 address in them; RFC 3879.
  { network: '::/16', is: 'a reserved network, which is no source of packets' },
  { network: 'fec0::/10', is: 'a reserved network, which is no source of packets' },
  { network: '224.0.0.0/3', is: 'the multicast and reserved networks, which are no sources of packets' },
]

/** Why no client calls from a network; undefined if clients may. */
function strangeSource(network: Network): string | undefined {
  return strangeSources.find(({ network: text }) => {
    const strange = parseNetwork(text)
    return strange !== undefined && isWithin(network, strange)
  })?.is
}

function isWithin(inner: Network, outer: Network): boolean {
  if (inner.bits !== outer.bits || inner.prefix < outer.prefix) return false
  const shift = BigInt(outer.bits - outer.prefix)
  return inner.address >> shift === outer.address >> shift
}

/** The share of a network's addresses, from 0 to 1, that the networks have together. */
function shareOf(texts: readonly string[], whole: Network): number {
  const networks = texts
    .map(parseNetwork)
    .filter((network): network is Network => network !== undefined)
    .map((network) => (isWithin(whole, network) ? whole : network))
    .filter((network) => isWithin(network, whole))
  const sorted = networks.sort((a, b) => a.prefix - b.prefix)
  const distinct = sorted.filter((network, index) => !sorted.slice(0, index).some((outer) => isWithin(network, outer)))
  return distinct.reduce((sum, { prefix }) => sum + 2 ** (whole.prefix - prefix), 0)
}

/** The addresses of the internet. Of IPv6, the registries give out those in 2000::/3, and no others (RFC 4291, section 2.4). */
const internet = {
  IPv4: { address: 0n, bits: 32, prefix: 0 },
  IPv6: { address: 1n << 125n, bits: 128, prefix: 3 },
} satisfies Record<string, Network>

/** What a list that admits much of the internet means, in sentences; empty for any other list. */
export function widthOf(networks: readonly string[]): string[] {
  const families = [
    { name: 'IPv4', share: shareOf(networks, internet.IPv4) },
    { name: 'IPv6', share: shareOf(networks, internet.IPv6) },
  ]
  return families
    .filter(({ share }) => share >= 0.1)
    .map(({ name, share }) => {
      const many = share >= 0.99 ? `all ${name} addresses` : `${Math.round(share * 100)} % of all ${name} addresses`
      return `The list admits ${many}: strangers on the internet can try passwords, if the external address is reachable from there.`
    })
}

/** One network. IPv6 is brought into its canonical form. Bits beyond the prefix are refused: they are more likely a mistake than intended. */
export const cidr = z
  .string(wrongType('must be a network such as "10.20.0.0/16"'))
  .max(49, 'must be a network such as "10.20.0.0/16" or "2001:db8::/32"')
  .superRefine((text, context) => {
    const network = parseNetwork(text)
    if (!network) {
      const single = isIPv4(text)
        ? `; for this one address write "${text}/32"`
        : isIPv6(text)
          ? `; for this one address write "${text}/128"`
          : ''
      context.addIssue(`must be a network such as "10.20.0.0/16" or "2001:db8::/32"${single}`)
    } else if (withoutHostBits(network).address !== network.address) {
      context.addIssue(`has bits set beyond its prefix; write "${formatNetwork(withoutHostBits(network))}"`)
    } else if (network.bits === 128 && network.address >> 32n === 0xffffn) {
      context.addIssue('is an IPv4 address inside an IPv6 address; write it as IPv4')
    } else if (isLoopback(text)) {
      context.addIssue('is the loopback network, from which nobody can call; leave the list empty to let in nobody')
    } else {
      const strange = strangeSource(network)
      if (strange !== undefined) context.addIssue(`is in ${strange}; leave it out`)
    }
  })
  .overwrite((text) => canonicalCidr(text) ?? text)
