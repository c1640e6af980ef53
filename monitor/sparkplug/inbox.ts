import { type CommandReading, readDeviceCommand, readNodeCommand } from './commands.ts'
import type { DropReason } from './counters.ts'
import type { HostWatch } from './host-watch.ts'
import type { EndSession, SessionContext } from './session-context.ts'
import type { HostState } from './state.ts'
import { deviceTopic, nodeTopic, stateTopic } from './topics.ts'

/** The readings of a retained command, and of a command for a device that does not exist. */
const leftover: CommandReading<never> = { actions: [], dropped: [{ reason: 'retained' }] }
const stranger: CommandReading<never> = { actions: [], dropped: [{ reason: 'unknown-device' }] }

/** What messages from outside lead to. */
export type InboxEffects = {
  isLive: () => boolean
  host: HostWatch
  /** A host asks for the rebirth of a device, or of the node when it is undefined. Called only while the births are out. */
  rebirth: (device: string | undefined) => void
  end: EndSession
}

type InboxContext = Pick<SessionContext, 'address' | 'host' | 'hasNextServer' | 'model' | 'counters' | 'guests' | 'clock' | 'warn'>

/** Takes in all messages of one connection: the primary host's STATE, commands, and what guests subscribed to. */
export function createInbox(
  { address, host, hasNextServer, model, counters, guests, clock, warn }: InboxContext,
  { isLive, host: watch, rebirth, end }: InboxEffects,
): (topic: string, payload: Buffer, isRetained: boolean) => void {
  const commandsOfDevices = deviceTopic('DCMD', address, '')

  function receiveState(state: HostState, payload: Buffer, isRetained: boolean): void {
    const verdict = state.observe(payload, clock.now())
    if (verdict === 'online') watch.online(isRetained)
    else if (verdict === 'invalid') drop('invalid-state', { bytes: payload.length })
    else if (verdict === 'offline') {
      watch.offline()
      // A node that is born always leaves. One that is not yet born waits here if there is no other server to look for the host on.
      if (isLive() || hasNextServer) end('host-offline', 'the primary host is offline on this server')
    }
  }

  function receiveNodeCommand(payload: Buffer, isRetained: boolean): void {
    for (const action of accepted(isRetained ? leftover : readNodeCommand(payload, { hasNextServer }), undefined)) {
      // Before the first NBIRTH the answer to any request is already on its way.
      if (action === 'rebirth' && isLive()) rebirth(undefined)
      else if (action === 'next-server') end('next-server', 'a host asked for it')
    }
  }

  function receiveDeviceCommand(device: string, payload: Buffer, isRetained: boolean): void {
    const reading = isRetained ? leftover : model.devices.has(device) ? readDeviceCommand(payload) : stranger
    if (accepted(reading, device.slice(0, 100)).length > 0 && isLive()) rebirth(device)
  }

  function accepted<Action extends string>({ actions, dropped }: CommandReading<Action>, device: string | undefined): Action[] {
    for (const { reason, metric } of dropped) drop(reason, { device, metric })
    counters.commands += actions.length
    return actions
  }

  function drop(reason: DropReason, fields: Record<string, unknown>): void {
    counters.dropped[reason]++
    warn(reason, fields, 'message dropped')
  }

  return (topic, payload, isRetained) => {
    if (host !== undefined && topic === stateTopic(host.id)) receiveState(host.state, payload, isRetained)
    else if (topic === nodeTopic('NCMD', address)) receiveNodeCommand(payload, isRetained)
    else if (topic.startsWith(commandsOfDevices)) receiveDeviceCommand(topic.slice(commandsOfDevices.length), payload, isRetained)
    else guests.message(topic, payload, isRetained)
  }
}
