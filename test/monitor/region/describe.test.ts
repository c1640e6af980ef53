import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { RegionModel } from '../../../monitor/region/model.ts'
import { sparkplugNodeView } from '../../../monitor/sparkplug/sparkplug-node.ts'
import type { SparkplugMetric } from '../../../monitor/sparkplug/tracked-metric.ts'
import { WatchedNodes } from '../../../monitor/sparkplug/watched-nodes.ts'
import { createFakeClock } from '../../shared/fake-clock.ts'
import { describeDevices, withTables } from './describe.ts'
import {
  cachesOn,
  clusterInHand,
  components,
  crateDB,
  deployment,
  edgeNodeInHand,
  node,
  proberInHand,
  registration,
  silent,
  sparkplugNode,
} from './in-hand.ts'

const file = new URL('../../../docs/monitoring-devices.md', import.meta.url)

/** Everything that a region publishes, by device. */
async function published(t: Parameters<typeof cachesOn>[0]): Promise<Map<string, readonly SparkplugMetric[]>> {
  const clock = createFakeClock()
  const world = clusterInHand([node('pier'), crateDB('project-shop', 'orders'), deployment('a', 'traefik', 'traefik'), registration()])
  const caches = await cachesOn(t, world, clock)
  const prober = proberInHand()
  prober.add({ name: 'router' })
  const births = new Map<string, readonly SparkplugMetric[]>()
  const edgeNode = {
    ...edgeNodeInHand(clock),
    setNode: (metrics: readonly SparkplugMetric[]) => void births.set('node', metrics),
    setDevice: (id: string, metrics: readonly SparkplugMetric[]) => void births.set(id.split(':')[0] as string, metrics),
  }
  const watched = new WatchedNodes({
    nodes: { values: () => [sparkplugNodeView(sparkplugNode('site', 'crane'))].values(), subscribe: () => () => {} },
    edgeNode: { ...edgeNode, attach: () => () => {} },
    clock,
    log: silent,
  })
  const model = new RegionModel({
    caches,
    components,
    prober,
    edgeNode,
    watched,
    clocks: { apiServer: () => undefined, steps: { count: 0, last: undefined } },
    facts: {
      version: '0',
      region: 'a',
      link: () => ({ profile: 'normal', because: 'configuration', budget: undefined, today: {}, yesterday: {} }),
    },
    clock,
    log: silent,
  })
  for (const part of [model, watched]) {
    await part.start()
    t.after(() => part.stop())
  }
  return births
}

test('docs/monitoring-devices.md has every metric with its type, unit and meaning', async (t) => {
  const tables = describeDevices((await published(t)).get('node') ?? [])
  const page = readFileSync(file, 'utf8')
  const right = withTables(page, tables)
  if (process.env.SKERRY_REWRITE === '1') writeFileSync(file, right)
  else assert.equal(page, right, 'rewrite it with: SKERRY_REWRITE=1 node --test test/monitor/region/describe.test.ts')
  assert.deepEqual(
    Object.keys(tables).filter((name) => !page.includes(`<!-- ${name} -->`)),
    [],
  )
})

test('nothing is published that the page does not name', async (t) => {
  const page = readFileSync(file, 'utf8')
  for (const [device, metrics] of await published(t))
    for (const { name, datatype } of metrics) {
      const row = `| \`${name.replace(/^router\//, 'CHECK/')}\` | ${datatype} |`
      assert.ok(page.includes(row), `${device}: ${row}`)
    }
})

test('every metric says what it means, and every amount its unit', async (t) => {
  for (const [device, metrics] of await published(t))
    for (const { name, datatype, description, unit } of metrics) {
      assert.ok(description, `${device}: ${name}`)
      if (datatype === 'Int64' || datatype === 'Double') assert.ok(unit, `${device}: ${name}`)
    }
})
