import { hostname } from 'node:os'
import { loadConfig } from '../shared/config/index.ts'
import { createLog } from '../shared/log.ts'
import { runProcess } from '../shared/process.ts'
import { version } from '../shared/version.ts'
import { commandsHelp, isCommandName } from './cli/names.ts'
import { monitorConfig } from './config.ts'

const program = 'skerry-monitor'
const [, , first = '', ...rest] = process.argv

if (isCommandName(first)) {
  const { runCommand } = await import('./cli/index.ts')
  process.exit(await runCommand(first, rest, { program, env: process.env }))
}
const examine = process.argv.includes('--check-config') ? (await import('./cli/examine.ts')).checksFileFaults : undefined
const loaded = loadConfig(monitorConfig, { program, version, argv: process.argv.slice(2), env: process.env, examine })
if (loaded.kind === 'exit') {
  const isHelp = loaded.code === 0 && ['-h', '--help'].some((flag) => process.argv.includes(flag))
  const output = isHelp ? loaded.output.replace('\n\n', `\n\n${commandsHelp(program)}\n`) : loaded.output
  ;(loaded.code === 0 ? process.stdout : process.stderr).write(output)
  process.exitCode = loaded.code
} else {
  const { config, shown, changedFile } = loaded
  const { env } = process
  const log = createLog({ ...config.log, name: program })
  const host = {
    name: env.HOSTNAME ?? hostname(),
    serviceHost: env.KUBERNETES_SERVICE_HOST,
    servicePort: env.KUBERNETES_SERVICE_PORT,
    stateDirectory: env.STATE_DIRECTORY,
  }
  const reload = new EventTarget()
  process.on('SIGHUP', () => reload.dispatchEvent(new Event('reload')))
  // Loaded here, so that --help does not need it.
  const { serve } = await import('./serve.ts')
  const tools = { log, reload, notify: env, shown, changedFile }
  await runProcess((stopping) => serve(config, host, { ...tools, stopping }), { log, graceMs: config.grace })
}
