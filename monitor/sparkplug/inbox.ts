import { type CommandReading, readDeviceCommand, readNodeCommand } from './commands.ts'
import type { DropReason } from './counters.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import type { HostState } from './state.ts'
import { deviceTopic, nodeTopic, stateTopic } from './topics.ts'

/** A command that the server kept for whoever subscribes, and one for a device that does not exist. */
const leftover: CommandReading<never> = { actions: [], dropped: [{ reason: 'retained' }] }
const stranger: CommandReading<never> = { actions: [], dropped: [{ reason: 'unknown-device' }] }

/** What messages from outside lead to. */
export type InboxEffects = {
  isLive: () => boolean
  hostOnline: () => void
  /** A host asks for the rebirth of a device, or of the node when it is undefined. Called only while the births are out. */
  rebirth: (device: string | undefined) => void
  end: EndSession
}

type InboxContext = Pick<SessionContext, 'address' | 'host' | 'hasNextServer' | 'model' | 'counters' | 'guests' | 'clock' | 'warn'>

/** Takes in all messages of one connection: the primary host's STATE, commands, and what guests subscribed to. */
export class Inbox {
  readonly #context: InboxContext
  readonly #effects: InboxEffects

  constructor(context: InboxContext, effects: InboxEffects) {
    this.#context = context
    this.#effects = effects
  }

  receive(topic: string, payload: Buffer, isRetained: boolean): void {
    const { address, host, guests } = this.#context
    const commandsOfDevices = deviceTopic('DCMD', address, '')
    if (host !== undefined && topic === stateTopic(host.id)) this.#receiveState(host.state, payload)
    else if (topic === nodeTopic('NCMD', address)) this.#receiveNodeCommand(payload, isRetained)
    else if (topic.startsWith(commandsOfDevices)) this.#receiveDeviceCommand(topic.slice(commandsOfDevices.length), payload, isRetained)
    else guests.message(topic, payload, isRetained)
  }

  #receiveState(state: HostState, payload: Buffer): void {
    const { clock, hasNextServer } = this.#context
    const verdict = state.observe(payload, clock.now())
    if (verdict === 'online') this.#effects.hostOnline()
    else if (verdict === 'invalid') this.#drop('invalid-state', { bytes: payload.length })
    // A node that is born always leaves. One that is not yet born waits here if there is no other server to look for the host on.
    else if (verdict === 'offline' && (this.#effects.isLive() || hasNextServer))
      this.#effects.end('host-offline', 'the primary host is offline on this server')
  }

  #receiveNodeCommand(payload: Buffer, isRetained: boolean): void {
    const { hasNextServer } = this.#context
    for (const action of this.#accepted(isRetained ? leftover : readNodeCommand(payload, { hasNextServer }), undefined)) {
      // Before the first NBIRTH the answer to any request is already on its way.
      if (action === 'rebirth' && this.#effects.isLive()) this.#effects.rebirth(undefined)
      else if (action === 'next-server') this.#effects.end('next-server', 'a host asked for it')
    }
  }

  #receiveDeviceCommand(device: string, payload: Buffer, isRetained: boolean): void {
    const isKnown = this.#context.model.devices.has(device)
    const reading = isRetained ? leftover : isKnown ? readDeviceCommand(payload) : stranger
    if (this.#accepted(reading, device.slice(0, 100)).length > 0 && this.#effects.isLive()) this.#effects.rebirth(device)
  }

  #accepted<Action extends string>({ actions, dropped }: CommandReading<Action>, device: string | undefined): Action[] {
    for (const { reason, metric } of dropped) this.#drop(reason, { device, metric })
    this.#context.counters.commands += actions.length
    return actions
  }

  #drop(reason: DropReason, fields: Record<string, unknown>): void {
    this.#context.counters.dropped[reason]++
    this.#context.warn(reason, fields, 'message dropped')
  }
}
