import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { systemClock } from '../../shared/clock.ts'
import { maxConfigBytes, parseConfigFile, readText, systemFiles } from '../../shared/config/file.ts'
import { loadConfig } from '../../shared/config/index.ts'
import { createLog } from '../../shared/log.ts'
import { version } from '../../shared/version.ts'
import type { CheckContext } from '../checks/kind.ts'
import { type MonitorConfig, monitorConfig, placementOf } from '../config.ts'
import type { Check } from '../prober/check.ts'
import { type ChecksFileNeeds, FollowedChecks } from '../prober/reload.ts'
import { createMonitorCaches, followRegion } from '../region/caches.ts'
import { accessCluster } from '../region/cluster-access.ts'
import { mayBeDiscovered, mergeChecks } from '../region/discovered-checks.ts'
import { Discovery } from '../region/discovery.ts'
import { type Surroundings, UsageError } from './command.ts'

/** The checks of a configuration, and the context that they run in. */
export type LoadedChecks = { checks: Check[]; context: Omit<CheckContext, 'signal'>; parallelism: number }

/** The arguments of a command that reads a configuration. @throws UsageError */
export function readArguments<O extends Record<string, { type: 'boolean'; default: boolean }>>(argv: readonly string[], more: O) {
  try {
    const options = { config: { type: 'string', short: 'c' }, help: { type: 'boolean', short: 'h', default: false }, ...more } as const
    return parseArgs({ args: [...argv], options }).values
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0] ?? '')
  }
}

/**
 * Reads the monitor's configuration, the checks file that it names, and the checks discovered in its cluster. FILE may also be a checks
 * file, which is recognized by a list `checks`.
 * @throws UsageError with every fault on a line of its own
 */
export async function loadChecks(given: string | undefined, surroundings: Surroundings): Promise<LoadedChecks> {
  const { program, env } = surroundings
  const file = given ?? (env[`${prefixOf(program)}_CONFIG`] || undefined)
  const isChecksFile = file !== undefined && holdsChecks(file)
  const config = readConfig(isChecksFile ? undefined : file, surroundings)
  const host = {
    name: hostname(),
    serviceHost: env.KUBERNETES_SERVICE_HOST,
    servicePort: env.KUBERNETES_SERVICE_PORT,
    stateDirectory: undefined,
  }
  const access = placementOf(config, host).hasCluster ? await accessCluster({ ...config.cluster, ...host }, systemClock) : undefined
  const tools = { cluster: access?.cluster, clock: systemClock, log: createLog({ level: 'fatal', name: program }) }
  try {
    const configured = await readChecks(isChecksFile ? file : config.checks.file, config, tools)
    const found = access ? await discover(config, { ...tools, cluster: access.cluster }) : []
    const checks = mergeChecks(configured, found).filter(({ kind }) => kind !== 'sparkplug-node')
    const context = { ...(access && { apiServer: access.apiServer }), mayExec: config.checks.allowExec && host.serviceHost === undefined }
    return { checks, context, parallelism: config.checks.parallelism }
  } finally {
    access?.cluster.close()
  }
}

/** The checks of the file, with its Secrets. @throws UsageError */
async function readChecks(path: string | undefined, config: MonitorConfig, tools: ChecksFileNeeds): Promise<readonly Check[]> {
  const { namespace } = config.cluster
  const followed = new FollowedChecks({ path, namespace, isDiscovered: tools.cluster && mayBeDiscovered }, tools)
  try {
    await followed.start()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const checks = followed.checks()
  await followed.stop()
  // The monitor waits for these Secrets, without checks. A command must not print an empty table as if all were well.
  if (followed.last()?.ok === false)
    throw new UsageError('the Secrets that the checks file refers to cannot be read: check that the API server answers')
  return checks
}

function holdsChecks(file: string): boolean {
  try {
    const parsed = parseConfigFile(readText(systemFiles, file, maxConfigBytes))
    return !Array.isArray(parsed) && Array.isArray((parsed.value as { checks?: unknown } | null)?.checks)
  } catch {
    return false // the next reader of the file reports what is wrong with it
  }
}

function readConfig(file: string | undefined, { program, env }: Surroundings): MonitorConfig {
  const argv = file === undefined ? [] : ['--config', file]
  const loaded = loadConfig(monitorConfig, { program, version, argv, env: { ...env, [`${prefixOf(program)}_CONFIG`]: undefined } })
  if (loaded.kind === 'exit') throw new UsageError(loaded.output.trimEnd())
  return loaded.config
}

function prefixOf(program: string): string {
  return program.toUpperCase().replaceAll('-', '_')
}

/** The checks discovered within a few seconds. If the cluster does not answer, its own check says so. */
async function discover(
  { components, discovery, cluster }: MonitorConfig,
  tools: Parameters<typeof followRegion>[1],
): Promise<readonly Check[]> {
  const { signal } = new AbortController()
  const caches = createMonitorCaches({ components, namespace: cluster.namespace }, tools)
  const following = followRegion(caches, tools)
  const found = new Discovery({ discovery, components }, { caches, ...tools })
  await following.start(signal)
  await found.start()
  const checks = found.checks()
  await found.stop()
  await following.stop(0)
  return checks
}
