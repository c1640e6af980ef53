import { Link } from '../../../agent/cloud/link.ts'
import type { JoinSecret } from '../../../agent/cloud/registration/state.ts'
import { Pusher } from '../../../agent/cloud/status/pusher.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { createLog } from '../../../shared/log.ts'
import { type Content, memoryStore } from '../memory-store.ts'
import type { Asking } from './asking.ts'
import type { TriedRegion } from './region.ts'
import { expect, type Report } from './report.ts'

/** How far the clock of the region is behind, in milliseconds. */
const behindMs = 3 * 3_600_000
const day = 86_400_000

/** A clock that is wrong, and on which time can be made to pass. */
class WrongClock implements Clock {
  #passed = 0
  now(): number {
    return systemClock.now() - behindMs + this.#passed
  }
  monotonic(): number {
    return systemClock.monotonic() + this.#passed
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal)
  }
  pass(ms: number): void {
    this.#passed += ms
  }
}

/** Lives as the region of an agent does, with the agent's own code: it claims, tells its status, renews, and comes back after a year. */
export async function tryLife(asking: Asking, report: Report, region: TriedRegion, token: JoinSecret | undefined): Promise<void> {
  const clock = new WrongClock()
  const { transport, url } = asking
  const { id } = region
  const content: Content = {
    version: 1,
    wanted: { joined: true },
    state: { key: region.own.key },
    ...(token && { join: token }),
  }
  const log = createLog({ level: 'silent' as never, name: 'conformance' })
  const config = { cloud: url, region: { id: 'conformance', cluster: 'conformance' }, version: '0.0.0', tags: {} }
  const store = memoryStore(content)
  const link = new Link(config, { store, transport, clock, random: () => 0.5, stopping: new AbortController().signal, log })
  const pusher = new Pusher(60_000, {
    session: () => link.session(),
    read: () => ({ id: 'conformance', parts: {} }),
    cloudClock: () => link.cloudClock,
    clock,
    random: () => 0.5,
    answered: async ({ trust }) => (trust === undefined ? undefined : link.announced(trust)),
    refused: () => link.doubt(),
    log,
  })
  const ready = async (what: string) => {
    for (let step = 0; step < 10 && (await link.step()) === 0; step++);
    const { state, message = 'no status' } = content.status ?? {}
    expect(state === 'Ready' && content.status?.id === id, `${id} to be ready ${what}`, `${content.status?.id}, ${state}: ${message}`)
  }
  const heard = async (what: string) => {
    // A heartbeat is due then.
    clock.pass(61_000)
    await pusher.push()
    expect(pusher.isHeard, `to be heard ${what}`, 'no acknowledgement')
  }
  await report.try('All together', async () => {
    await ready('with a clock that is three hours behind')
    await heard('after that')
    await heard('with a heartbeat')
    link.doubt()
    await ready('after a renewal')
    await heard('with another credential')
    clock.pass(365 * day)
    pusher.forget()
    await ready('after a year')
    await heard('after a year')
  })
  const last = content.state?.joined
  if (last?.joinState !== undefined && last.joinState !== region.joinState) region.joinStates.push(last.joinState)
  region.credential = last?.credential?.token ?? region.credential
}
