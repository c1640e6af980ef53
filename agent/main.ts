import { loadConfig } from '../shared/config/index.ts'
import { usualKubeconfigs } from '../shared/kubernetes/credentials.ts'
import { createLog } from '../shared/log.ts'
import { runProcess } from '../shared/process.ts'
import { version } from '../shared/version.ts'
import { watchedOutput } from './cli/output.ts'

const program = 'skerry-agent'
const [, , first, ...rest] = process.argv

/** The commands besides the agent itself. Each is loaded when it is asked for. */
const commands = {
  preflight: {
    says: 'say whether a region can be installed in a cluster',
    load: async () => (await import('./preflight/command.ts')).preflightCommand,
  },
  registration: {
    says: 'say how the region stands with its cloud; let it leave, join, or ask again',
    load: async () => (await import('./cli/registration.ts')).registrationCommand,
  },
  export: {
    says: 'make the file that the region can be made again from',
    load: async () => (await import('./cli/export.ts')).exportCommand,
  },
  'open-export': {
    says: 'open the secrets in such a file, for whom they are encrypted',
    load: async () => (await import('./cli/export.ts')).openExportCommand,
  },
  import: {
    says: 'make the projects and databases of a region file again, with the volumes that they had',
    load: async () => (await import('./cli/import.ts')).importCommand,
  },
}

if (first !== undefined && Object.hasOwn(commands, first)) {
  const command = await commands[first as keyof typeof commands].load()
  const output = watchedOutput(`${program} ${first}`)
  const code = await command(rest, process.env, output)
  process.exit((await output.isWhole()) ? code : code || 2)
}
// Loaded here: the commands need neither the settings nor the API, whose scopes are among them.
const { agentConfig } = await import('./config.ts')
const loaded = loadConfig(agentConfig, { program, version, argv: process.argv.slice(2), env: process.env })
if (loaded.kind === 'exit') {
  const isHelp = loaded.code === 0 && ['-h', '--help'].some((flag) => process.argv.includes(flag))
  const texts = Object.entries(commands).map(([name, { says }]) => `  ${program} ${name} [--help]\n      ${says}\n`)
  const output = isHelp ? loaded.output.replace('\n\n', `\n\n${texts.join('')}\n`) : loaded.output
  ;(loaded.code === 0 ? process.stdout : process.stderr).write(output)
  process.exitCode = loaded.code
} else {
  const { config } = loaded
  const log = createLog({ ...config.log, name: program })
  const pod = {
    name: process.env.HOSTNAME ?? 'agent',
    serviceHost: process.env.KUBERNETES_SERVICE_HOST,
    servicePort: process.env.KUBERNETES_SERVICE_PORT,
    usualKubeconfigs: usualKubeconfigs(process.env),
  }
  // Loaded here: a help text or a configuration to check needs none of it.
  const { serve } = await import('./serve.ts')
  await runProcess((stopping) => serve(config, pod, { log, stopping }), { log, graceMs: config.grace })
}
