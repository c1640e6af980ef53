import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

/** What a process of its own says: whether the engine of regular expressions is there after the probes were made, and after a pattern. */
const script = `
import { createRequire } from 'node:module'
import { pino } from 'pino'
import { createProbes, probeConfig } from './monitor/probe/index.ts'
import { systemClock } from './shared/clock.ts'
const { cache } = createRequire(import.meta.url)
const isLoaded = () => Object.keys(cache).some((file) => file.includes('re2js'))
const probes = createProbes(probeConfig.parse({}), { clock: systemClock, log: pino({ level: 'silent' }) })
const before = isLoaded()
probes.modules()
console.log(JSON.stringify([before, isLoaded()]))
`

test('the built-in modules do not load the engine of regular expressions before one of them is asked for', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 60_000 })
  assert.deepEqual(JSON.parse(stdout), [false, true])
})
