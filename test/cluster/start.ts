import { startEmbeddedCluster } from './embedded/index.ts'
import { startRealCluster } from './real/index.ts'
import type { TestCluster } from './test-cluster.ts'

/**
 * Starts the control plane named by `SKERRY_CLUSTER`: `embedded` (the default) or `real`.
 *
 * @param options `crds`: YAML of CRDs that the API server serves from its start. The garbage collector and the quotas of a real
 *   controller manager need half a minute to notice a kind that is added later.
 */
export function startCluster(options: { crds?: string[] } = {}): Promise<TestCluster> {
  return process.env.SKERRY_CLUSTER === 'real' ? startRealCluster(options) : startEmbeddedCluster(options)
}
