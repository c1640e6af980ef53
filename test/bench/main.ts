import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { accepting } from './accepting.ts'
import { announcing } from './announcing.ts'
import { birth } from './birth.ts'
import { events } from './events.ts'
import { installing } from './installing.ts'
import { listing } from './listing.ts'
import type { Bench, Finding, Measurement } from './measurement.ts'
import { memory } from './memory.ts'
import { probing } from './probing.ts'
import { reading } from './reading.ts'
import { starting } from './starting.ts'
import { table } from './table.ts'
import { thousandChecks } from './thousand-checks.ts'

const ofAgent: Measurement[] = [accepting, reading, listing, events, memory, starting]
const ofMonitor: Measurement[] = [probing, thousandChecks, birth, announcing]
const ofInstaller: Measurement[] = [installing]
const measurements = [...ofAgent, ...ofMonitor, ...ofInstaller]

const help = `npm run bench -- [options]: measures agent and monitor against what they are built on, side by side

  --only NAME    ${measurements.map(({ name }) => name).join(', ')}; may stand there several times
  --json FILE    write the numbers there too
  --help

It takes about eight minutes. Ends with 1 when a budget is not met.
`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string', multiple: true }, json: { type: 'string' }, help: { type: 'boolean', default: false } },
  })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const chosen = measurements.filter(({ name }) => values.only?.includes(name) ?? true)
  const unknown = values.only?.filter((name) => !measurements.some((measurement) => measurement.name === name)) ?? []
  if (unknown.length > 0) throw new Error(`there is no measurement ${unknown.join(', ')}\n\n${help}`)

  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-bench-'))
  const findings: Finding[] = []
  try {
    print(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, load ${load()}\n`)
    const bundles = await build(directory)
    for (const measurement of chosen) findings.push(...(await run(measurement, bundles)))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  const missed = findings.filter(({ budget }) => budget?.met === false)
  print(
    `${chosen.length > 1 ? `${table(findings)}\n\n` : ''}${missed.length === 0 ? 'All budgets met' : `${missed.length} not met`}; load ${load()}`,
  )
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ at: new Date().toISOString(), findings }, null, 2)}\n`)
  return missed.length === 0 ? 0 : 1
}

async function run({ name, title, measure }: Measurement, bundles: Pick<Bench, 'bundle' | 'monitorBundle'>): Promise<Finding[]> {
  const started = performance.now()
  const notes: string[] = []
  const bench: Bench = {
    ...bundles,
    tell: (text) => process.stderr.isTTY && process.stderr.write(`\r\u001b[2K${name}: ${text}`),
    note: (text) => notes.push(text),
  }
  const findings = await measure(bench)
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[2K')
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  print([`${name}: ${title} (${seconds} s)`, ...notes.map((note) => `  ${note}`)].join('\n'))
  print(`${table(findings)}\n`)
  return findings
}

/** As `npm run build` does, but beside the checkout: a bundle in use there stays as it is. */
async function build(directory: string): Promise<Pick<Bench, 'bundle' | 'monitorBundle'>> {
  await promisify(execFile)(process.execPath, ['deploy/build.ts', directory])
  return { bundle: path.join(directory, 'agent.mjs'), monitorBundle: path.join(directory, 'monitor.mjs') }
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
