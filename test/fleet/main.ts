import { parseArgs } from 'node:util'
import { monitorScenarios } from './monitor-scenarios.ts'
import { regionScenarios } from './region-scenarios.ts'
import { holds, reportOf } from './report.ts'

/*
 * npm run fleet: what many regions do to one cloud, and many monitors to one broker. The code is that of the agent and of the monitor; time,
 * chance and network are ours. Exits with 1 if a bound is broken.
 */

const scenarios = { ...regionScenarios, ...monitorScenarios }
type Name = keyof typeof scenarios
const names = Object.keys(scenarios) as Name[]

const help = `Usage: npm run fleet -- [--regions N] [--monitors N] [--scenario NAME]... [--seed N]

  --regions N      how many regions, 10000 when left out
  --monitors N     how many monitors, 10000 when left out
  --scenario NAME  only this one; can be repeated
  --seed N         another run of chance; the same seed gives the same run

Scenarios:
${names.map((name) => `  ${name.padEnd(15)}  ${scenarios[name].about}`).join('\n')}
`

function optionsOf(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: 'boolean', short: 'h' },
      regions: { type: 'string', default: '10000' },
      monitors: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      scenario: { type: 'string', multiple: true, default: names },
    },
  })
  const unknown = values.scenario.find((name) => !Object.hasOwn(scenarios, name))
  if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}`)
  const [regions = 0, monitors = 0, seed = 0] = [values.regions, values.monitors, values.seed].map((text) => {
    if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${text} is not a number from 1 to 999999`)
    return Number(text)
  })
  return { help: values.help === true, regions, monitors, seed, chosen: values.scenario as Name[] }
}

/** @returns whether all bounds hold */
async function run({ regions, monitors, seed, chosen }: ReturnType<typeof optionsOf>): Promise<boolean> {
  let isFine = true
  for (const name of chosen) {
    const count = Object.hasOwn(regionScenarios, name) ? regions : monitors
    const began = performance.now()
    const outcome = await scenarios[name].run(count, seed)
    const seconds = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(`${name}: ${scenarios[name].about} (${count}; ${seconds} s)\n${reportOf(outcome).join('\n')}\n`)
    isFine &&= outcome.bounds.every(holds)
  }
  return isFine
}

try {
  const options = optionsOf(process.argv.slice(2))
  if (options.help) process.stdout.write(help)
  else process.exitCode = (await run(options)) ? 0 : 1
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${help}`)
  process.exitCode = 2
}
