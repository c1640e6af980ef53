import { type BlockList, isIP } from 'node:net'
import { blockListOf, networkOf, type ProbeRule } from './rules.ts'

/** What `createAccess` returns. */
export type Access = ReturnType<typeof createAccess>

/**
 * Addresses that no rule can allow: link-local addresses and the metadata services of clouds, which hand out credentials to any caller
 * inside; unspecified, multicast and broadcast addresses; and addresses in which another address could hide.
 */
const never = blockListOf([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200', // Alibaba Cloud's metadata service
  '168.63.129.16', // Azure's
  '192.0.0.192', // Oracle's
  '224.0.0.0/4',
  '255.255.255.255',
  'fe80::/10',
  'fd00:ec2::254', // Amazon's, on IPv6
  'fd20:ce::254', // Google's
  'ff00::/8',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
])

const loopback = blockListOf(['127.0.0.0/8', '::1'])

/** Decides which targets may be probed: a single rule must allow name, address and port together. Without rules, nothing is allowed. */
export function createAccess(rules: readonly ProbeRule[]) {
  const compiled = rules.map(compile)

  /** Whether a connection for this host may go to this address. For a target given as an address, the host is that address. */
  function mayConnect(host: string, address: string, port: number): boolean {
    const found = plain(address)
    if (found === undefined) return false
    return compiled.some((rule) => rule.hasPort(port) && (isIP(host) !== 0 || rule.hasName(host)) && rule.hasAddress(found))
  }
  return {
    mayConnect,
    /** Whether a rule could allow this host at this port. Asked before the name is resolved, so that nobody can resolve other names. */
    mayAsk(host: string, port: number): boolean {
      if (isIP(host) !== 0) return mayConnect(host, host, port)
      return compiled.some((rule) => rule.hasPort(port) && rule.hasName(host))
    },
  }
}

function compile({ hosts, addresses, ports }: ProbeRule) {
  const names = hosts.map((glob) => new RegExp(`^${normal(glob).split('*').map(escaped).join('.*')}$`))
  const networks = blockListOf(addresses)
  // Services on loopback trust local callers. A rule must name loopback itself: one for all addresses does not include it.
  const inside = blockListOf(addresses.filter(isInLoopback))
  return {
    hasName: (host: string) => names.some((name) => name.test(normal(host))),
    hasPort: (port: number) => ports.some((each) => (typeof each === 'number' ? each === port : port >= each[0] && port <= each[1])),
    hasAddress: ({ address, embedded }: Address): boolean =>
      isIn(isIn(loopback, address) ? inside : networks, address) &&
      (embedded === undefined || isIn(isIn(loopback, embedded) ? inside : networks, embedded)),
  }
}

function isInLoopback(text: string): boolean {
  const network = networkOf(text)
  return network !== undefined && isIn(loopback, network.address) && network.prefix >= 8
}

/** A name without case and without the root's dot, for comparison. */
function normal(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}

function escaped(text: string): string {
  return text.replace(/[^a-z0-9_-]/g, '\\$&')
}

/** An address, and the IPv4 address that NAT64 would translate it to. */
type Address = { address: string; embedded: string | undefined }

/** The address in its plain form; undefined if no connection may ever go there. */
function plain(address: string): Address | undefined {
  let found: Address
  if (isIP(address) === 4) found = { address, embedded: undefined }
  else {
    const words = wordsOf(address)
    if (words === undefined) return undefined
    const last = [words[6], words[7]].flatMap((word = 0) => [word >> 8, word & 255]).join('.')
    const leading = words.slice(0, 6).join()
    if (leading === '0,0,0,0,0,65535') found = { address: last, embedded: undefined }
    else if (leading === '0,0,0,0,0,0' && !isIn(loopback, address)) return undefined
    else found = { address, embedded: leading === `${0x64},${0xff9b},0,0,0,0` ? last : undefined }
  }
  if (isIn(never, found.address) || (found.embedded !== undefined && isIn(never, found.embedded))) return undefined
  return found
}

/** The eight words of an IPv6 address; undefined for any other text, and for an address with a zone. */
export function wordsOf(address: string): number[] | undefined {
  if (isIP(address) !== 6 || address.includes('%')) return undefined
  // The URL parser normalizes every notation to hexadecimal words.
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const words = (text = '') => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const [before, after] = [words(left), words(right)]
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}
