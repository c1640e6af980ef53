import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { type Peer, startPeer } from './peer.ts'

const run = promisify(execFile)

/** dockerd on a Unix socket of its own, without bridge and firewall rules. */
export async function startDockerd(t: TestContext): Promise<Peer & { socketPath: string; docker(...args: string[]): Promise<string> }> {
  let socketPath = ''
  const docker = async (...args: string[]) => (await run('docker', ['-H', `unix://${socketPath}`, ...args], { timeout: 60_000 })).stdout
  const peer = await startPeer(t, {
    name: 'dockerd',
    package: 'docker.io',
    program: '/usr/sbin/dockerd',
    port: 0,
    async prepare(folder, _daemons, program) {
      socketPath = join(folder, 'docker.sock')
      return [
        // Its mounts, its data folder among them, go with it.
        '/usr/bin/unshare',
        '--mount',
        '--propagation=private',
        program,
        '--storage-driver=vfs',
        `--data-root=${join(folder, 'data')}`,
        `--exec-root=${join(folder, 'run')}`,
        `--pidfile=${join(folder, 'docker.pid')}`,
        `--host=unix://${socketPath}`,
        '--bridge=none',
        '--iptables=false',
      ]
    },
    ready: () => docker('info'),
  })
  return { ...peer, socketPath, docker }
}
