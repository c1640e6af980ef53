import mqtt from 'mqtt'
import type { Heard } from '../monitor/sparkplug/broker.ts'
import { carriedValue, type DecodedMetric, decode, encode } from '../monitor/sparkplug/schema.ts'
import { withoutCredentials } from './broker-url.ts'
import type { Display } from './display.ts'

/** Where an edge node is heard: as `.skerry/region.json` has it. */
export type EdgeNodeAddress = { url: string; group: string; node: string }

/** One message of the edge node, decoded by the published schema alone. */
export type Message = Heard

/** A consumer of an edge node: it hears all that the node and its devices say. */
export type Births = {
  messages: readonly Message[]
  /**
   * The first message that is as asked for, heard already or yet to come.
   * @param what is named by the error
   * @param from place in `messages` from which on it counts
   * @throws Error when it does not come within `withinMs`
   */
  heard(is: (message: Message) => boolean, what: string, options?: { withinMs?: number; from?: number }): Promise<Message>
  /** Asks for all births once more. */
  askForRebirth(): Promise<void>
  close(): Promise<void>
}

const connectWithinMs = 10_000

/** Connects and subscribes, then resolves. `onMessage` gets each message as it comes. @throws Error that names the broker when it does not answer */
export async function followBirths({ url, group, node }: EdgeNodeAddress, onMessage?: (message: Message) => void): Promise<Births> {
  const messages: Message[] = []
  const watchers = new Set<(message: Message) => void>()
  const client = await mqtt
    .connectAsync(
      url,
      { clientId: `skerry-births-${process.pid}-${Date.now()}`, connectTimeout: connectWithinMs, resubscribe: true },
      false,
    )
    .catch((error: Error & { code?: string }) => {
      throw new Error(`The broker ${withoutCredentials(url)} does not let us in: ${error.message || error.code}`)
    })
  client.on('error', () => {}) // it connects anew by itself
  client.on('message', (topic, raw, { qos, retain }) => {
    const [, , verb = '', , device] = topic.split('/')
    if (!/^[ND](BIRTH|DATA|DEATH)$/.test(verb)) return
    const message = { topic, verb, device, qos, retain, client: undefined, raw, payload: decode(raw) }
    messages.push(message)
    onMessage?.(message)
    for (const watcher of watchers) watcher(message)
  })
  await client.subscribeAsync([`spBv1.0/${group}/+/${node}`, `spBv1.0/${group}/+/${node}/+`], { qos: 1 })

  return {
    messages,
    heard(is, what, { withinMs = 60_000, from = 0 } = {}) {
      const known = messages.slice(from).find(is)
      if (known) return Promise.resolve(known)
      return new Promise((resolve, reject) => {
        const watcher = (message: Message) => {
          if (!is(message)) return
          clearTimeout(timer)
          watchers.delete(watcher)
          resolve(message)
        }
        const timer = setTimeout(() => {
          watchers.delete(watcher)
          const last = messages.slice(-10).map(({ verb, device }) => [verb, device].filter(Boolean).join(' '))
          reject(new Error(`${what} was not heard within ${withinMs / 1000} s; the last were: ${last.join(', ') || 'none'}`))
        }, withinMs)
        watchers.add(watcher)
      })
    },
    async askForRebirth() {
      const metrics = [{ name: 'Node Control/Rebirth', timestamp: Date.now(), datatype: 11, booleanValue: true }]
      await client.publishAsync(`spBv1.0/${group}/NCMD/${node}`, encode({ timestamp: Date.now(), metrics }))
    },
    close: () => client.endAsync(true),
  }
}

/** The bdSeq of an NBIRTH or NDEATH. */
export function bdSeqOf({ payload }: Message): number | undefined {
  const value = payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue
  return value === undefined ? undefined : Number(value)
}

/** A message in a line, such as `NBIRTH skerry/harbour-1 · 42 metrics · bdSeq 0`. */
export function lineOf({ group, node }: EdgeNodeAddress, message: Message): string {
  const { verb, device, payload } = message
  const whose = device === undefined ? `${group}/${node}` : `${group}/${node}/${device}`
  const count = `${payload.metrics.length} ${payload.metrics.length === 1 ? 'metric' : 'metrics'}`
  const bdSeq = bdSeqOf(message)
  const isData = verb.endsWith('DATA')
  const said = [isData ? valuesOf(payload.metrics) : verb.endsWith('BIRTH') ? count : '', bdSeq === undefined ? '' : `bdSeq ${bdSeq}`]
  return [`${verb.padEnd(6)} ${whose}`, ...said].filter(Boolean).join(' · ')
}

const shownValues = 3

function valuesOf(metrics: DecodedMetric[]): string {
  const shown = metrics.slice(0, shownValues).map((metric) => `${metric.name ?? `alias ${metric.alias}`} = ${shortValue(metric)}`)
  return [...shown, ...(metrics.length > shownValues ? [`${metrics.length - shownValues} more`] : [])].join(', ')
}

function shortValue(metric: DecodedMetric): string {
  const value = signed(carriedValue(metric), metric)
  if (Buffer.isBuffer(value)) return `${value.length} bytes`
  const text = typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value)
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}

/** Sparkplug carries a negative Int64 as the unsigned number with the same bits; data does not repeat the type of the birth. */
function signed(value: unknown, { longValue }: DecodedMetric): unknown {
  return longValue === undefined || value === null ? value : BigInt.asIntN(64, BigInt(String(longValue)))
}

/**
 * Shows births and deaths as they come, and of the data the first `dataLines` of each verb. Births that only repeat what was shown, as in
 * a rebirth, are left out.
 */
export function showMessages(address: EdgeNodeAddress, display: Display, { dataLines = 2 } = {}): (message: Message) => void {
  const shown = new Map<string, number>()
  return (message) => {
    const { verb, device, payload } = message
    const left = (shown.get(verb) ?? 0) + 1
    if (verb.endsWith('DATA')) {
      shown.set(verb, left)
      if (left > dataLines) return
    } else if (verb === 'DBIRTH') {
      if (shown.get(`${verb} ${device}`) === payload.metrics.length) return
      shown.set(`${verb} ${device}`, payload.metrics.length)
    } else if (verb === 'DDEATH') shown.delete(`DBIRTH ${device}`)
    display.line(`◂ ${lineOf(address, message)}`)
  }
}

/** How many of each there were, such as `1 NBIRTH, 9 DBIRTH, 12 DDATA`. */
export function countsOf(messages: readonly Message[]): string {
  const counts = new Map<string, number>()
  for (const { verb } of messages) counts.set(verb, (counts.get(verb) ?? 0) + 1)
  return [...counts].map(([verb, count]) => `${count} ${verb}`).join(', ')
}
