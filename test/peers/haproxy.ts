import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/**
 * HAProxy with its statistics on a Unix socket and on a page at `port`, behind user `reader`. Backends by name, with the ports of their
 * servers, which may take their time.
 */
export async function startHaproxy(
  t: TestContext,
  { backends }: { backends: Record<string, number[]> },
): Promise<Peer & { socketPath: string; pageUrl: string; password: string }> {
  const port = await freePort()
  const password = 'lighthouse'
  let socketPath = ''
  const peer = await startPeer(t, {
    name: 'haproxy',
    package: 'haproxy',
    program: '/usr/sbin/haproxy',
    port,
    async prepare(folder, _daemons, program) {
      socketPath = join(folder, 'admin.sock')
      const blocks = Object.entries(backends).map(
        ([name, ports]) =>
          `backend ${name}\n  option httpchk GET /\n${ports.map((port, index) => `  server s${index} 127.0.0.1:${port} check inter 500ms fall 1 rise 1\n`).join('')}`,
      )
      await writeFile(
        join(folder, 'haproxy.cfg'),
        `global
  stats socket ${socketPath} mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout check 10s
  timeout client 5s
  timeout server 5s
listen statistics
  bind 127.0.0.1:${port}
  stats enable
  stats uri /stats
  stats auth reader:${password}
${blocks.join('')}`,
      )
      return [program, '-db', '-f', join(folder, 'haproxy.cfg')]
    },
    ready: () => answers(`http://127.0.0.1:${port}/stats`, 401),
  })
  return { ...peer, socketPath, pageUrl: `http://127.0.0.1:${port}/stats`, password }
}
