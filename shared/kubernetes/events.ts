import { isProblem } from '../errors.ts'
import type { Cluster } from './connection.ts'
import { type KubernetesObject, kinds, pathOf } from './objects.ts'

/** What an Event is about, as far as the Event refers to it. */
export type ObjectWithEvents = Pick<KubernetesObject, 'apiVersion' | 'kind'> & {
  metadata: Pick<KubernetesObject['metadata'], 'name' | 'namespace' | 'uid'>
}

/** An Event about an object, as `kubectl get events` and `kubectl describe` show it. */
export type EventGiven = {
  /** The name of the Event. The same occasion always has the same name, so that replicas create one Event for it. */
  name: string
  about: ObjectWithEvents
  type: 'Normal' | 'Warning'
  /** One CamelCase word for programs. */
  reason: string
  /** At most 1,024 characters are kept. */
  message: string
  component: string
  /** When it happened last, and first, in Unix milliseconds. */
  now: number
  first?: number
  count?: number
}

/** The namespace of the Events about an object: its own; `default` for one without, as the API server demands. */
export function eventNamespace({ metadata }: ObjectWithEvents): string {
  return metadata.namespace ?? 'default'
}

/** The Event as an object. */
export function eventObject(given: EventGiven): KubernetesObject {
  const { name, about, type, reason, message, component, now, first = now, count = 1 } = given
  const { uid, namespace } = about.metadata
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: eventNamespace(about) },
    involvedObject: {
      apiVersion: about.apiVersion,
      kind: about.kind,
      ...(namespace !== undefined && { namespace }),
      name: about.metadata.name,
      ...(uid !== undefined && { uid }),
    },
    type,
    reason,
    message: message.slice(0, 1024),
    source: { component },
    firstTimestamp: seconds(first),
    lastTimestamp: seconds(now),
    count,
  }
}

/** Creates a Kubernetes Event unless one of that name exists. @throws Problem as the connection does */
export async function tellEvent(cluster: Cluster, given: EventGiven): Promise<void> {
  try {
    await cluster.request({ method: 'POST', path: pathOf(kinds.Event, eventNamespace(given.about)), body: eventObject(given) })
  } catch (error) {
    if (!isProblem(error, 'already-exists', 'conflict')) throw error
  }
}

/** RFC 3339 without fractions, as metav1.Time. */
function seconds(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
