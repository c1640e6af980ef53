import type { KubernetesObject } from '../../client/objects.ts'
import { fieldManager, type Operator } from './operator.ts'

/** A Kubernetes Event on an object for a line of the operator's log, as Kopf posts it. Nothing waits for it, and it may get lost. */
export function postEvent(operator: Operator, object: KubernetesObject, type: 'Normal' | 'Warning' | 'Error', message: string): void {
  if (!operator.options.events) return
  const { apiVersion, kind, metadata } = object
  const now = new Date(operator.world.clock.now()).toISOString()
  const event = {
    // The API server generates the name.
    metadata: { generateName: 'kopf-event-', namespace: metadata.namespace } as KubernetesObject['metadata'],
    action: 'Action?',
    type,
    reason: 'Logging',
    message: message.length > 1024 ? `${message.slice(0, 509)}...${message.slice(-512)}` : message,
    reportingComponent: 'kopf',
    reportingInstance: 'dev',
    source: { component: 'kopf' },
    involvedObject: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
    firstTimestamp: now.replace(/\.\d+/, ''),
    lastTimestamp: now.replace(/\.\d+/, ''),
    eventTime: now.replace('Z', '000Z'),
  }
  operator.world.create('Event', event, { fieldManager }).catch((error: unknown) => {
    operator.world.log.debug({ err: error }, 'event not posted')
  })
}
