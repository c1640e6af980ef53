import type { TestCluster } from '../test-cluster.ts'
import { clusterAccess } from './access.ts'
import { startControlPlane } from './control-plane.ts'
import { define } from './definitions.ts'
import { admissionPluginsOf } from './flags.ts'
import { borrowCluster } from './pool/borrowed.ts'

export type RealClusterOptions = { crds?: string[]; address?: string; admissionPlugins?: string[] }

/**
 * A control plane of real programs: etcd, kube-apiserver with RBAC, kube-controller-manager; no nodes and no scheduler.
 * They end with `stop()`, and with the test process however that ends.
 *
 * `SKERRY_KUBECONFIG` names a cluster to use instead. Tests write to it, but never suspend or stop it. `SKERRY_CLUSTER_POOL` names the
 * socket of a pool, which lends one that looks as new.
 *
 * @param options `crds`: YAML of CRDs that are created before the controller manager starts. `address`: where nodes and pods reach the
 * API server, which then listens there instead of on loopback; pods then get the tokens of their accounts. `admissionPlugins`: names of
 * plugins to turn on; those of `SKERRY_ADMISSION_PLUGINS` if left out.
 */
export async function startRealCluster(options: RealClusterOptions = {}): Promise<TestCluster> {
  const { crds = [], address, admissionPlugins = admissionPluginsOf(process.env) } = options
  const { SKERRY_KUBECONFIG: kubeconfig, SKERRY_CLUSTER_POOL: pool } = process.env
  if (kubeconfig) return useGivenCluster(kubeconfig)
  if (pool && address === undefined && admissionPlugins.length === 0) return borrowCluster(pool, crds)

  const plane = await startControlPlane({ address, admissionPlugins })
  try {
    await define(plane.access, crds)
  } catch (error) {
    await plane.stop()
    throw error
  }
  plane.startManager()
  return {
    kind: 'real',
    ...clusterAccess(plane.access),
    faults: undefined,
    suspend: () => plane.suspend(),
    resume: () => plane.resume(),
    stop: () => plane.stop(),
  }
}

/** Uses an existing cluster, with the permissions of the current context of a kubeconfig, which must be an administrator's. */
export async function useGivenCluster(kubeconfigPath: string): Promise<TestCluster> {
  const given = await import('./given.ts') // on demand, since its Kubernetes client takes half a second to load
  return given.useGivenCluster(kubeconfigPath)
}
