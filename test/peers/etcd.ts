import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/** One etcd; `url` is where its clients, `/health` and `/metrics` are. */
export async function startEtcd(t: TestContext): Promise<Peer & { url: string }> {
  const [port, peerPort] = (await Promise.all([freePort(), freePort()])) as [number, number]
  const url = `http://127.0.0.1:${port}`
  const peer = await startPeer(t, {
    name: 'etcd',
    package: 'etcd-server',
    program: '/usr/bin/etcd',
    port,
    prepare: async (folder, _daemons, program) => [
      program,
      `--data-dir=${join(folder, 'data')}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
      '--unsafe-no-fsync',
    ],
    ready: () => answers(`${url}/health`),
  })
  return { ...peer, url }
}
