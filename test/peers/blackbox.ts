import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { stringify } from 'yaml'
import { freePort } from '../cluster/index.ts'
import { answers, type Peer, startPeer } from './peer.ts'

/** blackbox_exporter with these modules. */
export async function startBlackbox(t: TestContext, modules: Record<string, unknown>): Promise<Peer & { url: string }> {
  const port = await freePort()
  const peer = await startPeer(t, {
    name: 'blackbox_exporter',
    package: 'prometheus-blackbox-exporter',
    program: '/usr/bin/prometheus-blackbox-exporter',
    port,
    async prepare(folder, _daemons, program) {
      const file = join(folder, 'blackbox.yml')
      await writeFile(file, stringify({ modules }))
      return [program, `--config.file=${file}`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn']
    },
    ready: () => answers(`http://127.0.0.1:${port}/-/healthy`),
  })
  return { ...peer, url: `http://127.0.0.1:${port}` }
}
