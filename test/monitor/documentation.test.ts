import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { parse } from 'yaml'
import { monitorConfig } from '../../monitor/config.ts'
import { parseChecks } from '../../monitor/prober/config.ts'
import { systemFiles } from '../../shared/config/file.ts'
import { parseWith } from '../../shared/faults.ts'

const page = await readFile('docs/monitoring.md', 'utf8')
const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text)

function assertConfig(config: unknown): void {
  const parsed = parseWith(monitorConfig, config)
  assert.ok(parsed.ok, parsed.ok ? '' : JSON.stringify(parsed.faults))
}

function assertChecks(text: string): void {
  const parsed = parseChecks(text, { files: systemFiles })
  assert.ok(!('faults' in parsed), 'faults' in parsed ? JSON.stringify(parsed.faults) : '')
  assert.ok(parsed.checks.length > 0)
}

for (const [index, text] of examples.entries()) {
  const [, name] = /^# (\S+)/.exec(text) ?? []
  test(`example ${index + 1} of the page about the monitor (${name ?? 'an object'}) is valid`, () => {
    if (name === 'checks.yaml') assertChecks(text)
    else if (name === 'monitor.yaml') assertConfig(parse(text))
    else if (name === 'values.yaml') assertConfig(parse(text).monitor.config)
    else assert.equal(parse(text).kind, 'SparkplugNode')
  })
}

test('the examples beside the systemd unit are valid', async () => {
  assertConfig(parse(await readFile('deploy/systemd/monitor.yaml', 'utf8')))
  assertChecks(await readFile('deploy/systemd/checks.yaml', 'utf8'))
})

test('every setting that the page names is there', () => {
  const names = [...page.matchAll(/`(discovery|metrics|sparkplug|lease|cluster|monitor)\.([a-z]\w+)(?:\.\w+)?`/g)]
  assert.ok(names.length > 5)
  for (const [whole, section = '', field = ''] of names) {
    if (section === 'monitor') continue // of the chart
    const shape = (monitorConfig.shape as Record<string, unknown>)[section]
    assert.ok(JSON.stringify(fieldsOf(shape)).includes(`"${field}"`), whole)
  }
})

/** The names of the fields of a section, however it is wrapped. */
function fieldsOf(schema: unknown): string[] {
  const def = (schema as { def: { innerType?: unknown; shape?: object } }).def
  return def.shape ? Object.keys(def.shape) : fieldsOf(def.innerType)
}
