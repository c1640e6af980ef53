import type { Obstacle } from '../../resources/operation.ts'
import { cures } from './cures.ts'
import { type Evidence, gather, isPast, latestEvent } from './evidence.ts'

/** How long a load balancer may be without an address before that is reported, in milliseconds. */
const addressPatienceMs = 30_000

/** A Service of type LoadBalancer without an address. The operator's resume waits for one without a timeout. */
export function loadBalancerWithoutAddress({ services, events, now }: Evidence): Obstacle[] {
  const waiting = services.filter(
    ({ spec, status, metadata }) =>
      spec?.type === 'LoadBalancer' &&
      metadata.deletionTimestamp === undefined &&
      !status?.loadBalancer?.ingress?.length &&
      isPast(metadata.creationTimestamp, addressPatienceMs, now),
  )
  return gather(
    'LoadBalancerWithoutAddress',
    waiting.map((service) => {
      const { namespace = '', name } = service.metadata
      const event = latestEvent(events, service, ({ type }) => type === 'Warning')
      return {
        object: service,
        message: event
          ? `The load balancer has no address: ${event.message}`
          : 'The load balancer has no address, and no Event says why: perhaps nothing in the cluster assigns addresses.',
        cures: [cures.LoadBalancerWithoutAddress.describe({ namespace, service: name })],
      }
    }),
  )
}
