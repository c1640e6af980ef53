import { execFile, spawn } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cacheFolder, createDaemons, type Daemon } from '../cluster/index.ts'

const run = promisify(execFile)
const startWithinMs = 60_000

/** A docker daemon of the tests' own. Its images stay in the cache from one run to the next, its containers do not. */
export type Docker = {
  socketPath: string
  /** Runs the command-line client. @throws Error with what it said */
  docker(...args: string[]): Promise<string>
  /** Builds an image, and shows nothing unless that fails. @throws Error with the end of what the build said */
  build(args: string[]): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts dockerd in process and mount namespaces: whatever becomes of the test, no container and no mount outlives it.
 * @param bridge the network interface of the containers; none when left out, so that they have only that of the host
 */
export async function startDocker({ bridge }: { bridge?: string } = {}): Promise<Docker> {
  const daemons = createDaemons()
  const { folder } = daemons
  const socketPath = join(folder, 'docker.sock')
  const data = join(cacheFolder(), 'docker')
  await mkdir(data, { recursive: true })
  const dockerd = [
    '/usr/sbin/dockerd',
    `--data-root=${data}`,
    `--exec-root=${join(folder, 'run')}`,
    `--pidfile=${join(folder, 'docker.pid')}`,
    `--host=unix://${socketPath}`,
    `--bridge=${bridge ?? 'none'}`,
    '--iptables=false',
    '--userland-proxy=false',
    // One folder for the groups of all containers, which is taken away at the end.
    `--cgroup-parent=${cgroupParent}`,
    '--log-level=warn',
    ...(await runtimeArguments(folder)),
  ]
  // Two daemons would spoil each other's data: the second one waits.
  const daemon = daemons.start('dockerd', '/usr/bin/env', [...namespaces(), '/usr/bin/flock', '--no-fork', `${data}.lock`, ...dockerd])
  const client = ['--host', `unix://${socketPath}`]
  const docker = async (...args: string[]) => (await run('docker', [...client, ...args], { maxBuffer: 64 << 20 })).stdout

  const self: Docker = {
    socketPath,
    docker,
    async build(args) {
      const env = { ...process.env, DOCKER_BUILDKIT: '0' } // Debian's docker.io has no other builder
      const child = spawn('docker', [...client, 'build', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
      const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)])
      if ((await ended) !== 0) throw new Error(`docker build ${args.join(' ')}:\n${said.slice(-3000)}${complained}`)
    },
    async stop() {
      await removeContainers(self).catch(() => {})
      await docker('image', 'prune', '--force').catch(() => {}) // those that have lost their name to newer ones
      await daemons.stop()
    },
  }
  try {
    await untilReady(self, daemon)
    await removeContainers(self)
  } catch (error) {
    await daemons.stop()
    throw error
  }
  return self
}

/** The group of all containers, below the root of each hierarchy. */
export const cgroupParent = '/skerry-pods'

/**
 * Those in which the daemon starts, unless `npm run test:pods` has done that for the whole test: then a kubelet's mounts must be seen by
 * its containers. containerd and libnetwork have places of their own below /run, wherever dockerd has its.
 */
function namespaces(): string[] {
  if (process.env.SKERRY_PODS === 'namespaces') return []
  const inside = 'mount -t tmpfs tmpfs /run && exec "$@"'
  const unshare = ['unshare', '--mount', '--propagation=private', '--pid', '--fork', '--kill-child', '--mount-proc']
  return [...unshare, '/bin/sh', '-c', inside, 'sh']
}

/** A runc that does without CAP_SYS_RESOURCE, where this machine lacks it: limits are not raised, and nobody is spared when memory is short. */
async function runtimeArguments(folder: string): Promise<string[]> {
  const capabilities = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1]}`)
  if (capabilities & (1n << 24n)) return []
  const path = join(folder, 'runc')
  await writeFile(path, withoutSysResource)
  await chmod(path, 0o755)
  return [`--add-runtime=modest=${path}`, '--default-runtime=modest']
}

const withoutSysResource = `#!/bin/sh
bundle=$(printf '%s\\n' "$@" | sed -n '/^--bundle$/{n;p}')
if [ -n "$bundle" ]; then
  modest=$(jq 'del(.process.rlimits) | if .process.oomScoreAdj < 0 then .process.oomScoreAdj = 0 else . end' "$bundle/config.json") &&
    printf '%s' "$modest" >"$bundle/config.json"
fi
exec /usr/sbin/runc "$@"
`

async function untilReady({ docker }: Docker, daemon: Daemon): Promise<void> {
  for (const deadline = performance.now() + startWithinMs; ; await sleep(100)) {
    const error = await docker('info').then(
      () => undefined,
      (failure: Error) => failure,
    )
    if (error === undefined) return
    if (daemon.exit) throw new Error(`dockerd ended while starting (apt-get install docker.io):\n${daemon.logTail()}`)
    if (performance.now() > deadline)
      throw new Error(`dockerd was not ready within ${startWithinMs} ms: ${error.message}\n${daemon.logTail()}`)
  }
}

/** Those of a run that was cut off: none of them runs any more. */
async function removeContainers({ docker }: Docker): Promise<void> {
  const left = (await docker('ps', '--all', '--quiet')).split('\n').filter(Boolean)
  if (left.length > 0) await docker('rm', '--force', ...left)
}
