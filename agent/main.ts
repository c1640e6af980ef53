import { loadConfig } from '../shared/config.ts'
import { createLog } from '../shared/log.ts'
import { runProcess } from '../shared/process.ts'
import { version } from '../shared/version.ts'
import { agentConfig } from './config.ts'
import { serve } from './serve.ts'

const loaded = loadConfig(agentConfig, { program: 'skerry-agent', version, argv: process.argv.slice(2), env: process.env })
if (loaded.kind === 'exit') {
  ;(loaded.code === 0 ? process.stdout : process.stderr).write(loaded.output)
  process.exitCode = loaded.code
} else {
  const { config } = loaded
  const log = createLog({ level: config.log.level, name: 'skerry-agent' })
  const pod = {
    name: process.env.HOSTNAME ?? 'agent',
    serviceHost: process.env.KUBERNETES_SERVICE_HOST,
    servicePort: process.env.KUBERNETES_SERVICE_PORT,
  }
  await runProcess((stopping) => serve(config, pod, { log, stopping }), { log, graceMs: config.grace })
}
