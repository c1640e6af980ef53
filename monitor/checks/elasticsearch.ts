import * as z from 'zod'
import { ask, below, httpFields, httpUrl, jsonOf, targetOfUrl } from '../wire/http-access.ts'
import { count } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: httpUrl.describe('The URL of Elasticsearch or OpenSearch, such as https://search:9200.'),
  expectNodes: z.int().min(1).optional().describe('Degraded when the cluster has fewer nodes.'),
  ...httpFields,
})

const health = z.object({
  cluster_name: z.string(),
  status: z.enum(['green', 'yellow', 'red']),
  number_of_nodes: z.number(),
  number_of_data_nodes: z.number(),
  active_shards: z.number(),
  relocating_shards: z.number(),
  initializing_shards: z.number(),
  unassigned_shards: z.number(),
  number_of_pending_tasks: z.number().default(0),
})

/** Up when the cluster's health is green. */
export const elasticsearch = checkKind({
  about:
    'Asks for `/_cluster/health`. Down when the cluster is red (data is missing). Degraded when it is yellow (copies are missing), or when nodes are missing.',
  example: { url: 'https://search.example.com:9200', username: 'monitor', passwordFile: '/etc/skerry/search-password' },
  options,
  measures: {
    skerry_elasticsearch_nodes: { type: 'gauge', help: 'Nodes of the cluster.' },
    skerry_elasticsearch_data_nodes: { type: 'gauge', help: 'Nodes that hold data.' },
    skerry_elasticsearch_shards: {
      type: 'gauge',
      help: 'Shards, by state: active, relocating, initializing, unassigned.',
      labels: ['state'],
    },
    skerry_elasticsearch_pending_tasks: { type: 'gauge', help: 'Changes of the cluster state that are pending.' },
  },
  target: ({ url }) => targetOfUrl(url),
  async check(options, { signal }) {
    const answer = await ask(options, { url: below(options.url, '/_cluster/health'), signal })
    // A cluster without a master answers 503 after half a minute. Status 408 is its own time-out, with a full answer.
    const found = await jsonOf(answer, health, { statuses: [200, 408], what: '/_cluster/health' })
    const measurements: Measurement[] = [
      { name: 'skerry_elasticsearch_nodes', value: found.number_of_nodes },
      { name: 'skerry_elasticsearch_data_nodes', value: found.number_of_data_nodes },
      { name: 'skerry_elasticsearch_pending_tasks', value: found.number_of_pending_tasks },
      ...(['active', 'relocating', 'initializing', 'unassigned'] as const).map((state) => ({
        name: 'skerry_elasticsearch_shards',
        labels: { state },
        value: found[`${state}_shards`],
      })),
    ]
    const unassigned = count(found.unassigned_shards, 'unassigned shard')
    const nodes = count(found.number_of_nodes, 'node')
    if (found.status === 'red')
      return {
        state: 'down',
        reason: 'failing',
        detail: `Red: ${unassigned}, ${nodes}. Data is missing; see GET /_cluster/allocation/explain.`,
        measurements,
      }
    if (found.status === 'yellow')
      return {
        state: 'degraded',
        reason: 'partly_unavailable',
        detail: `Yellow: ${unassigned}, ${nodes}. Copies are missing; see GET /_cluster/allocation/explain.`,
        measurements,
      }
    if (options.expectNodes !== undefined && found.number_of_nodes < options.expectNodes)
      return {
        state: 'degraded',
        reason: 'partly_unavailable',
        detail: `Green, but with ${found.number_of_nodes} of ${options.expectNodes} nodes. See the log of the missing node.`,
        measurements,
      }
    return { state: 'up', detail: `Green: ${nodes}.`, measurements }
  },
})
