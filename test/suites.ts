import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { text } from 'node:stream/consumers'
import { buildBundles } from './bundles.ts'

/*
 * What `npm test` runs: every test file whose name does not say that it needs a real peer, or takes long. The files of a folder share a
 * process, and what they load: a process for each file would spend half of its time on starting.
 */

const files = globSync('test/{agent,cluster,deploy,house,monitor,region,shared,words}/**/*.test.ts', {
  exclude: (file) => /\.(real|long)\.test\.ts$/.test(file) || file.endsWith('node_modules'),
})
/** `agent/api`, `monitor`, …: the folder, at most two deep. */
const folderOf = (file: string) => file.split('/').slice(1, -1).slice(0, 2).join('/')
/**
 * These start whole programs, or wait for a cluster: they come first, then the largest, so that none of them is left over at the end.
 */
const long = ['agent/operations', 'agent/api', 'agent/controllers', 'monitor/cli', 'monitor', 'region', 'deploy', 'monitor/checks']
/** Each of these is longer than its share of the whole, so several processes share its files. */
const shared = new Map([
  ['agent/operations', 3],
  ['agent/api', 3],
  ['agent/controllers', 3],
])
const folders = Map.groupBy(files.sort(), folderOf)
const rank = (name: string) => (long.includes(name) ? 1_000 - long.indexOf(name) : (folders.get(name)?.length ?? 0))
const names = [...folders.keys()].sort((one, other) => rank(other) - rank(one))
/** Of folders with so few files, each would spend more on the start of a process than on its tests. */
const isSmall = (name: string) => rank(name) < 4
const filesOf = (name: string) => folders.get(name) ?? []
const partsOf = (name: string): [string, string[]][] => {
  const parts = Object.entries(Object.groupBy(filesOf(name), (_, index) => index % (shared.get(name) ?? 1)))
  return parts.map(([part, paths = []]) => [parts.length > 1 ? `${name}, part ${Number(part) + 1}` : name, paths])
}
const small = names.filter(isSmall)
const waiting = [
  ...names.filter((name) => !isSmall(name)).flatMap(partsOf),
  [small.join(', '), small.flatMap(filesOf)] satisfies [string, string[]],
]

/** As long as the files of a process may take together. */
const withinMs = 180_000

/** The counts of the runner's last lines, by their names. */
const totals = new Map<string, number>()
const failed: string[] = []

async function runSuite(name: string, paths: string[]): Promise<void> {
  const args = ['--test', '--test-isolation=none', '--test-reporter=spec', ...paths]
  // One that hangs is interrupted, upon which the runner says what it was at.
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'], timeout: withinMs, killSignal: 'SIGINT' })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const started = performance.now()
  const output = await text(child.stdout)
  const code = await ended
  // The runner says of a test that it interrupts that the event loop has resolved, as of one that awaits nothing.
  if (child.killed) failed.push(`${name} (interrupted after ${withinMs / 1000} s)`)
  else if (code !== 0) failed.push(name)
  const counts = output.matchAll(/^ℹ (tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$/gm)
  for (const [, what = '', count] of counts) totals.set(what, (totals.get(what) ?? 0) + Number(count))
  process.stdout.write(
    `▶ test/${name} (${seconds(started)} s)\n${output.replace(/^ℹ (?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm, '')}`,
  )
}

async function lane(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await runSuite(...next)
}

await using bundles = await buildBundles()
const env = { ...process.env, SKERRY_BUNDLES: bundles.folder }

const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(1)
const begun = performance.now()
// Tests wait for servers and programs about half of their time.
await Promise.all(Array.from({ length: availableParallelism() + 4 }, lane))
for (const [what, count] of totals) process.stdout.write(`ℹ ${what} ${count}\n`)
process.stdout.write(`ℹ duration_ms ${(performance.now() - begun).toFixed(0)}\n`)
if (failed.length > 0) process.stdout.write(`✖ failed: ${failed.map((name) => `test/${name}`).join(', ')}\n`)
process.exitCode = failed.length === 0 && files.length > 0 ? 0 : 1
