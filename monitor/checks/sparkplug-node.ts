import * as z from 'zod'
import { CheckFailure } from '../wire/reasons.ts'
import { checkKind, type Measurement, type SparkplugNodeState } from './kind.ts'

const options = z.strictObject({
  node: z.string().min(1).max(500).describe('Name of the SparkplugNode as namespace/name, or address of the edge node as group/node.'),
})

const states: SparkplugNodeState['state'][] = ['online', 'silent', 'offline', 'dead', 'unseen']

/** Up while the watched edge node sends messages within its interval. */
export const sparkplugNode = checkKind({
  about:
    'Reports what the monitor hears from a watched Sparkplug edge node. Degraded when the node has been silent for its interval, upon which the monitor requests a rebirth. Down when it has been silent for three intervals, or when its death certificate arrived. Unknown while the monitor itself has no connection to its broker.',
  example: { node: 'harbour/crane-7' },
  options,
  measures: {
    skerry_sparkplug_node_state: { type: 'gauge', help: '1 for the current state of the node, 0 for the others.', labels: ['state'] },
    skerry_sparkplug_node_last_seen_timestamp_seconds: { type: 'gauge', help: 'When the last message of the node arrived.' },
    skerry_sparkplug_node_rebirth_requests_total: { type: 'counter', help: 'Rebirths requested from the node.' },
  },
  target: ({ node }) => node,
  async check({ node }, { sparkplugNode, now = Date.now }) {
    if (sparkplugNode === undefined)
      throw new CheckFailure(
        'misconfigured',
        'This monitor has no MQTT broker, so it hears from no edge node. Configure a broker in the section sparkplug.',
      )
    const found = sparkplugNode(node)
    if (found === undefined)
      throw new CheckFailure('missing', 'No such edge node is watched. Create a SparkplugNode for it, or correct the name.')
    if (found === 'unheard')
      return {
        state: 'unknown',
        reason: 'monitor_disconnected',
        detail: 'The monitor itself has no connection to its MQTT broker, so it hears from no edge node. See /readyz.',
        measurements: [], // the last ones may no longer be true
      }
    const measurements = measure(found)
    const ago = found.lastSeen === undefined ? 'never' : `${Math.max(0, Math.round((now() - found.lastSeen) / 1000))} s ago`
    switch (found.state) {
      case 'online':
        return { state: 'up', detail: `The last message arrived ${ago}.`, measurements }
      case 'silent':
        return {
          state: 'degraded',
          reason: 'timeout',
          detail: `The node is silent; its last message arrived ${ago}. A rebirth was requested. Check the device and its network.`,
          measurements,
        }
      case 'offline':
        return {
          state: 'down',
          reason: 'timeout',
          detail: `The node is silent; its last message arrived ${ago}. It did not answer rebirth requests. Check the device and its network.`,
          measurements,
        }
      case 'dead':
        return {
          state: 'down',
          reason: 'connection_lost',
          detail: `The node's death certificate arrived; its last message arrived ${ago}. Check the device and its connection to the broker.`,
          measurements,
        }
      case 'unseen':
        return {
          // The monitor has not listened for a whole interval yet; after that the node is silent, then offline.
          state: 'degraded',
          reason: 'missing',
          detail:
            'No message has arrived yet. If this persists, check that the node publishes to this broker, and that group and name are right.',
          measurements,
        }
    }
  },
})

function measure({ state, lastSeen, rebirthRequests }: SparkplugNodeState): Measurement[] {
  const measurements: Measurement[] = states.map((each) => ({
    name: 'skerry_sparkplug_node_state',
    labels: { state: each },
    value: each === state ? 1 : 0,
  }))
  if (lastSeen !== undefined) measurements.push({ name: 'skerry_sparkplug_node_last_seen_timestamp_seconds', value: lastSeen / 1000 })
  if (rebirthRequests !== undefined) measurements.push({ name: 'skerry_sparkplug_node_rebirth_requests_total', value: rebirthRequests })
  return measurements
}
