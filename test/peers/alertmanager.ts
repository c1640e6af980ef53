import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/** Alertmanager that notifies nobody, and is no member of a cluster. */
export async function startAlertmanager(t: TestContext): Promise<Peer & { url: string }> {
  const port = await freePort()
  const peer = await startPeer(t, {
    name: 'alertmanager',
    package: 'prometheus-alertmanager',
    program: '/usr/bin/prometheus-alertmanager',
    port,
    async prepare(folder, _daemons, program) {
      await writeFile(join(folder, 'alertmanager.yml'), 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n')
      return [
        program,
        `--config.file=${join(folder, 'alertmanager.yml')}`,
        `--storage.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--cluster.listen-address=',
      ]
    },
    ready: () => answers(`http://127.0.0.1:${port}/-/ready`),
  })
  return { ...peer, url: `http://127.0.0.1:${port}` }
}
