import type { TestContext } from 'node:test'
import pino from 'pino'
import type { BdSeqStore } from '../../../monitor/sparkplug/bd-seq.ts'
import { createMemoryBuffer } from '../../../monitor/sparkplug/buffer.ts'
import { edgeNodeConfig, sparkplugConfig } from '../../../monitor/sparkplug/config.ts'
import { createEdgeNode, type EdgeNode, type EdgeNodeConfig, type EdgeNodeParts } from '../../../monitor/sparkplug/edge-node.ts'
import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Log } from '../../../shared/log.ts'

/** A node with everything short, so that a test need not wait. */
export type InHand = { node: EdgeNode; config: EdgeNodeConfig; lines: Record<string, unknown>[]; stop: () => Promise<void> }

/** A bdSeq store that lives as long as the test. */
export function bdSeqInMemory(): BdSeqStore & { last: number | undefined } {
  const store = {
    last: undefined as number | undefined,
    wasUsed: async () => store.last !== undefined,
    async next() {
      store.last = store.last === undefined ? 0 : (store.last + 1) % 256
      return store.last
    },
  }
  return store
}

/** A log whose lines can be read. */
export function logInHand(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  return { log, lines }
}

/** An edge node `shore/skerry` that is not started yet; it is stopped with the test. */
export function nodeInHand(
  t: TestContext,
  servers: string[],
  given: Partial<EdgeNodeConfig> = {},
  parts: Partial<EdgeNodeParts> = {},
): InHand {
  const { log, lines } = logInHand()
  const section = sparkplugConfig.parse({ group: 'shore', node: 'skerry', servers: servers.map((url) => ({ url })) })
  const config: EdgeNodeConfig = {
    ...edgeNodeConfig(section),
    coalesceMs: 5,
    proofMs: 50,
    rebirthIntervalMs: 100,
    connectTimeoutMs: 3_000,
    subscribeTimeoutMs: 3_000,
    deathTimeoutMs: 1_000,
    reconnect: { baseMs: 20, capMs: 50 },
    hostPauseMs: 20,
    ...given,
  }
  const node = createEdgeNode(config, {
    bdSeq: bdSeqInMemory(),
    buffer: createMemoryBuffer({ limit: 10_000 }),
    clock: systemClock,
    log,
    ...parts,
  })
  let isStopped = false
  const stop = async () => {
    if (!isStopped) await node.stop(systemClock.monotonic() + 5_000)
    isStopped = true
  }
  t.after(stop)
  return { node, config, lines, stop }
}

/** A plain metric. */
export function metric(name: string, value: SparkplugMetric['value'], more: Partial<SparkplugMetric> = {}): SparkplugMetric {
  return { name, datatype: 'Double', value, ...more }
}
