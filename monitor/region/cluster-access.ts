import type { Clock } from '../../shared/clock.ts'
import { type Cluster, type ClusterConfig, clusterAt, credentialsOf } from '../../shared/kubernetes/connection.ts'
import { type ApiServer, apiServerOf } from '../wire/api-server.ts'

/** Two ways to the cluster, with the same credentials. */
export type ClusterAccess = {
  /** Over persistent connections, for all watches. */
  cluster: Cluster
  /** Over a new connection each time, for checks: they test whether a new client can connect. */
  apiServer: ApiServer
}

/** Reads the credentials; sends nothing. @throws Error that names the missing file or variable */
export async function accessCluster(config: ClusterConfig, clock: Clock): Promise<ClusterAccess> {
  const credentials = await credentialsOf(config, clock)
  return { cluster: clusterAt(credentials, { clock }), apiServer: apiServerOf(credentials) }
}
