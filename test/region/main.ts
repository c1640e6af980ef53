import { parseArgs } from 'node:util'
import { brokerFault } from './broker-url.ts'
import { firstFolder } from './folder.ts'
import { watchNpm } from './npm-process.ts'
import { expectFree, portOf } from './ports.ts'

const help = `npm start -- [options]: a whole region on this machine

  --once              end after the scenario: 0 when every step succeeded
  --port PORT         port of the agent's API (any free one)
  --mqtt-port PORT    port of the embedded broker (any free one)
  --mqtt URL          announce the region at this broker (mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts://, ws://, wss://)
                      instead of an embedded one
  --kubeconfig FILE   use this cluster, as its administrator, instead of the embedded one
  --real              use a control plane of its own, built by test/cluster/real/build.sh, or that of KUBEBUILDER_ASSETS
  --log FILE          write the agent's log there (${firstFolder}/agent.log)
  --monitor-log FILE  write the monitor's log there (${firstFolder}/monitor.log)
  --help

All of it listens on 127.0.0.1. Ctrl-C ends it, a second Ctrl-C at once. The region writes ${firstFolder}/region.json, so that other programs
can find it; ca.pem, token and kubeconfig beside it are for curl and kubectl. Several can run at the same time in one checkout: the
second is harbour-2, with its files in ${firstFolder}/2.
`

/** Aborts on the first signal, or when npm was killed. A second signal ends the process. */
async function stopSignal(): Promise<AbortSignal> {
  const stopping = new AbortController()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(code)
      stopping.abort(new Error('interrupted'))
    })
  await watchNpm(() => stopping.abort(new Error('npm is gone')))
  return stopping.signal
}

/** @returns the exit code */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      port: { type: 'string' },
      'mqtt-port': { type: 'string' },
      mqtt: { type: 'string' },
      kubeconfig: { type: 'string' },
      real: { type: 'boolean', default: false },
      log: { type: 'string' },
      'monitor-log': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const fault = values.mqtt === undefined ? undefined : brokerFault(values.mqtt)
  if (fault !== undefined) throw new Error(`--mqtt ${fault}`)
  if (values.mqtt !== undefined && values['mqtt-port'] !== undefined)
    throw new Error('--mqtt-port is for the embedded broker, which --mqtt replaces: use one of them')
  if (values.kubeconfig !== undefined && values.real) throw new Error('--kubeconfig and --real name two clusters: use one of them')
  const ports = { port: portOf('--port', values.port), mqttPort: portOf('--mqtt-port', values['mqtt-port']) }
  if (ports.port !== undefined && ports.port === ports.mqttPort) throw new Error('--port and --mqtt-port must be two ports')
  await expectFree('--port', ports.port)
  await expectFree('--mqtt-port', ports.mqttPort)
  const stopping = await stopSignal()
  // Only now: whoever asks for help, or errs, need not wait for all of it.
  const { run } = await import('./run.ts')
  return run({ ...values, ...ports, log: values.log, monitorLog: values['monitor-log'] }, stopping)
}

await main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exit(1)
  },
)
