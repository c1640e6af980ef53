import { systemClock } from '../../shared/clock.ts'
import { type Cluster, clusterAt, connectCluster } from '../../shared/kubernetes/connection.ts'
import { kubeconfigCredentials, usualKubeconfigs } from '../../shared/kubernetes/credentials.ts'

/** The environment of the process. */
export type Env = Record<string, string | undefined>

/** Where a command writes. */
export type Output = { out: (text: string) => void; err: (text: string) => void }

/** With a kubeconfig, the caller is a person; with the service account of a pod, the agent. */
export type Caller = { cluster: Cluster; is: 'person' | 'agent' }

/**
 * Connects a command to the cluster as its caller: with `--kubeconfig`, else that of kubectl, else the service account of the pod.
 * @throws Error with what is missing
 */
export async function connectAsCaller({ kubeconfig, context }: { kubeconfig?: string; context?: string }, env: Env): Promise<Caller> {
  const files = kubeconfig !== undefined ? [kubeconfig] : usualKubeconfigs(env)
  if (files.length > 0) return { cluster: clusterAt(await kubeconfigCredentials(files, context), { clock: systemClock }), is: 'person' }
  if (env.KUBERNETES_SERVICE_HOST === undefined) throw new Error('there is no kubeconfig: name one with --kubeconfig')
  const cluster = await connectCluster(
    {
      // As in the agent's own configuration.
      serviceAccountDir: env.SKERRY_AGENT__CLUSTER__SERVICE_ACCOUNT_DIR ?? '/var/run/secrets/kubernetes.io/serviceaccount',
      serviceHost: env.KUBERNETES_SERVICE_HOST,
      servicePort: env.KUBERNETES_SERVICE_PORT,
    },
    { clock: systemClock },
  )
  return { cluster, is: 'agent' }
}
