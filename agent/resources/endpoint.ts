import { BlockList, isIP, isIPv4 } from 'node:net'

/** What the site says about endpoints inside it. */
export type EndpointRules = {
  /** Hosts, domains (`.storage.svc`) and networks that backups may use although they are inside the cluster. */
  allowed: readonly string[]
  /** The networks of pods and Services. There is one for each node, so they are not listed unless they are needed. */
  clusterNetworks: () => readonly string[]
  /** Namespaces with Services of Skerry. */
  namespaces: readonly string[]
}

const families = [
  { is: 'a loopback address, which is the pod of the backup itself', networks: ['127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128'] },
  {
    is: "a link-local address, such as that of a cloud's metadata service, which returns credentials",
    // The metadata services of Amazon on IPv6, Google on IPv6, Alibaba, Azure and Oracle have other addresses.
    networks: [
      '169.254.0.0/16',
      'fe80::/10',
      'fd00:ec2::254/128',
      'fd20:ce::254/128',
      '100.100.100.200/32',
      '168.63.129.16/32',
      '192.0.0.192/32',
    ],
  },
  { is: 'a multicast or reserved address', networks: ['224.0.0.0/3', 'ff00::/8'] },
  // Those of old transitions to IPv6, and of translators of the site.
  { is: 'an address in which another one is hidden', networks: ['::/96', '2001::/32', '2002::/16', '64:ff9b:1::/48'] },
].map(({ is, networks }) => ({ is, list: blockList(networks) }))

/**
 * Why backups must not use a URL; undefined if they may. Credentials are sent to it from inside the cluster, so a caller must not choose what
 * only the cluster can reach. The URL parser reads every form of an address: `http://2130706433` and `http://0x7f.1` are `127.0.0.1`.
 *
 * It checks what the URL says. Names are resolved later, by the pods of the backup: a name outside the cluster that resolves to an address
 * inside it is not recognized, nor is a name of two parts that is a domain, and that the search domains of a pod complete to that of a Service.
 * The agent itself checks the addresses too when it connects (`resolvedFault`).
 * @param asked the host that is asked, where it is not that of the URL: with a bucket before it, the name may be that of a Service
 */
export function endpointFault(url: string, rules: EndpointRules, asked?: string): string | undefined {
  let host: string
  try {
    host = hostOf(new URL(url))
  } catch {
    return 'must be a URL with a valid host'
  }
  if (rules.allowed.some((each) => covers(each, host))) return undefined
  const reasonOf = (name: string) => (isIP(name) === 0 ? reasonOfName(name, rules) : reasonOfAddress(name, rules))
  const [own, below] = [reasonOf(host), asked && reasonOf(asked.toLowerCase())]
  const reason = own ?? below
  return (
    reason &&
    `must be outside the cluster: "${own === undefined ? asked : host}" is ${reason}; the site can allow it in databases.backupEndpoints.allowed`
  )
}

/**
 * Why an endpoint must not be used whose host has resolved to this address; undefined if it may. A host that the site allows by its name may
 * have any address.
 */
export function resolvedFault(endpoint: URL, address: string, rules: EndpointRules): string | undefined {
  const host = hostOf(endpoint)
  if (rules.allowed.some((each) => covers(each, host) || covers(each, address))) return undefined
  const reason = reasonOfAddress(address, rules)
  return reason && `"${host}" resolves to ${address}, which is ${reason}`
}

/** The host of a URL without the brackets of an IPv6 address, and without the dot that ends an absolute name. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

function reasonOfAddress(address: string, { clusterNetworks }: EndpointRules): string | undefined {
  const found = families.find(({ list }) => isIn(list, address))
  if (found) return found.is
  return isIn(blockList(clusterNetworks()), address) ? 'an address of pods or Services' : undefined
}

function reasonOfName(name: string, { namespaces }: EndpointRules): string | undefined {
  if (name === 'localhost' || name.endsWith('.localhost')) return 'a loopback address, which is the pod of the backup itself'
  if (name === 'metadata.google.internal') return "a cloud's metadata service, which returns credentials"
  const labels = name.split('.')
  // 169-254-169-254.default.pod is 169.254.169.254, with CoreDNS as most clusters have it.
  if (labels.includes('pod')) return 'the name of a pod'
  const isService = labels.length === 1 || labels.includes('svc') || name.endsWith('.cluster.local') || name === 'kubernetes.default'
  return isService || (labels.length === 2 && isNamespace(labels[1] ?? '', namespaces)) ? 'the name of a Service' : undefined
}

/** Whether the last of two labels is a namespace rather than a top-level domain: these have no digits, and no hyphens unless encoded. */
function isNamespace(label: string, namespaces: readonly string[]): boolean {
  return namespaces.includes(label) || (/[-\d]/.test(label) && !label.startsWith('xn--'))
}

/** Whether an entry of `allowed` stands for the host: itself, a domain that it is in, or a network. */
function covers(entry: string, host: string): boolean {
  if (entry.includes('/')) return isIP(host) !== 0 && isIn(blockList([entry]), host)
  return entry.startsWith('.') ? host.endsWith(entry) : host === entry
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return list
}

/** What translates IPv6 to IPv4 for a network of IPv6 alone (RFC 6052): the last 32 bits are the IPv4 address. */
const translated = blockList(['64:ff9b::/96'])

/** An IPv4 address inside an IPv6 address counts as itself. */
function isIn(list: BlockList, address: string): boolean {
  if (isIPv4(address)) return list.check(address, 'ipv4')
  return list.check(address, 'ipv6') || (translated.check(address, 'ipv6') && list.check(mapped(address), 'ipv6'))
}

/** An address of RFC 6052 as the IPv4-mapped one, which a list compares with its IPv4 networks. The URL parser writes it in its short form. */
function mapped(address: string): string {
  const [, , ...last] = hostOf(new URL(`http://[${address.replace(/%.*$/, '')}]`)).split(':')
  const [high, low] = ['0', '0', ...last.filter((group) => group !== '')].slice(-2)
  return `::ffff:${high}:${low}`
}
