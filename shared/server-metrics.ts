import { type Family, family } from './prometheus.ts'
import type { ServerStatistics } from './server.ts'

/** The connections of the servers of a program, as families. @param prefix of the program: `skerry_agent` */
export function serverFamilies(prefix: string, servers: readonly ServerStatistics[]): Family[] {
  const by = (count: (server: ServerStatistics) => number) => servers.map((server) => [{ server: server.name }, count(server)] as const)
  const counter = (name: string, help: string, count: (server: ServerStatistics) => number) =>
    family('counter', `${prefix}_connections_${name}_total`, help, by(count))
  return [
    family(
      'gauge',
      `${prefix}_connections`,
      'Open connections of clients.',
      by(({ open }) => open),
    ),
    counter('spared', 'Connections that were closed to make room for new ones.', ({ spared }) => spared),
    counter('refused', 'Connections that were refused because none could be closed.', ({ refused }) => refused),
    counter('stalled', 'Connections that were closed because their client read no response for a minute.', ({ stalled }) => stalled),
    counter('out_of_descriptors', 'How often no file descriptor was left.', ({ outOfDescriptors }) => outOfDescriptors),
    family(
      'counter',
      `${prefix}_requests_malformed_total`,
      'Requests refused for their form: no HTTP, or with two readings.',
      by(({ malformed }) => malformed),
    ),
  ]
}
