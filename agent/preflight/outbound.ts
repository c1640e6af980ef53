import type { Evidence, Reached } from './evidence.ts'
import { type Finding, ok, warn } from './finding.ts'

/** What to do, by how it went. */
const actions: Record<Exclude<Reached['outcome'], 'reached'>, string> = {
  unresolved: 'Let the DNS of the site answer for this name; or give a proxy with --https-proxy.',
  refused: 'Open the firewall for this host and port; or give a proxy with --https-proxy.',
  silent: 'Open the firewall for this host and port, which drops what is sent there; or give a proxy with --https-proxy.',
  'proxy-unreachable': 'Correct the address of the proxy, or start it.',
  'proxy-refused':
    'Let the proxy connect to this host and port; give a user and a password as http://user:password@host:port if it asks for them.',
  untrusted: 'Something in between presents a certificate of its own: give its authority with --ca-file, to containers and nodes too.',
}

/**
 * Whether what is needed from outside can be reached from the machine that asks. Never a failure: the nodes may have another way, and
 * mirrors can stand in for all of it.
 */
export function outbound({ reached }: Evidence): Finding[] {
  if (!reached) return []
  const missed = reached.filter(({ outcome }) => outcome !== 'reached')
  if (missed.length === 0) return [ok('outbound', `all ${reached.length} hosts outside are reached`)]
  return missed.map(({ host, port, proxy, outcome, detail, neededFor }) => {
    const way = proxy === undefined ? '' : ` through the proxy ${proxy}`
    const action = `${actions[outcome as keyof typeof actions]} Without internet: install.sh --offline DIR.`
    return warn(`outbound/${host}:${port}`, `${host}:${port} is not reached${way}: ${detail}`, `From there comes ${neededFor}.`, action)
  })
}
