import type { Clock } from '../../shared/clock.ts'
import { DateClock } from '../../shared/clock-offset.ts'
import { type Cluster, type ClusterConfig, clusterAt, credentialsOf } from '../../shared/kubernetes/connection.ts'
import { type ApiServer, apiServerOf } from '../wire/api-server.ts'

/** Two ways to the cluster, with the same credentials. */
export type ClusterAccess = {
  /** Over persistent connections, for all watches. */
  cluster: Cluster
  /** For checks: over a new connection each time where they test whether a new client can connect, and a kept one for what they look up. */
  apiServer: ApiServer
  /** The clock of the API server, as its answers tell it. */
  serverClock: DateClock
}

/** Reads the credentials; sends nothing. @throws Error that names the missing file or variable */
export async function accessCluster(config: ClusterConfig, clock: Clock): Promise<ClusterAccess> {
  const credentials = await credentialsOf(config, clock)
  const serverClock = new DateClock(clock)
  const cluster = clusterAt(credentials, { clock, heardDate: serverClock.heard })
  return { cluster, apiServer: apiServerOf(credentials), serverClock }
}
