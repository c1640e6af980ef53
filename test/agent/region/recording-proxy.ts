import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer, request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServingCertificate, type TestCluster } from '../../cluster/index.ts'

/** One thing that was done at the API server, in the words of RBAC: `patch deployments.apps`, `update projects/status.skerry.dev`. */
export type Deed = {
  verb: string
  resource: string
  namespace: string | undefined
  /** Of the one object that it was about; a collection of which only one is selected counts as that one. */
  name: string | undefined
  status: number
  path: string
}

/** A test cluster seen through a proxy that notes what its clients do. */
export type RecordedCluster = TestCluster & { deeds: Deed[] }

/** Puts a proxy before the API server for all who go by `url`; the kubeconfigs still lead to the API server itself. */
export async function recordCluster(cluster: TestCluster): Promise<RecordedCluster> {
  const { ca, cert, key } = await createServingCertificate()
  const agent = new Agent({ keepAlive: true, ca: cluster.ca })
  const deeds: Deed[] = []

  function forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', url = '/', headers } = incoming
    const onward = httpsRequest(
      new URL(url, cluster.url),
      { agent, method, headers: { ...headers, host: new URL(cluster.url).host } },
      (answer) => {
        deeds.push(...deedsOf(method, url, answer.statusCode ?? 0))
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        outgoing.flushHeaders() // of a watch nothing else may come for a while
        answer.pipe(outgoing)
        answer.on('error', () => outgoing.destroy())
      },
    )
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  }

  const server = createServer({ cert, key }, forward)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...cluster,
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    deeds,
    async stop() {
      server.closeAllConnections()
      server.close()
      agent.destroy()
      await cluster.stop()
    },
  }
}

/** `/api/v1/namespaces/a/pods/b/status` and `/apis/apps/v1/namespaces/a/deployments/b`; a namespace itself is a resource too. */
const resourcePath = /^\/(?:api|apis\/([^/]+))\/[^/]+(?:\/namespaces\/([^/]+)(?=\/[^/]+(?:\/|$)))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/

/** What RBAC calls a request. An apply that creates needs the right to create as well. */
export function deedsOf(method: string, url: string, status: number): Deed[] {
  const { pathname, searchParams } = new URL(url, 'https://cluster')
  const [, group, namespace, plural, name, subresource] = resourcePath.exec(pathname) ?? []
  if (plural === undefined) return []
  const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
  const reading = searchParams.get('watch') === 'true' ? 'watch' : name === undefined ? 'list' : 'get'
  const resource = plural + (subresource === undefined ? '' : `/${subresource}`) + (group === undefined ? '' : `.${group}`)
  const selected = /^metadata\.name=([^,]+)$/.exec(searchParams.get('fieldSelector') ?? '')?.[1]
  const deed = { resource, namespace, name: name ?? selected, status, path: pathname }
  const verb = verbs[method] ?? reading
  return [{ ...deed, verb }, ...(method === 'PATCH' && status === 201 ? [{ ...deed, verb: 'create' }] : [])]
}
