import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { programPath } from '../peers/peer.ts'
import { ruleFiles } from './observability.ts'

/** What promtool says, and the code it ends with. */
function promtool(...args: string[]): Promise<{ code: number; said: string }> {
  const program = programPath({ name: 'promtool', package: 'prometheus', program: '/usr/bin/promtool' })
  return new Promise((resolve) => {
    execFile(program, args, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, said: stdout + stderr }))
  })
}

test('promtool finds nothing wrong with the rules', async () => {
  const { code, said } = await promtool('check', 'rules', '--lint=all', '--lint-fatal', ...ruleFiles)
  assert.equal(code, 0, said)
})

for (const file of globSync('test/deploy/rules/*.yaml').sort())
  test(`alerts fire when they should, and else not: ${file}`, async () => {
    const { code, said } = await promtool('test', 'rules', file)
    assert.equal(code, 0, said)
  })

test('the rule that the documentation advises is among the cases', async () => {
  const advised = /`(max by \(check\) \(skerry_check_state[^`]+)`/.exec(await readFile('docs/monitoring.md', 'utf8'))?.[1]
  assert.ok((await readFile('test/deploy/rules/checks.yaml', 'utf8')).includes(`- expr: ${advised}\n`), advised)
})

test('the rules for a host without an agent are those of its cases, and raise no alert there', async () => {
  const listed = async (file: string) => (parse(await readFile(file, 'utf8')).rule_files as string[]).map((each) => basename(each))
  assert.deepEqual(await listed('deploy/systemd/prometheus.yaml'), await listed('test/deploy/rules/bare-host.yaml'))
})

test('the cases notice an alert that never fires, and one that fires at once', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-rules-'))
  t.after(() => rm(folder, { recursive: true }))
  const rule = await readFile('deploy/prometheus/sparkplug.rules.yaml', 'utf8')
  const cases = await readFile('test/deploy/rules/sparkplug.yaml', 'utf8')
  const recording = ruleFiles.find((each) => each.endsWith('/recording.rules.yaml'))
  await writeFile(join(folder, 'cases.yaml'), cases.replace(/^rule_files: .*$/m, `rule_files: [changed.rules.yaml, ${recording}]`))
  for (const [from, to] of [
    ['(skerry_sparkplug_connected) == 0', '(skerry_sparkplug_connected) == 2'],
    ['for: 5m', 'for: 0s'],
  ] as const) {
    assert.ok(rule.includes(from))
    await writeFile(join(folder, 'changed.rules.yaml'), rule.replace(from, to))
    const { code, said } = await promtool('test', 'rules', join(folder, 'cases.yaml'))
    assert.notEqual(code, 0)
    assert.match(said, /SkerrySparkplugDisconnected/)
  }
})
