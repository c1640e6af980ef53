import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Cluster } from '../../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { createServingCertificate } from '../../../cluster/index.ts'

/** What stands in the kubelets' place: the API server asks it for logs, as it asks a kubelet. */
export type KubeletServer = {
  /** What a Node's status says so that the API server comes here. */
  status: { addresses: object[]; daemonEndpoints: object }
  stop(): Promise<void>
}

type Container = { name: string; state?: Record<string, { reason?: string }>; lastState?: { terminated?: object } }

/**
 * Answers `GET /containerLogs/NAMESPACE/POD/CONTAINER` with a line that names them. It gives and refuses logs as the kubelet does
 * (validateContainerLogStatus): `previous` only where one ended before, and nothing of a container that has never started.
 */
export async function startKubeletServer(cluster: Cluster): Promise<KubeletServer> {
  const { cert, key } = await createServingCertificate('kubelet')
  const server = createServer({ cert, key }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://kubelet')
    const [, namespace = '', pod = '', container = ''] = /^\/containerLogs\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(pathname) ?? []
    logOf(namespace, pod, container, searchParams.get('previous') === 'true').then(
      (line) => response.writeHead(200, { 'content-type': 'text/plain' }).end(`${line}\n`),
      (error: Error) => response.writeHead(400, { 'content-type': 'text/plain' }).end(error.message),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  async function logOf(namespace: string, name: string, container: string, previous: boolean): Promise<string> {
    const pod = await cluster.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Pod, namespace, name) })
    const statuses: Container[] = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
    const { state = {}, lastState } = statuses.find((each) => each.name === container) ?? {}
    const ended = lastState?.terminated !== undefined
    if (previous && !ended) throw new Error(`previous terminated container "${container}" in pod "${name}" not found`)
    if (!state.running && !state.terminated && !ended)
      throw new Error(`container "${container}" in pod "${name}" is waiting to start: ${state.waiting?.reason ?? 'PodInitializing'}`)
    return `said by ${container} of ${namespace}/${name}${previous ? ', before it ended' : ''}`
  }

  const { port } = server.address() as AddressInfo
  return {
    status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: port } } },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
