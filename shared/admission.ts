import type { Socket } from 'node:net'
import type { Clock } from './clock.ts'
import type { Connections } from './connections.ts'
import { descriptorOf, isOutOfDescriptors, openFileLimit, reservedDescriptors } from './descriptors.ts'
import type { Log } from './log.ts'

/** How often connections and descriptors are looked after, in milliseconds. */
const sweepMs = 2_000
/** How often the same is logged at most, in milliseconds. */
const logMs = 60_000

/** So many connections are admitted however few descriptors there are. */
const leastConnections = 4

type AdmissionNeeds = {
  name: string
  limits: { maxConnections: number; idleTimeoutMs: number; strangerIdleTimeoutMs: number; writeTimeoutMs: number }
  connections: Connections
  log: Log
  clock: Clock
}

/**
 * Admits connections to a server. At the limit of connections, and when few file descriptors are left, another one is closed for each new
 * one; the new one is refused only if none can be spared.
 */
export class Admission {
  readonly counts = { spared: 0, refused: 0, stalled: 0, outOfDescriptors: 0, malformed: 0 }
  readonly #needs: AdmissionNeeds
  readonly #openFiles = openFileLimit()
  readonly #loggedAt = new Map<string, number>()
  /** The connections that leave enough descriptors for everything else, as far as is known. */
  #affordable = Number.POSITIVE_INFINITY

  constructor(needs: AdmissionNeeds) {
    this.#needs = needs
  }

  admit(socket: Socket): void {
    const { connections, limits } = this.#needs
    connections.opened(socket)
    this.#learn(socket)
    const { maxConnections } = limits
    const limit = this.#affordable < maxConnections ? { openFiles: this.#openFiles } : { maxConnections }
    while (connections.size > Math.min(maxConnections, this.#affordable)) {
      if (!connections.spareOne(socket)) {
        this.counts.refused++
        socket.destroy()
        this.#warn(limit, 'connections refused, the limit is reached')
        return
      }
      this.counts.spared++
      this.#warn(limit, 'connections closed to make room, the limit is reached')
    }
  }

  /** A request was refused for its form, which the app never sees. */
  malformed(fault: string): void {
    this.counts.malformed++
    this.#warn({ fault }, 'requests refused for their form')
  }

  /** A new descriptor is the lowest that is free: all below it are in use, by connections and by everything else. */
  #learn(socket: Socket): void {
    const descriptor = descriptorOf(socket)
    if (this.#openFiles === undefined || descriptor === undefined) return
    const beyond = descriptor + 1 - (this.#openFiles - reservedDescriptors(this.#openFiles))
    if (beyond > 0) this.#affordable = Math.max(leastConnections, this.#needs.connections.size - beyond)
  }

  /** Looks after the connections and the descriptors until the signal aborts. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { connections, limits, clock } = this.#needs
    for (;;) {
      await clock.sleep(Math.min(sweepMs, limits.strangerIdleTimeoutMs), signal).catch(() => {})
      if (signal.aborted) return
      connections.closeIdle(limits.strangerIdleTimeoutMs, limits.idleTimeoutMs)
      const stalled = connections.closeStalled(limits.writeTimeoutMs)
      this.counts.stalled += stalled
      if (stalled > 0) this.#warn({}, 'connections closed whose clients read no response')
      this.#affordable = Number.POSITIVE_INFINITY // it is found again if it is still so
      if (!isOutOfDescriptors()) continue
      this.counts.outOfDescriptors++
      connections.closeIdle(0, limits.idleTimeoutMs)
      this.#warn(
        { openFiles: this.#openFiles },
        'no file descriptor is left, the system refuses connections: raise the limit of open files',
      )
    }
  }

  #warn(fields: Record<string, unknown>, message: string): void {
    const { name, connections, log, clock } = this.#needs
    const now = clock.monotonic()
    if (now - (this.#loggedAt.get(message) ?? Number.NEGATIVE_INFINITY) < logMs) return
    this.#loggedAt.set(message, now)
    log.warn({ server: name, connections: connections.size, ...this.counts, ...fields }, message)
  }
}
