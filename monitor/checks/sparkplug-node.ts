import * as z from 'zod'
import { CheckFailure } from '../wire/reasons.ts'
import { checkKind, type Measurement, type SparkplugNodeState } from './kind.ts'

const options = z.strictObject({
  node: z
    .string()
    .min(1)
    .max(500)
    .describe('Name of the SparkplugNode, as namespace/name, or the address of the edge node, as group/node.'),
})

const states: SparkplugNodeState['state'][] = ['online', 'silent', 'offline', 'dead', 'unseen']

/** Up while the watched edge node is heard of within its interval. */
export const sparkplugNode = checkKind({
  about:
    'Tells what the monitor hears of a watched Sparkplug edge node. Degraded when it was silent for its interval and a rebirth was asked for; down when it was silent for three, or its death certificate came. Unknown while the monitor itself has no connection to its broker.',
  example: { node: 'harbour/crane-7' },
  options,
  measures: {
    skerry_sparkplug_node_state: { type: 'gauge', help: '1 for the state it is in, 0 for the others.', labels: ['state'] },
    skerry_sparkplug_node_last_seen_timestamp_seconds: { type: 'gauge', help: 'When its last message came.' },
    skerry_sparkplug_node_rebirth_requests_total: { type: 'counter', help: 'Rebirths that were asked of it.' },
  },
  target: ({ node }) => node,
  async check({ node }, { sparkplugNode, now = Date.now }) {
    if (sparkplugNode === undefined)
      throw new CheckFailure(
        'misconfigured',
        'This monitor is connected to no MQTT broker, so it hears of no edge node. Give it one in sparkplug.',
      )
    const found = sparkplugNode(node)
    if (found === undefined)
      throw new CheckFailure('missing', 'No such edge node is watched. Make a SparkplugNode for it, or correct the name.')
    if (found === 'unheard')
      return {
        state: 'unknown',
        reason: 'monitor_disconnected',
        detail: 'The monitor itself has no connection to its MQTT broker, so it hears of no edge node. See /readyz.',
        measurements: [], // what was true when it was last heard of may no longer be
      }
    const measurements = measure(found)
    const ago = found.lastSeen === undefined ? 'never' : `${Math.max(0, Math.round((now() - found.lastSeen) / 1000))} s ago`
    switch (found.state) {
      case 'online':
        return { state: 'up', detail: `Its last message came ${ago}.`, measurements }
      case 'silent':
        return {
          state: 'degraded',
          reason: 'timeout',
          detail: `It is silent, its last message came ${ago}; a rebirth was asked for. See the device and its network.`,
          measurements,
        }
      case 'offline':
        return {
          state: 'down',
          reason: 'timeout',
          detail: `It is silent, its last message came ${ago}, and it did not answer to rebirth requests. See the device and its network.`,
          measurements,
        }
      case 'dead':
        return {
          state: 'down',
          reason: 'connection_lost',
          detail: `Its death certificate came; its last message ${ago}. See the device and its connection to the broker.`,
          measurements,
        }
      case 'unseen':
        return {
          // The monitor has not listened for as long as it may be silent: silent and offline come after that.
          state: 'degraded',
          reason: 'missing',
          detail: 'It was not heard of yet. If it stays so, see that it publishes to this broker and that its group and name are right.',
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
