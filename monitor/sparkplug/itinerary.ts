import type { Clock } from '../../shared/clock.ts'
import type { SessionEnd } from './session-context.ts'

/** The windows of the pauses between two sessions, in milliseconds. */
export type ItineraryConfig = {
  /** After a failure of a server; it doubles with each, up to `capMs`. */
  reconnect: { baseMs: number; capMs: number }
  /** While the primary host is offline on a server that answers. */
  hostPauseMs: number
}

/** So many sessions that a server closed soon, one after the other, make another client likely: so often no server restarts. */
const suspicious = 3

type Stop = { failures: number; dueAt: number; closings: number }

/**
 * When which server is next: they follow each other in the order of the list, and each has a back-off of its own, so that a server that
 * does not answer never delays the search for the primary host on the others.
 *
 * | a session ended because                              | the server's failures              | window of the pause                  |
 * |------------------------------------------------------|------------------------------------|--------------------------------------|
 * | the primary host is offline, or silent               | none: it answers                   | `hostPauseMs`                        |
 * | a host asked for the next server                     | as before                          | as before                            |
 * | refused, or lost before it was proven                | one more                           | `baseMs`, doubled from the second on |
 * | lost, and had lasted as long as the window before it | none                               | `baseMs`                             |
 * | lost sooner: births alone prove nothing              | one more                           | `baseMs`, doubled from the second on |
 * | another client took it over                          | one more, unless it lasted for long | `baseMs`, doubled from the second on |
 *
 * The first pause is a random part of its window (full jitter): 10,000 monitors that lose a server come back spread over it, on the next
 * server too. After more failures it is in the second half of its window: while a server is away nobody hurries, and when it is back the first
 * second is not more than all others, as it is where short pauses stand beside long ones. Two monitors of one name end each other's sessions
 * with each CONNECT: that slows down until each lasts for minutes.
 */
export function createItinerary(
  servers: number,
  { reconnect, hostPauseMs }: ItineraryConfig,
  { clock, random }: { clock: Clock; random: () => number },
) {
  const stops = Array.from({ length: servers }, (): Stop => ({ failures: 0, dueAt: clock.monotonic(), closings: 0 }))
  let index = 0
  const stopAt = (place: number) => stops[place % servers] as Stop
  const windowAfter = (failures: number) => Math.min(reconnect.capMs, reconnect.baseMs * 2 ** Math.max(0, failures - 1))

  /** @returns whether another client seems to use the client id; undefined: nothing speaks for it */
  function note(stop: Stop, { reason, isProven, onlineMs, endedBy }: SessionEnd): 'certain' | 'perhaps' | undefined {
    if (reason === 'host-offline' || reason === 'host-silent') stop.failures = 0
    if (reason !== 'lost' && reason !== 'refused') return undefined
    // Another client comes back within the longest window, and the time that it takes to connect.
    const isShort = onlineMs < 2 * reconnect.capMs
    // MQTT 3.1.1 knows no reason, and mosquitto 2.0.11 gives none on MQTT 5: a server that restarts closes the connection in the same way.
    stop.closings = endedBy === 'closed' && isProven && isShort ? stop.closings + 1 : 0
    const suspicion = endedBy === 'other-client' ? 'certain' : stop.closings >= suspicious ? 'perhaps' : undefined
    const hasSettled = isProven && (suspicion === undefined ? onlineMs >= windowAfter(stop.failures) : !isShort)
    stop.failures = hasSettled ? 0 : stop.failures + 1
    return suspicion
  }

  return {
    /** The place of the present server in the list. */
    index: () => index,
    /** Moves on after a session. `pauseMs`: how long to wait before the next. `otherClient`: whether another client seems to have its id. */
    next(end: SessionEnd): { pauseMs: number; otherClient: 'certain' | 'perhaps' | undefined } {
      const stop = stopAt(index)
      const otherClient = note(stop, end)
      const now = clock.monotonic()
      const isHostAway = end.reason === 'host-offline' || end.reason === 'host-silent'
      const chance = random()
      const part = stop.failures > 1 ? (1 + chance) / 2 : chance
      const windowMs = isHostAway ? hostPauseMs : windowAfter(stop.failures)
      stop.dueAt = now + Math.floor(part * windowMs)
      // The other servers have done nothing; but all that were on this one come to them now.
      const earliest = now + Math.floor(chance * Math.min(windowMs, isHostAway ? hostPauseMs : reconnect.baseMs))
      const startAt = (place: number) => Math.max(earliest, stopAt(place).dueAt)
      let best = index + 1
      for (let place = index + 2; place <= index + servers; place++) if (startAt(place) < startAt(best)) best = place
      const pauseMs = startAt(best) - now
      index = best % servers
      return { pauseMs, otherClient }
    },
  }
}
