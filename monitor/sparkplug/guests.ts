import type { NodeAddress } from './topics.ts'

/** The connection, as lent to a guest. */
export type GuestSession = {
  /** Subscribes to further topics at QoS 0, until the connection ends. */
  subscribe(filters: readonly string[]): void
  unsubscribe(filters: readonly string[]): void
  /** Sends a command to another node. False when it could not be handed over. */
  sendCommand(address: NodeAddress, payload: Buffer): boolean
}

/** A part of the monitor that uses the node's connection. */
export type Guest = {
  /** The births are out. Called once for each connection. */
  online(session: GuestSession): void
  offline(): void
  /** A message on a topic that is not the node's own. */
  message(topic: string, payload: Buffer, isRetained: boolean): void
}

/** All guests of the node. One that attaches while the node is online gets the present connection at once. */
export class Guests implements Guest {
  readonly #guests = new Set<Guest>()
  #session: GuestSession | undefined

  /** @returns how to detach the guest */
  attach(guest: Guest): () => void {
    this.#guests.add(guest)
    if (this.#session !== undefined) guest.online(this.#session)
    return () => this.#guests.delete(guest)
  }

  online(session: GuestSession): void {
    this.#session = session
    for (const guest of this.#guests) guest.online(session)
  }

  offline(): void {
    this.#session = undefined
    for (const guest of this.#guests) guest.offline()
  }

  message(topic: string, payload: Buffer, isRetained: boolean): void {
    for (const guest of this.#guests) guest.message(topic, payload, isRetained)
  }
}
