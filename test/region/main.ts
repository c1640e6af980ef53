import { parseArgs } from 'node:util'
import { brokerFault } from './broker-url.ts'
import { folder } from './place.ts'

const help = `npm start -- [options]: a whole region on this machine

  --once              end after the scenario: 0 when every step succeeded
  --kubeconfig FILE   do it on this cluster, as its administrator, rather than on the embedded one
  --real              do it on a control plane of its own, built by test/cluster/real/build.sh
  --mqtt URL          announce it at this broker (mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts://, ws://, wss://), not at an embedded one
  --log FILE          write the agent's log there (${folder}/agent.log)
  --monitor-log FILE  write the monitor's log there (${folder}/monitor.log)
  --help

It writes ${folder}/region.json, so that other programs can find the region.
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      real: { type: 'boolean', default: false },
      mqtt: { type: 'string' },
      log: { type: 'string', default: `${folder}/agent.log` },
      'monitor-log': { type: 'string', default: `${folder}/monitor.log` },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return
  }
  const fault = values.mqtt === undefined ? undefined : brokerFault(values.mqtt)
  if (fault !== undefined) throw new Error(`--mqtt ${fault}`)
  // Only now: whoever asks for help, or errs, need not wait for all of it.
  const { run } = await import('./run.ts')
  await run(values)
}

await main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  },
)
