import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { chart, type Manifest, template } from './helm.ts'
import { shapes } from './shapes.ts'

/**
 * What turns the values of this chart into those of the version before: null takes a value away, as `helm upgrade --reuse-values` does, which
 * takes all values from the release and none from the new chart.
 */
const before = {
  cloud: null,
  link: null,
  cloudflared: { replicas: 2, protocol: 'auto', connections: null, onDemand: null },
}

const { cloud: _, agent, ...tunnel } = shapes.tunnel
const cases = {
  'with a tunnel': { ...tunnel, agent: { tokens: agent.tokens } },
  'without one': shapes.default,
}

/** Without what is random in each rendering. */
function comparable(objects: Manifest[]): Manifest[] {
  const text = (object: Manifest) => JSON.stringify(object)
  return objects
    .filter(({ kind, metadata }) => !(kind === 'Secret' && metadata.name === 'skerry-agent-tls'))
    .map((object) => JSON.parse(text(object).replaceAll(/"checksum\/authority":"[0-9a-f]+"/g, '"checksum/authority":"random"')))
}

for (const [name, values] of Object.entries(cases))
  test(`the values of the version before render what the defaults render, ${name}`, async () => {
    const given = { ...before, ...values, cloudflared: { ...before.cloudflared, ...('cloudflared' in values && values.cloudflared) } }
    assert.deepEqual(comparable(await template(given)), comparable(await template(values)))
  })

test('every value that is taken away here is one of the chart', () => {
  const defaults = parse(readFileSync(`${chart}/values.yaml`, 'utf8'))
  const visit = (at: object, there: Record<string, unknown>) => {
    for (const [key, value] of Object.entries(at)) {
      assert.ok(key in there, key)
      if (value !== null && typeof value === 'object') visit(value, there[key] as Record<string, unknown>)
    }
  }
  visit(before, defaults)
})
