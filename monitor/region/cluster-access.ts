import type { Clock } from '../../shared/clock.ts'
import { type Cluster, type ClusterConfig, clusterAt, credentialsOf } from '../../shared/kubernetes/connection.ts'
import { type ApiServer, apiServerOf } from '../wire/api-server.ts'

/** The cluster in two ways, with the same credentials. */
export type ClusterAccess = {
  /** Kept connections, for all that is followed. */
  cluster: Cluster
  /** A connection that is new each time, for checks: whether a new client gets through is what they ask. */
  apiServer: ApiServer
}

/** Nothing is sent yet. @throws Error that says which file or variable is missing */
export async function accessCluster(config: ClusterConfig, clock: Clock): Promise<ClusterAccess> {
  const credentials = await credentialsOf(config, clock)
  return { cluster: clusterAt(credentials, { clock }), apiServer: apiServerOf(credentials) }
}
