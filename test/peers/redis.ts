import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { type Peer, says, startPeer } from './peer.ts'

/** Redis without a save to disk. `args` are further arguments, such as `--requirepass x`. */
export async function startRedis(t: TestContext, args: string[] = []): Promise<Peer> {
  const port = await freePort()
  return startPeer(t, {
    name: 'redis-server',
    package: 'redis-server',
    program: '/usr/bin/redis-server',
    port,
    prepare: async (folder, _daemons, program) => [
      program,
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--save',
      '',
      ...args,
    ],
    ready: async () => {
      const answer = await says(port, 'PING\r\n')
      if (!/PONG|NOAUTH/.test(answer)) throw new Error(answer)
    },
  })
}
