import { createQueue } from './queue.ts'
import type { World } from './world.ts'

const fieldManager = 'load-balancer-stand-in'

/** The load balancer, and its faults. */
export type LoadBalancerStandIn = {
  /** Withholds addresses from Services of this name (by default, from all), or assigns them again. */
  withhold(withheld: boolean, service?: string): void
  stop(): Promise<void>
}

/** Assigns addresses from 192.0.2.0/24 to Services of type LoadBalancer. Addresses are not reused, so that a new Service gets a new one. */
export async function runLoadBalancer(world: World, { never = false }: { never?: boolean } = {}): Promise<LoadBalancerStandIn> {
  const services = await world.follow('Service')
  const withheld = new Set<string>(never ? ['*'] : [])
  let last = 0
  const queue = createQueue(
    async (key, signal) => {
      const service = services.get(key)
      if (!service || service.metadata.deletionTimestamp !== undefined) return
      const isBalanced = service.spec.type === 'LoadBalancer'
      const hasAddress = (service.status?.loadBalancer?.ingress ?? []).length > 0
      if (isBalanced === hasAddress) return
      if (isBalanced && (withheld.has('*') || withheld.has(service.metadata.name))) return
      if (isBalanced) last = (last % 254) + 1
      const ingress = isBalanced ? [{ ip: `192.0.2.${last}` }] : null
      await world.patch(
        'Service',
        service.metadata,
        { status: { loadBalancer: { ingress } } },
        { fieldManager, subresource: 'status', signal },
      )
    },
    { name: 'load-balancer', clock: world.clock, log: world.log },
  )
  const lookAtAll = () => {
    for (const { metadata } of services.values()) queue.add(`${metadata.namespace}/${metadata.name}`)
  }
  const end = services.subscribe(({ type, key }) => {
    if (type !== 'removed') queue.add(key)
  })
  lookAtAll()
  return {
    withhold(isWithheld, service = '*') {
      if (isWithheld) withheld.add(service)
      else withheld.delete(service)
      lookAtAll()
    },
    async stop() {
      end()
      await queue.stop()
    },
  }
}
