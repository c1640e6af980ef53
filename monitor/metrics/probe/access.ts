import { type BlockList, isIP } from 'node:net'
import { blockListOf, networkOf, type ProbeRule } from './config.ts'

/** Who may be probed. */
export type Access = {
  /** Whether any rule may allow this name or address at this port: asked before the name is resolved, so that nobody can use us to resolve others. */
  mayAsk(host: string, port: number): boolean
  /** Whether a connection may go to this address on behalf of that name, which is the address itself if that was asked for. */
  mayConnect(host: string, address: string, port: number): boolean
}

/**
 * Never, whatever a rule says: link-local addresses and the metadata services of clouds, which hand out credentials to whoever asks from
 * inside; and addresses that are nobody's, everybody's, or a wrapping in which another address would hide.
 */
const never = blockListOf([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200', // Alibaba Cloud's metadata
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

/** Access by rules; one of them must allow name, address and port together. None allow anything. */
export function createAccess(rules: readonly ProbeRule[]): Access {
  const compiled = rules.map(compile)

  const mayConnect = (host: string, address: string, port: number): boolean => {
    const found = plain(address)
    if (found === undefined) return false
    return compiled.some((rule) => rule.hasPort(port) && (isIP(host) !== 0 || rule.hasName(host)) && rule.hasAddress(found))
  }
  return {
    mayAsk(host, port) {
      if (isIP(host) !== 0) return mayConnect(host, host, port)
      return compiled.some((rule) => rule.hasPort(port) && rule.hasName(host))
    },
    mayConnect,
  }
}

function compile({ hosts, addresses, ports }: ProbeRule) {
  const names = hosts.map((glob) => new RegExp(`^${normal(glob).split('*').map(escaped).join('.*')}$`))
  const networks = blockListOf(addresses)
  // What listens on loopback trusts whoever is inside. A rule must name it; one for "all addresses" does not.
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

/** Names are compared without case and without the dot of the root. */
function normal(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}

function escaped(text: string): string {
  return text.replace(/[^a-z0-9_-]/g, '\\$&')
}

/** An address, and the IPv4 address that a translator would make of it. */
type Address = { address: string; embedded: string | undefined }

/** What an address really is; undefined if it may never be connected to. */
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

/** The eight words of an IPv6 address; undefined if it is none, or has a zone. */
function wordsOf(address: string): number[] | undefined {
  if (isIP(address) !== 6 || address.includes('%')) return undefined
  // The URL parser brings every way of writing it into one, with hexadecimal words.
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const words = (text = '') => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const [before, after] = [words(left), words(right)]
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}
