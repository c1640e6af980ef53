import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Core } from './core.ts'
import type { KubeObject } from './object.ts'
import { ApiError, badRequest, notFound } from './status.ts'
import type { Target } from './writes.ts'

const timeoutMs = 10_000

/** `GET pods/<name>/log`, from the kubelet at the address and port in the pod's Node. As the real server, it accepts any certificate. */
export async function readPodLog({ lookup }: Core, { type, namespace, name }: Target, query: URLSearchParams): Promise<string> {
  const pod = lookup.get('/pods', namespace, name)
  if (!pod) throw notFound(type, name)
  const { nodeName } = pod.spec
  if (!nodeName) throw badRequest(`pod ${name} does not have a host assigned`)
  const node = lookup.get('/nodes', undefined, nodeName)
  const host = node?.status?.addresses?.find((address: { type: string }) => address.type === 'InternalIP')?.address
  const port = node?.status?.daemonEndpoints?.kubeletEndpoint?.Port
  if (!host || !port) throw new ApiError(500, 'InternalError', `no kubelet is known of node ${nodeName}`)
  const asked = new URLSearchParams(query)
  asked.delete('container')
  return ask(`https://${host}:${port}/containerLogs/${namespace}/${name}/${containerOf(pod, query.get('container'))}?${asked}`)
}

function containerOf({ metadata, spec }: KubeObject, given: string | null): string {
  const names: string[] = [...spec.containers, ...(spec.initContainers ?? [])].map((container) => container.name)
  if (given === null && names.length > 1) {
    throw badRequest(`a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(' ')}]`)
  }
  const chosen = given ?? names[0] ?? ''
  if (!names.includes(chosen)) throw badRequest(`container ${chosen} is not valid for pod ${metadata.name}`)
  return chosen
}

async function ask(url: string): Promise<string> {
  const [status, body] = await new Promise<[number, string]>((resolve, reject) => {
    const asking = request(url, { rejectUnauthorized: false, timeout: timeoutMs }, (answer) => {
      text(answer).then((body) => resolve([answer.statusCode ?? 0, body]), reject)
    })
    asking.on('timeout', () => asking.destroy(new Error('no answer')))
    asking.on('error', reject)
    asking.end()
  }).catch((error: Error) => {
    throw new ApiError(500, 'InternalError', `Get "${url}": ${error.message}`)
  })
  if (status === 200) return body
  throw status === 400 ? badRequest(body) : new ApiError(500, 'InternalError', body)
}
