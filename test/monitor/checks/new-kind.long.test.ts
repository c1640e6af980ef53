import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { stringify } from 'yaml'
import { startMonitorProcess } from '../../region/monitor-process.ts'
import { startBroker } from '../sparkplug/broker.ts'

/** The file of a kind that Skerry does not have. */
const kind = `import * as z from 'zod'
import { CheckFailure } from '../wire/reasons.ts'
import { checkKind } from './kind.ts'

const options = z.strictObject({
  gauge: z.string().describe('Name of the gauge.'),
  metres: z.number().default(2).describe('How high the water stands.'),
})

export const tide = checkKind({
  about: 'Reads a tide gauge. Down when the gauge is dry.',
  example: { gauge: 'quay-7' },
  options,
  measures: { skerry_tide_metres: { type: 'gauge', help: 'How high the water stands, in metres.' } },
  target: ({ gauge }) => gauge,
  async check({ metres }) {
    if (metres === 0) throw new CheckFailure('missing', 'The gauge is dry. Wait for the flood.')
    return { state: 'up', detail: 'The water stands high.', measurements: [{ name: 'skerry_tide_metres', value: metres }] }
  },
})
`

/** A copy of the programs with one more kind: its file, and its entry in the table. Nothing else is changed. */
function copyWithKind(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'skerry-kind-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const part of ['agent', 'monitor', 'shared', 'deploy/render', 'package.json', 'test/monitor/checks/page.ts'])
    cpSync(part, path.join(folder, part), { recursive: true })
  symlinkSync(path.resolve('node_modules'), path.join(folder, 'node_modules'))
  writeFileSync(path.join(folder, 'monitor/checks/tide.ts'), kind)
  const table = path.join(folder, 'monitor/checks/index.ts')
  const text = readFileSync(table, 'utf8')
  writeFileSync(table, `import { tide } from './tide.ts'\n${text.replace('export const checkKinds = {', '$&\n  tide,')}`)
  return folder
}

const high = { name: 'high', kind: 'tide', gauge: 'quay-7' }
const dry = { name: 'dry', kind: 'tide', gauge: 'quay-8', metres: 0, retries: 0 }

test('a new kind of check takes one file and its entry in the table', async (t) => {
  const folder = copyWithKind(t)
  const monitor = path.join(folder, 'monitor/main.ts')

  /** What a program of the copy ends with and prints. */
  function node(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, args, { cwd: folder }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      )
    })
  }

  function fileOf(name: string, content: object): string {
    const file = path.join(folder, `${name}.yaml`)
    writeFileSync(file, stringify(content))
    return file
  }

  await t.test('its options are validated, and each fault has its place', async () => {
    const [sound, faulty] = await Promise.all([
      node(monitor, 'validate', '--config', fileOf('sound', { checks: [high, dry] })),
      node(
        monitor,
        'validate',
        '--config',
        fileOf('faulty', {
          checks: [
            { ...high, metre: 3 },
            { ...dry, kind: 'tid' },
          ],
        }),
      ),
    ])
    assert.deepEqual(sound, { code: 0, out: 'ok, 2 checks\n', err: '' })
    assert.equal(faulty.code, 2)
    assert.match(faulty.err, /checks\[0\]\.metre .*"metres"/)
    assert.match(faulty.err, /checks\[1\]\.kind .*"tide"/)
  })

  await t.test('the commands run it, and their help describes it', async () => {
    const [table, once, help] = await Promise.all([
      node(monitor, 'check', '--config', fileOf('table', { checks: [high, dry] }), '--once'),
      node(monitor, 'test', 'tide', 'gauge=quay-7', 'metres=3'),
      node(monitor, 'test', 'tide', '--help'),
    ])
    assert.match(table.out, /^up +high +tide +quay-7 .* The water stands high\.$/m)
    assert.match(table.out, /^down +dry +tide +quay-8 .* Wait for the flood\.$/m)
    assert.equal(once.code, 0)
    assert.match(once.out, /skerry_tide_metres +3/)
    assert.match(help.out, /Reads a tide gauge.*How high the water stands\./s)
  })

  await t.test('the monitor has its series on /metrics, and its metrics in a Sparkplug device', async (t) => {
    const broker = await startBroker(t)
    const running = await startMonitorProcess({
      program: monitor,
      configFile: fileOf('monitor', {
        checks: { file: fileOf('running', { checks: [{ ...high, interval: '1s' }] }) },
        sparkplug: { group: 'harbour', node: 'quay', servers: [{ url: broker.url }] },
        metrics: { host: '127.0.0.1', port: 0 },
        dataDir: path.join(folder, 'data'),
      }),
      env: {},
    })
    t.after(() => running.kill())
    await broker.heard(
      ({ device, payload }) =>
        device === 'checks:checks' && payload.metrics.some(({ name, stringValue }) => name === 'high/State' && stringValue === 'up'),
    )
    const page = await (await fetch(`${running.url}/metrics`)).text()
    assert.match(page, /^skerry_check_up\{check="high",kind="tide",target="quay-7",severity="warning"\} 1$/m)
    assert.match(page, /^# HELP skerry_tide_metres How high the water stands, in metres\.$/m)
    assert.match(page, /^skerry_tide_metres\{check="high",[^}]*\} 2$/m)
  })

  await t.test("the page of checks describes it, and the schema of the chart's values allows it", async () => {
    const program = `
      const { checksPage } = await import('./test/monitor/checks/page.ts')
      const { valuesSchema } = await import('./deploy/render/values.ts')
      console.log(checksPage.text() + JSON.stringify(valuesSchema()))`
    const { out } = await node('--input-type=module', '-e', program)
    assert.match(out, /## tide\n\nReads a tide gauge.*\| `metres` \| How high the water stands\. \| `2` \|.*`skerry_tide_metres`/s)
    assert.match(out, /"enum":\["tide","kubernetes",/)
  })
})
