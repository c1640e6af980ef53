import { listed } from '../region/obstacles/evidence.ts'
import type { Evidence, Reached } from './evidence.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** The action for each outcome. */
const actions: Record<Exclude<Reached['outcome'], 'reached'>, string> = {
  unresolved: 'Make the DNS of the site resolve this name, or set a proxy with --https-proxy.',
  refused: 'Open the firewall for this host and port, or set a proxy with --https-proxy.',
  silent: 'Open the firewall, which drops packets to this host and port, or set a proxy with --https-proxy.',
  'proxy-unreachable': 'Correct the address of the proxy, or start it.',
  'proxy-refused': 'Allow this host and port in the proxy. If it requires a user and a password, set http://user:password@host:port.',
  untrusted:
    'A device in between presents its own certificate: pass its CA certificate with --ca-file, and install it in containers and on nodes too.',
}

/**
 * Whether the required hosts outside can be reached from this machine. It is a failure only if install.sh, on this machine, cannot fetch a chart
 * that databases need. The nodes may have another way out, and mirrors can provide all of their images.
 */
export function outbound({ reached }: Evidence): Finding[] {
  if (!reached || reached.length === 0) return []
  const missed = reached.filter(({ outcome }) => outcome !== 'reached')
  if (missed.length === 0) return [ok('outbound', `hosts outside are reached: all ${reached.length}`)]
  return [...Map.groupBy(reached, ({ proxy }) => proxy).values()].flatMap(judgeWay)
}

/** @param reached hosts that were tried directly, or through the same proxy */
function judgeWay(reached: Reached[]): Finding[] {
  const missed = reached.filter(({ outcome }) => outcome !== 'reached')
  const [first] = missed
  if (!first) return []
  const { host, proxy, detail } = first
  const way = proxy === undefined ? '' : ` through the proxy ${proxy}`
  // If no host is reached there is one cause, such as a site without DNS, and so one warning.
  if (missed.length === reached.length && missed.length > 1 && missed.every(({ outcome }) => outcome === first.outcome)) {
    const names = missed.map(({ host, port }) => `${host}:${port}`)
    const what = `none of the ${missed.length} hosts outside is reached${way}: ${host}: ${detail}`
    const why = `Charts, images and the tunnel need them: ${listed(names, names.length)}.`
    return [levelOf(missed)(proxy === undefined ? 'outbound' : `outbound/${proxy}`, what, why, actionFor(first))]
  }
  return missed.map((each) => {
    const { host, port, detail, neededFor } = each
    const what = `${host}:${port} is not reached${way}: ${detail}`
    return levelOf([each])(`outbound/${host}:${port}`, what, `Needed for ${neededFor}.`, actionFor(each))
  })
}

function levelOf(missed: Reached[]): typeof fail {
  return missed.some(({ vital }) => vital) ? fail : warn
}

function actionFor({ outcome }: Reached): string {
  return `${actions[outcome as keyof typeof actions]} Without internet: ./install.sh --offline DIR.`
}
