import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { accepting } from './accepting.ts'
import { announcing } from './announcing.ts'
import { birth } from './birth.ts'
import { events } from './events.ts'
import { hostile } from './hostile.ts'
import { idleCpu } from './idle-cpu.ts'
import { idleLink } from './idle-link.ts'
import { installing } from './installing.ts'
import { listing } from './listing.ts'
import type { Bench, Finding, Measurement } from './measurement.ts'
import { memory } from './memory.ts'
import { patterns } from './patterns.ts'
import { probing } from './probing.ts'
import { reading } from './reading.ts'
import { rebuilding } from './rebuilding.ts'
import { type Run, record } from './recorded.ts'
import { starting } from './starting.ts'
import { textTable } from './table.ts'
import { thousandChecks } from './thousand-checks.ts'
import { wire } from './wire.ts'

const ofAgent: Measurement[] = [accepting, reading, listing, events, hostile, memory, starting, rebuilding, idleLink, idleCpu]
const ofMonitor: Measurement[] = [probing, patterns, thousandChecks, birth, announcing, wire]
const ofInstaller: Measurement[] = [installing]
const measurements = [...ofAgent, ...ofMonitor, ...ofInstaller]

const help = `npm run bench -- [options]: measures agent, monitor and installer, each beside a peer or a floor in the same run

  --only NAME    ${measurements.map(({ name }) => name).join(', ')}; may be repeated
  --json FILE    write the run to FILE too
  --record       keep the run in test/bench/last-run.json, and its table in docs/performance.md; not with --only
  --help

A run takes about twenty minutes and prints one table. The exit code is 1 if a budget is missed.
`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      record: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const chosen = measurements.filter(({ name }) => values.only?.includes(name) ?? true)
  const unknown = values.only?.filter((name) => !measurements.some((measurement) => measurement.name === name)) ?? []
  if (unknown.length > 0) throw new Error(`unknown measurement: ${unknown.join(', ')}\n\n${help}`)
  if (values.record && values.only !== undefined) throw new Error(`--record needs a whole run\n\n${help}`)

  const machine = `${cpus().length} × ${cpus()[0]?.model}`
  print(`Node ${process.version}, ${machine}, load ${load()}\n`)
  const run: Run = { at: new Date().toISOString(), node: process.version, machine, findings: await measureAll(chosen) }
  const missed = run.findings.filter(({ budget }) => budget?.met === false)
  print(`\n${textTable(run.findings)}\n\n${missed.length === 0 ? 'All budgets met' : `Budgets missed: ${missed.length}`}; load ${load()}`)
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(run, null, 2)}\n`)
  if (values.record) await record(run)
  return missed.length === 0 ? 0 : 1
}

/** One measurement after the other, with the programs bundled beside the checkout: `dist` stays as it is. */
async function measureAll(chosen: readonly Measurement[]): Promise<Finding[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-bench-'))
  const findings: Finding[] = []
  try {
    await promisify(execFile)(process.execPath, ['deploy/build.ts', directory])
    const bundles = { bundle: path.join(directory, 'agent.mjs'), monitorBundle: path.join(directory, 'monitor.mjs') }
    for (const measurement of chosen) findings.push(...(await measure(measurement, bundles)))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  return findings
}

async function measure({ name, title, measure }: Measurement, bundles: Pick<Bench, 'bundle' | 'monitorBundle'>): Promise<Finding[]> {
  const started = performance.now()
  const notes: string[] = []
  const findings = await measure({
    ...bundles,
    tell: (text) => process.stderr.isTTY && process.stderr.write(`\r\u001b[2K${name}: ${text}`),
    note: (text) => notes.push(text),
  })
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[2K')
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  print([`${name}: ${title} (${seconds} s)`, ...notes.map((note) => `  ${note}`)].join('\n'))
  return findings
}

function load(): string {
  return loadavg()
    .map((value) => value.toFixed(1))
    .join(' ')
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

await main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
    process.exit(2)
  },
)
