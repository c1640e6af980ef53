import type { Clock } from '../../shared/clock.ts'
import { isProblem, Problem } from '../../shared/errors.ts'
import type { ApiContext } from './context.ts'
import type { Authentication } from './identity/authentication.ts'
import type { ClientAddresses } from './identity/client-address.ts'
import { createBuckets, type LimitsConfig, rateLimited } from './limits.ts'

/** Lets requests in, each within the limits of its identity, or of its address. */
export type Gate = {
  /** Finds out who sends the request. @throws Problem `unauthenticated` or `rate-limited` */
  identify(c: ApiContext): Promise<void>
  /**
   * Answers a request that needs no credential. Beyond the limit of its address, one that has a valid credential is answered all the same.
   * @throws Problem `rate-limited`
   */
  admit(c: ApiContext, work: () => Response | Promise<Response>): Promise<Response>
}

type GateParts = { authentication: Pick<Authentication, 'identify'>; addresses: ClientAddresses; clock: Clock }

export function createGate(limits: LimitsConfig, { authentication, addresses, clock }: GateParts): Gate {
  const identities = createBuckets({ perSecond: limits.requestsPerSecond, burst: limits.burst }, clock)
  const strangers = createBuckets({ perSecond: limits.anonymousPerMinute / 60, burst: limits.anonymousBurst }, clock)

  /** The requests of each identity whose answers are under way. */
  const underWay = new Map<string, number>()

  function enter(c: ApiContext, name: string): void {
    const outgoing = c.env?.outgoing
    if (outgoing === undefined) return
    const count = underWay.get(name) ?? 0
    if (count >= limits.concurrentRequests) {
      const detail = `${name} has ${count} requests under way, and may have no more at once. Wait until one of them is answered.`
      throw new Problem('rate-limited', detail, { retryAfterSeconds: 1 })
    }
    underWay.set(name, count + 1)
    outgoing.once('close', () => {
      const left = (underWay.get(name) ?? 0) - 1
      if (left > 0) underWay.set(name, left)
      else underWay.delete(name)
    })
  }

  async function identify(c: ApiContext): Promise<void> {
    const identity = await authentication.identify(c)
    c.env?.recognized?.()
    c.set('identity', identity)
    const wait = identities.take(identity.name)
    if (wait > 0) throw rateLimited(identity.name, wait)
    enter(c, identity.name)
  }

  return {
    identify,
    async admit(c, work) {
      const address = addresses.of(c)
      const wait = strangers.take(address)
      if (wait > 0) {
        await identify(c).catch((error: unknown) => {
          throw isProblem(error, 'unauthenticated') ? rateLimited(`The address ${address}`, wait) : error
        })
      }
      return work()
    },
  }
}
