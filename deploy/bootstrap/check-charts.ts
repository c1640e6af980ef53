import { existsSync, globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import { type Component, componentsToCome, readComponents } from '../../agent/preflight/components.ts'
import { type Contract, differences, under } from './chart-contract.ts'
import type { ChartFacts } from './chart-facts.ts'
import { faultsOf, type Stack, serviceFaults } from './chart-faults.ts'
import type { Values } from './chart-values.ts'
import { createHelm, factsOf, type Helm, pullChart } from './check-charts-helm.ts'
import { lookInto } from './check-charts-repository.ts'

const usage = `npm run check:charts -- [options]: holds the list of components and our values against the charts in their repositories

For each component it checks that the repository has the version, names a newer one, renders the chart with our values, and reports
what in the list does not fit the chart, and what has changed since the facts were last written. It needs helm. It uses the proxy of HTTPS_PROXY and NO_PROXY.

  --only NAME        just this component; may be repeated
  --offline DIR      take the charts from DIR, which install.sh --download fills, and contact no repository
  --write FILE       write the current facts of the charts
  --contract FILE    the facts to compare with (default: test/deploy/charts.json)
  --components FILE  another list
  --values DIR       other values than those beside the list

Exit status: 0 all is well, 1 there are faults or changes, 2 it could not start. A newer version alone does not change the status.
`

const here = import.meta.dirname
const options = {
  only: { type: 'string', multiple: true, default: [] as string[] },
  offline: { type: 'string' },
  write: { type: 'string' },
  contract: { type: 'string', default: join(here, '../../test/deploy/charts.json') },
  components: { type: 'string', default: join(here, 'components') },
  values: { type: 'string', default: join(here, 'values') },
  help: { type: 'boolean', default: false },
} as const

type Given = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
type Job = { given: Given; helm: Helm; folder: string; contract: Contract; components: Component[] }
type Seen = { facts?: ChartFacts; faults: string[]; changes: string[]; newer?: string }

const say = (line: string) => process.stdout.write(`${line}\n`)
const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** @returns the exit code. @throws Error when it cannot start */
async function main(given: Given): Promise<number> {
  const contract: Contract = JSON.parse(readFileSync(given.contract, 'utf8'))
  const components = componentsToCome(readComponents(given.components))
  const chosen = componentsToCome(components, given.only).filter(({ name }) => name !== 'skerry')
  const folder = await mkdtemp(join(tmpdir(), 'skerry-check-charts-'))
  try {
    const helm = createHelm(folder)
    await helm('version').catch((error) => {
      throw new Error(error.code === 'ENOENT' ? 'helm is not installed; get it here: https://helm.sh/docs/intro/install/' : error.message)
    })
    const job = { given, helm, folder, contract, components }
    const charts = Object.fromEntries(
      Object.entries(contract.charts).map(([name, { pinned }]) => [name, under(pinned, valuesOf(given, name))]),
    )
    const all: Seen[] = []
    for (const component of chosen) {
      const seen = await look(component, job, charts)
      tell(component, seen, given)
      if (seen.facts) charts[component.name] = seen.facts
      all.push(seen)
    }
    const services = serviceFaults(textsOf(given), stackOf(charts, job))
    for (const fault of services) say(`FAULT    ${fault}`)
    if (given.write !== undefined) await write(given.write, chosen, all, contract)
    return conclude([...all, { faults: services, changes: [] }])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function valuesFile({ values }: Given, name: string): string {
  return join(values, `${name}.yaml`)
}

function valuesOf(given: Given, name: string): Values {
  const file = valuesFile(given, name)
  return existsSync(file) ? (parse(readFileSync(file, 'utf8')) ?? {}) : {}
}

function stackOf(charts: Record<string, ChartFacts>, { components, contract }: Job): Stack {
  return { components, charts, beyond: contract.beyond }
}

/** The values that name Services of components. */
function textsOf({ values }: Given) {
  const files = [...globSync('*.yaml', { cwd: values }).map((file) => join(values, file)), join(here, '../chart/values.yaml')]
  return files.map((where) => ({ where, text: readFileSync(where, 'utf8') }))
}

/** Never rejects: a chart that is not available is a fault, and the next one is checked all the same. */
async function look(component: Component, job: Job, charts: Record<string, ChartFacts>): Promise<Seen> {
  const seen: Seen = { faults: [], changes: [] }
  const { name, chart, version, repository = '' } = component
  const { given, helm, folder, contract } = job
  try {
    if (given.offline === undefined && !repository.startsWith('oci://')) await lookAtRepository(component, seen)
    const packed = given.offline ? join(given.offline, `${chart}-${version}.tgz`) : await pullChart(helm, component, join(folder, name))
    const ours = valuesOf(given, name)
    const facts = await factsOf(helm, packed, component, valuesFile(given, name), ours)
    seen.facts = facts
    const faults = faultsOf(stackOf({ ...charts, [name]: facts }, job))
    seen.faults.push(...faults.filter((fault) => fault.startsWith(`${name}: `)).map((fault) => fault.slice(name.length + 2)))
    const was = contract.charts[name]?.pinned
    if (was) seen.changes.push(...differences(under(was, ours), facts))
  } catch (error) {
    seen.faults.push(textOf(error))
  }
  return seen
}

/** @throws Error when the version is not available there */
async function lookAtRepository({ chart, version, repository = '' }: Component, seen: Seen): Promise<void> {
  const { movedTo, isThere, isDeprecated, newer } = await lookInto(repository, chart, version)
  if (movedTo !== undefined) seen.faults.push(`the repository has moved to ${movedTo}`)
  if (isDeprecated) seen.faults.push(`the chart ${chart} is deprecated`)
  if (newer !== undefined) seen.newer = newer
  if (!isThere) throw new Error(`version ${version} is not in it${newer === undefined ? '' : `, the newest is ${newer}`}`)
}

function tell({ name, chart, version, repository }: Component, { faults, changes, newer }: Seen, { offline }: Given): void {
  say(`${name}: ${chart} ${version} ${offline === undefined ? `of ${repository}` : `in ${offline}`}`)
  for (const fault of faults) say(`  FAULT    ${fault}`)
  for (const change of changes) say(`  CHANGED  ${change}`)
  if (newer !== undefined) say(`  NEWER    ${newer}`)
}

/** Facts of charts that could not be checked stay. */
async function write(file: string, chosen: Component[], all: Seen[], contract: Contract): Promise<void> {
  const charts = { ...contract.charts }
  for (const [index, { name }] of chosen.entries()) {
    const facts = all[index]?.facts
    const was = charts[name]
    if (facts)
      charts[name] = {
        pinned: facts,
        before: was === undefined || was.pinned.version === facts.version ? (was?.before ?? facts) : was.pinned,
      }
  }
  const date = new Date().toISOString().slice(0, 10)
  await writeFile(file, `${JSON.stringify({ ...contract, date, charts }, null, 2)}\n`)
  say(`Written to ${file}`)
}

function conclude(all: Seen[]): number {
  const [faults, changes] = [all.flatMap((seen) => seen.faults).length, all.flatMap((seen) => seen.changes).length]
  const newer = all.filter((seen) => seen.newer !== undefined).length
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  say(`${counted(faults, 'fault')}, ${counted(changes, 'change')}, ${counted(newer, 'newer version')}.`)
  return faults + changes > 0 ? 1 : 0
}

try {
  const { values } = parseArgs({ options })
  if (values.help) process.stdout.write(usage)
  else process.exitCode = await main(values)
} catch (error) {
  process.stderr.write(`check-charts: ${textOf(error)}\n`)
  process.exitCode = 2
}
