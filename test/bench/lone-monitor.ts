import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { stringify } from 'yaml'
import { nodeArguments } from '../../deploy/node-arguments.ts'
import { type MonitorProcess, startMonitorProcess } from '../region/monitor-process.ts'

/** How a monitor of a bench is configured. */
export type LoneMonitorOptions = {
  /** The bundle. */
  program: string
  checks?: readonly object[]
  sparkplug?: { url: string } | undefined
  /** Merged into the configuration, section by section. */
  config?: Record<string, unknown>
}

/** The bundled monitor on a bare host, without a cluster, run as the image runs it. `stop` removes its folder too. */
export async function startLoneMonitor({
  program,
  checks = [],
  sparkplug,
  config = {},
}: LoneMonitorOptions): Promise<MonitorProcess & { startedAt: number }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'skerry-bench-monitor-'))
  const checksFile = path.join(folder, 'checks.yaml')
  const configFile = path.join(folder, 'monitor.yaml')
  await writeFile(checksFile, stringify({ checks }, { aliasDuplicateObjects: false }))
  await writeFile(
    configFile,
    stringify({
      cluster: { enabled: false },
      dataDir: folder,
      metrics: { host: '127.0.0.1', port: 0 },
      checks: { file: checksFile },
      log: { level: 'info' },
      ...(sparkplug && { sparkplug: { group: 'bench', node: 'edge', servers: [{ url: sparkplug.url }] } }),
      ...config,
    }),
  )
  const startedAt = performance.now()
  const monitor = await startMonitorProcess({ program, configFile, env: {}, nodeArguments: nodeArguments.monitor })
  return {
    ...monitor,
    startedAt,
    async stop() {
      const how = await monitor.stop()
      await rm(folder, { recursive: true, force: true })
      return how
    },
  }
}
