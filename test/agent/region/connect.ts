import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemClock } from '../../../shared/clock.ts'
import { type Cluster, connectCluster } from '../../../shared/kubernetes/connection.ts'
import type { TestCluster } from '../../cluster/index.ts'

/** A connection of the bearer of a token, as a pod has it: by files that the kubelet would project. */
export async function connectWithToken(testCluster: TestCluster, token: string): Promise<Cluster> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-account-'))
  await writeFile(path.join(directory, 'token'), token, { mode: 0o600 })
  await writeFile(path.join(directory, 'ca.crt'), testCluster.ca)
  const { hostname, port } = new URL(testCluster.url)
  const cluster = await connectCluster(
    { serviceAccountDir: directory, serviceHost: hostname, servicePort: port },
    { clock: systemClock },
  )
  return {
    ...cluster,
    close() {
      cluster.close()
      void rm(directory, { recursive: true, force: true })
    },
  }
}
