import { Refusal } from './handling.ts'
import { dataService } from './objects.ts'
import type { Operator } from './operator.ts'
import { type SubHandler, schedule } from './sub-handlers.ts'

/** Changes the data Service from type LoadBalancer to ClusterIP, or back. It does not create Traefik's own objects. */
export function changeExposure(operator: Operator): SubHandler {
  return {
    id: 'change_exposure',
    className: 'ChangeExposureSubHandler',
    async work({ object, signal }, run) {
      const { exposure, externalDNS } = object.spec.cluster
      if (exposure === 'traefik' && !externalDNS) throw new Refusal('externalDNS is required when exposure=traefik')
      const { metadata, spec } = dataService(object)
      const service = operator.get('Service', object.metadata.namespace ?? '', metadata.name)
      if (service) {
        const cleared =
          exposure === 'traefik' ? { externalTrafficPolicy: null, loadBalancerSourceRanges: null, healthCheckNodePort: null } : {}
        await operator.patch('Service', service, { metadata: { annotations: metadata.annotations }, spec: { ...cleared, ...spec } }, signal)
      } else await operator.ensure('Service', { metadata, spec }, signal)
      schedule(run, {
        event: 'feedback',
        status: 'success',
        payload: { message: 'The exposure has been changed successfully.', operation: 'update', action: 'unknown' },
      })
    },
  }
}
