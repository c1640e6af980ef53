import { isProblem } from '../errors.ts'
import type { Cluster } from './connection.ts'
import { type KubernetesObject, kinds, pathOf } from './objects.ts'

/** An Event about an object, as `kubectl get events` and `kubectl describe` show it. */
export type EventGiven = {
  /** The name of the Event. The same occasion always has the same name, so that replicas create one Event for it. */
  name: string
  /** The namespace of the Event: that of the object, if the object has one. */
  namespace: string
  about: Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'>
  type: 'Normal' | 'Warning'
  /** One CamelCase word for programs. */
  reason: string
  /** At most 1,024 characters are kept. */
  message: string
  component: string
  /** Unix milliseconds. */
  now: number
}

/** Creates a Kubernetes Event unless one of that name exists. @throws Problem as the connection does */
export async function tellEvent(cluster: Cluster, given: EventGiven): Promise<void> {
  const { name, namespace, about, type, reason, message, component } = given
  const { uid } = about.metadata
  const at = `${new Date(given.now).toISOString().slice(0, 19)}Z`
  const body = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      namespace,
      name: about.metadata.name,
      ...(uid !== undefined && { uid }),
    },
    type,
    reason,
    message: message.slice(0, 1024),
    source: { component },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  }
  try {
    await cluster.request({ method: 'POST', path: pathOf(kinds.Event, namespace), body })
  } catch (error) {
    if (!isProblem(error, 'already-exists', 'conflict')) throw error
  }
}
