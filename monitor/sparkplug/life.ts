import { setImmediate as nextTurn } from 'node:timers/promises'
import { encodeDeviceBirth, encodeNodeBirth } from './birth.ts'
import { type CommandReading, createCoalescer, readDeviceCommand, readNodeCommand } from './commands.ts'
import type { Connection } from './connection.ts'
import type { DropReason, SentType } from './counters.ts'
import { carriedIndexOf, type Owner } from './model.ts'
import { encodeData } from './payload.ts'
import { createSender, type StepResult } from './sender.ts'
import { createSequence } from './sequence.ts'
import type { SessionContext, SessionEnd } from './session.ts'
import type { HostState } from './state.ts'
import { deviceTopic, nodeTopic, stateTopic } from './topics.ts'
import { messageOf, within } from './waits.ts'

/** What happens on an open connection: births, data, commands, proof that the server still reads. */
export type Life = ReturnType<typeof createLife>

/** A command that the server kept for whoever comes, and one for a device that is not there. */
const leftover: CommandReading<never> = { actions: [], dropped: [{ reason: 'retained' }] }
const stranger: CommandReading<never> = { actions: [], dropped: [{ reason: 'unknown-device' }] }

/** A life that has not published anything yet. It ends with the signal, and tells `end` why it should. */
export function createLife(
  context: Omit<SessionContext, 'bdSeq'> & {
    connection: Connection
    bdSeq: number
    end: (reason: SessionEnd['reason'], detail?: string) => void
    signal: AbortSignal
  },
) {
  const { address, host, settings, model, buffer, counters, connection, bdSeq, clock, end, signal, warn } = context
  const sequence = createSequence()
  const hostOnline = Promise.withResolvers<void>()
  /** Births are out, and the session is not over. */
  let isLive = false
  let isClosed = false
  let wake: () => void = () => {}
  /** The ping under way, which ends when it is answered or the connection is cut. */
  let proving: Promise<void> | undefined
  /** The server has read the births. */
  let isProven = false
  let pingedAt = clock.monotonic()

  const sender = createSender(settings, {
    model,
    buffer,
    counters,
    clock,
    isCongested: connection.isCongested,
    send: (owner, encode) =>
      owner.id === undefined
        ? publish('NDATA', nodeTopic('NDATA', address), encode)
        : publish('DDATA', deviceTopic('DDATA', address, owner.id), encode),
  })

  /** The one place where a message is handed to the socket and takes its number. */
  function publish(
    type: Exclude<SentType, 'NDEATH' | 'NCMD'>,
    topic: string,
    encode: (head: { timestamp: number; seq: number }) => Buffer,
  ): boolean {
    if (isClosed) return false
    if (!context.isLeader()) {
      end('not-leader', 'another replica may act now')
      return false
    }
    const hand = (seq: number) => connection.send(topic, encode({ timestamp: clock.now(), seq }))
    if (!(type === 'NBIRTH' ? sequence.restart(hand) : sequence.next(hand))) return false
    counters.sent[type]++
    return true
  }

  /** NBIRTH and the DBIRTH of every device, one behind the other [tck-id-payloads-dbirth-order]. A rebirth is the same. */
  function bear(): boolean {
    const given = { bdSeq, hasNextServer: context.hasNextServer }
    if (!publish('NBIRTH', nodeTopic('NBIRTH', address), (head) => encodeNodeBirth(model.node, given, head))) return false
    markBorn(model.node)
    for (const device of model.devices.values()) if (!bearDevice(device)) return false
    return true
  }

  function bearDevice(device: Owner): boolean {
    const topic = deviceTopic('DBIRTH', address, device.id as string)
    if (!publish('DBIRTH', topic, (head) => encodeDeviceBirth(device, head))) return false
    markBorn(device)
    return true
  }

  function markBorn(owner: Owner): void {
    owner.bornAt = buffer.end
    for (const metric of owner.metrics.values()) metric.carriedIndex = carriedIndexOf(metric)
  }

  const rebirth: () => void = createCoalescer(
    () => {
      if (!isLive) return
      // A rebirth on top of what the socket has not got rid of would only add to it.
      if (connection.isCongested()) {
        rebirth()
        return
      }
      counters.rebirths++
      bear()
      wake()
    },
    { intervalMs: settings.rebirthIntervalMs, clock, signal },
  )
  const deviceRebirths = new Map<string, () => void>()

  function rebirthOf(id: string): void {
    let request = deviceRebirths.get(id)
    if (request === undefined) {
      request = createCoalescer(
        () => {
          const device = model.devices.get(id)
          if (!isLive || device === undefined) return
          counters.rebirths++
          bearDevice(device)
          wake()
        },
        { intervalMs: settings.rebirthIntervalMs, clock, signal },
      )
      deviceRebirths.set(id, request)
    }
    request()
  }

  /** Sends what is there without waiting for more. */
  function drain(): StepResult {
    let result: StepResult
    do result = isLive ? sender.step() : 'over'
    while (result === 'sent')
    return result
  }

  async function pump(): Promise<void> {
    while (isLive) {
      const result = sender.step()
      if (result === 'over') return
      if (result === 'sent') await nextTurn()
      else if (result === 'unproven') await prove()
      else if (result === 'idle') {
        const news = new Promise<void>((resolve) => {
          wake = resolve
        })
        await news
        await clock.sleep(settings.coalesceMs, signal)
      } else await clock.sleep(50, signal)
    }
  }

  /** Resolves when the server has read all that was sent so far; cuts a connection that does not answer. */
  function prove(): Promise<void> {
    proving ??= ping().finally(() => {
      proving = undefined
    })
    return proving
  }

  async function ping(): Promise<void> {
    const mark = sender.cursor
    const isBorn = isLive
    pingedAt = clock.monotonic()
    // Pinged every 0.75 of the keep-alive, answered within another 0.75: a dead link is noticed within 1.5 of it.
    const limitMs = settings.keepAliveSeconds * 750
    try {
      await answered(connection.ping(), limitMs)
    } catch (error) {
      if (!signal.aborted) connection.destroy(messageOf(error))
      throw error
    }
    isProven ||= isBorn
    if (isLive) release(mark)
  }

  /** On a slow link a large birth stands before the PINGREQ: as long as that goes out, the limit begins anew. */
  async function answered(answer: Promise<void>, limitMs: number): Promise<void> {
    let { given, gone } = connection.flow()
    for (;;) {
      try {
        return await within(answer, limitMs, 'no answer to PINGREQ', clock, signal)
      } catch (error) {
        const now = connection.flow().gone
        if (signal.aborted || gone >= given || now <= gone) throw error
        gone = now
      }
    }
  }

  function release(mark: number): void {
    buffer.release(mark)
    counters.buffer.length = buffer.end - buffer.start
  }

  async function keepAlive(): Promise<void> {
    while (!isClosed) {
      const everyMs = settings.keepAliveSeconds * 750
      await clock.sleep(Math.min(settings.proofMs, everyMs), signal)
      const isDue = clock.monotonic() - pingedAt >= everyMs || (isLive && !isProven)
      if (isDue || sender.cursor > buffer.start) await prove()
    }
  }

  function receive(topic: string, payload: Buffer, isRetained: boolean): void {
    const commandsOfDevices = deviceTopic('DCMD', address, '')
    if (host !== undefined && topic === stateTopic(host.id)) receiveState(host.state, payload)
    else if (topic === nodeTopic('NCMD', address)) receiveNodeCommand(payload, isRetained)
    else if (topic.startsWith(commandsOfDevices)) receiveDeviceCommand(topic.slice(commandsOfDevices.length), payload, isRetained)
    else context.guests.message(topic, payload, isRetained)
  }

  function receiveState(state: HostState, payload: Buffer): void {
    const verdict = state.observe(payload, clock.now())
    if (verdict === 'online') hostOnline.resolve()
    else if (verdict === 'invalid') drop('invalid-state', { bytes: payload.length })
    // Where there is no other server to look for the host on, one waits for it here; once born one leaves in any case.
    else if (verdict === 'offline' && (isLive || context.hasNextServer)) end('host-offline', 'the primary host is offline on this server')
  }

  function receiveNodeCommand(payload: Buffer, isRetained: boolean): void {
    const reading = isRetained ? leftover : readNodeCommand(payload, { hasNextServer: context.hasNextServer })
    for (const action of accepted(reading, undefined)) {
      // Before the first NBIRTH the answer to any request is already on its way.
      if (action === 'rebirth' && isLive) rebirth()
      else if (action === 'next-server') end('next-server', 'a host asked for it')
    }
  }

  function receiveDeviceCommand(device: string, payload: Buffer, isRetained: boolean): void {
    const isKnown = model.devices.has(device)
    const reading = isRetained ? leftover : isKnown ? readDeviceCommand(payload) : stranger
    if (accepted(reading, device.slice(0, 100)).length > 0 && isLive) rebirthOf(device)
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

  function listen(): void {
    model.listener = {
      reshaping: () => {
        drain()
      },
      reshaped(owner) {
        if (!isLive) return
        if (owner.id === undefined) {
          counters.rebirths++
          bear()
        } else bearDevice(owner)
      },
      removed(owner) {
        if (!isLive || owner.bornAt === undefined) return
        drain()
        publish('DDEATH', deviceTopic('DDEATH', address, owner.id as string), (head) => encodeData([], head))
        deviceRebirths.delete(owner.id as string)
      },
      changed: () => {
        if (buffer.end > sender.cursor) wake()
      },
    }
  }

  // What nobody awaits ends with the session, by the signal.
  const ignored = (error: unknown) => {
    if (!signal.aborted && !isClosed) end('lost', messageOf(error))
  }
  keepAlive().catch(ignored)

  return {
    signal,
    sender,
    hostOnline: hostOnline.promise,
    /** Whether the server has answered something since the births: it has read them. */
    get isProven() {
      return isProven
    },
    bear,
    drain,
    release,
    receive,
    /** The births are out: data may follow. */
    live(): void {
      if (isClosed) return
      isLive = true
      listen()
      pump().catch(ignored)
      context.guests.online({
        subscribe: (filters) => {
          if (filters.length > 0) connection.subscribe(filters, 0).catch(() => {})
        },
        unsubscribe: (filters) => {
          if (filters.length > 0) connection.unsubscribe(filters)
        },
        sendCommand(target, payload) {
          if (isClosed || !context.isLeader() || !connection.send(nodeTopic('NCMD', target), payload)) return false
          counters.sent.NCMD++
          return true
        },
      })
    },
    /** Nothing of the model reaches the connection any more. */
    close(): void {
      if (isClosed) return
      try {
        if (isLive) context.guests.offline()
        drainAtEnd()
      } finally {
        isClosed = true
        isLive = false
        model.listener = undefined
        for (const owner of [model.node, ...model.devices.values()]) owner.bornAt = undefined
        wake()
      }
    },
  }

  /** What was gathered goes out before the death, while its owners are still born. */
  function drainAtEnd(): void {
    if (isLive && connection.isOpen()) drain()
  }
}
