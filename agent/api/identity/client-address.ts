import { BlockList, isIP } from 'node:net'
import type { ApiContext } from '../context.ts'
import type { LimitsConfig } from '../limits.ts'

/** The addresses of clients behind proxies. */
export type ClientAddresses = {
  /** The address of the client, or `unknown`. */
  of(c: ApiContext): string
  /** Whether the other end of the connection is a trusted proxy, so that the connection carries the requests of several clients. */
  isShared(c: ApiContext): boolean
}

/**
 * The client is the other end of the connection, unless that is a trusted proxy and there is a header for the address. Each proxy adds the
 * address that it saw at the right of the header, so the client is the right-most address that is not a trusted proxy: everything to its left
 * is what the client itself sent. Without such a header, all requests through the tunnel have the address of cloudflared.
 */
export function createClientAddresses(config: Pick<LimitsConfig, 'clientAddressHeader' | 'trustedProxies'>): ClientAddresses {
  const { clientAddressHeader: header, trustedProxies } = config
  const proxies = new BlockList()
  for (const network of trustedProxies) {
    const [address = '', prefix] = network.split('/')
    proxies.addSubnet(address, Number(prefix), familyOf(address))
  }
  const isTrusted = (address: string) => isIP(address) !== 0 && proxies.check(address, familyOf(address))
  const peerOf = (c: ApiContext) => plain(c.env?.peer?.address ?? '')
  return {
    isShared: (c) => isTrusted(peerOf(c)),
    of(c) {
      let address = peerOf(c)
      const hops = header === undefined ? [] : (c.req.header(header) ?? '').split(',').reverse()
      for (const hop of hops) {
        const before = plain(hop.trim())
        if (!isTrusted(address) || isIP(before) === 0) break
        address = before
      }
      return address || 'unknown'
    },
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

/** Without the port and the brackets that some proxies write, and an IPv4 address in its own form where IPv6 contains it. */
function plain(address: string): string {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1] ?? address
  return bare.replace(/^::ffff:(?=[\d.]+$)/i, '')
}
