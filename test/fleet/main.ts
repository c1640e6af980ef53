import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { isOfRegions, type Name, scenarios } from './scenarios.ts'
import type { Done, Task } from './worker.ts'

/*
 * npm run fleet: what many regions do to one cloud, and many monitors to one broker. The code is that of the agent and of the monitor; time,
 * chance and network are ours. Exits with 1 if a bound is broken.
 */

const names = Object.keys(scenarios) as Name[]

const help = `Usage: npm run fleet -- [--regions N] [--monitors N] [--scenario NAME]... [--seed N] [--seeds N] [--jobs N]

  --regions N      how many regions, 10000 when left out
  --monitors N     how many monitors, 10000 when left out
  --scenario NAME  only this one; can be repeated
  --seed N         another run of chance; the same seed gives the same run
  --seeds N        so many runs of each, with this seed and those after it
  --jobs N         how many runs at a time, one for each core when left out; each takes up to 1 GB with 10000

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
      seeds: { type: 'string', default: '1' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      scenario: { type: 'string', multiple: true, default: names },
    },
  })
  const unknown = values.scenario.find((name) => !Object.hasOwn(scenarios, name))
  if (unknown !== undefined) throw new Error(`there is no scenario ${unknown}`)
  const numberOf = (text: string) => {
    if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${text} is not a number from 1 to 999999`)
    return Number(text)
  }
  const [regions, monitors, seed] = [numberOf(values.regions), numberOf(values.monitors), numberOf(values.seed)]
  const tasks = values.scenario.flatMap((name) =>
    Array.from({ length: numberOf(values.seeds) }, (_, run): Task => {
      const known = name as Name
      return { name: known, count: isOfRegions(known) ? regions : monitors, seed: seed + run }
    }),
  )
  return { help: values.help === true, jobs: numberOf(values.jobs), tasks }
}

/** Runs each in a thread of its own, that many at a time, and prints them in their order. @returns whether all bounds hold */
async function run({ jobs, tasks }: ReturnType<typeof optionsOf>): Promise<boolean> {
  const results = tasks.map(() => Promise.withResolvers<Done>())
  const left = tasks.entries()
  const work = async () => {
    for (const [index, workerData] of left) {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData })
      const [done] = await once(worker, 'message')
      results[index]?.resolve(done)
    }
  }
  const working = Promise.all(Array.from({ length: jobs }, work))
  let isFine = true
  for (const { promise } of results) {
    const done = await Promise.race([promise, working.then(() => promise)])
    console.log(`${done.lines.join('\n')}\n`)
    isFine &&= done.isFine
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
