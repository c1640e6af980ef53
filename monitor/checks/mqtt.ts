import { randomBytes } from 'node:crypto'
import type { MqttClient } from 'mqtt'
import * as z from 'zod'
import { secretFile } from '../../shared/fields.ts'
import { orAbort } from '../wire/abort.ts'
import { farewell } from '../wire/farewell.ts'
import { hostOf } from '../wire/http-exchange.ts'
import { CheckFailure } from '../wire/reasons.ts'
import { defaultMaxBytes } from '../wire/socket.ts'
import { tlsFields, tlsOf } from '../wire/tls.ts'
import { shorten } from '../wire/wording.ts'
import { checkKind, type Measurement } from './kind.ts'

const options = z.strictObject({
  url: z
    .url({ protocol: /^(mqtts?|wss?)$/ })
    .refine((url) => !/^\w+:\/\/[^/?#]*@/.test(url), { error: 'must not contain a user or a password: use username and passwordFile' })
    .describe('The URL of the broker: mqtt://HOST:1883, mqtts://HOST:8883, ws:// or wss://.'),
  protocolVersion: z
    .union([z.literal(4), z.literal(5)])
    .default(5)
    .describe('4 is MQTT 3.1.1, 5 is MQTT 5.'),
  username: z.string().min(1).max(256).optional().describe('User name.'),
  passwordFile: secretFile().optional().describe("File that holds the user's password."),
  topic: z
    .string()
    .min(1)
    .max(500)
    .regex(/^[^+#]+$/, 'must not contain a wildcard')
    .optional()
    .describe('If set, a message is published to this topic and must come back. Nothing else should use the topic.'),
  qos: z
    .union([z.literal(0), z.literal(1)])
    .default(1)
    .describe('Quality of service of that message.'),
  ...tlsFields,
})

type MqttOptions = z.output<typeof options>

/** Up when the broker accepts a new session and, if configured, a message makes the round trip. */
export const mqtt = checkKind({
  about:
    'Opens a new session with a client id of its own. With `topic`, it also subscribes, publishes and waits for the message to come back. Down when any of these steps fails.',
  example: {
    url: 'mqtts://broker.example.com:8883',
    username: 'monitor',
    passwordFile: '/etc/skerry/mqtt-password',
    topic: 'skerry/check',
  },
  options,
  measures: {
    skerry_mqtt_connect_seconds: { type: 'gauge', help: 'Time until the broker accepted the session.' },
    skerry_mqtt_round_trip_seconds: { type: 'gauge', help: 'Time from publishing a message until it came back.' },
  },
  target: ({ url }) => `${new URL(url).protocol}//${new URL(url).host}`,
  async check(options, { signal }) {
    signal.throwIfAborted()
    const { connect } = (await import('mqtt')).default
    const started = performance.now()
    const client = connect(options.url, {
      protocolVersion: options.protocolVersion,
      clientId: `skerry-check-${randomBytes(6).toString('hex')}`,
      clean: true,
      reconnectPeriod: 0, // the prober retries
      connectTimeout: 2 ** 31 - 1, // the signal ends it
      keepalive: 0,
      resubscribe: false,
      ...(options.username !== undefined && { username: options.username }),
      ...(options.passwordFile && { password: options.passwordFile.reveal() }),
      ...(options.url.startsWith('mqtts:') && secureOptions(options)),
      ...(options.url.startsWith('ws') && { wsOptions: webSocketOptions(options) }),
    })
    const close = () => leave(client)
    try {
      return await orAbort(session(client, options, started), signal, close)
    } finally {
      close()
    }
  },
})

/** DISCONNECT: in MQTT 3.1.1 it has no more, and in MQTT 5 no more means a normal end (section 3.14.2.1). */
const disconnect = Buffer.from([0xe0, 0x00])

/** With DISCONNECT if there is a session: without it a broker logs an abnormal end. The library waits with it for every message under way. */
function leave(client: MqttClient): void {
  if (client.connected) farewell(client.stream, disconnect)
  else client.end(true)
}

function secureOptions(options: MqttOptions) {
  const { servername, ...settings } = tlsOf(options, hostOf(new URL(options.url)))
  return { ...settings, ...(servername !== undefined && { servername }) }
}

/** For a WebSocket, mqtt.js passes on neither the secure context nor the server name by itself. */
function webSocketOptions(options: MqttOptions) {
  return {
    ...(options.url.startsWith('wss:') && secureOptions(options)),
    // A message is assembled before its bytes are counted here: by default up to 100 MiB, and decompressed.
    maxPayload: defaultMaxBytes,
    perMessageDeflate: false,
  }
}

async function session(client: MqttClient, options: MqttOptions, started: number) {
  const trouble = new Promise<never>((_, reject) => {
    let bytes = 0
    client.stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > defaultMaxBytes) reject(tooLarge())
    })
    // The listener stays: an error after the check must not end the process.
    client.on('error', (error) => reject(failureOf(error)))
    client.on('close', () =>
      reject(
        new CheckFailure(
          'connection_lost',
          'The broker closed the connection. See its log. Is this an MQTT port, with or without TLS as configured?',
        ),
      ),
    )
    client.on('disconnect', ({ reasonCode }) =>
      reject(new CheckFailure('connection_lost', `The broker ended the session with reason ${reasonCode}. See its log.`)),
    )
  })
  trouble.catch(() => {})
  await Promise.race([trouble, new Promise((resolve) => client.once('connect', resolve))])
  const measurements: Measurement[] = [{ name: 'skerry_mqtt_connect_seconds', value: (performance.now() - started) / 1000 }]
  const { topic, qos } = options
  if (topic === undefined) return { state: 'up' as const, detail: 'The broker accepted a session.', measurements }
  const ms = await Promise.race([trouble, roundTrip(client, topic, qos)])
  measurements.push({ name: 'skerry_mqtt_round_trip_seconds', value: ms / 1000 })
  return { state: 'up' as const, detail: `A message made the round trip in ${Math.round(ms)} ms.`, measurements }
}

function tooLarge(cause?: unknown): CheckFailure {
  return new CheckFailure('too_large', `The server sent more than ${defaultMaxBytes} bytes. Is this an MQTT broker?`, { cause })
}

async function roundTrip(client: MqttClient, topic: string, qos: 0 | 1): Promise<number> {
  const denied = (verb: string, cause?: unknown) =>
    new CheckFailure('unauthorized', `The broker does not let this user ${verb} ${shorten(topic, 100)}. See its access rules.`, { cause })
  const sent = randomBytes(16).toString('hex')
  const back = new Promise((resolve) =>
    client.on('message', (_topic, payload) => payload.toString('latin1') === sent && resolve(undefined)),
  )
  const granted = await client.subscribeAsync(topic, { qos }).catch((error: unknown) => {
    throw denied('subscribe to', error)
  })
  if (granted.some(({ qos }) => qos >= 128)) throw denied('subscribe to')
  const started = performance.now()
  // MQTT 3.1.1 cannot refuse a message. There it simply does not come back.
  await client.publishAsync(topic, sent, { qos }).catch((error: unknown) => {
    throw denied('publish to', error)
  })
  await back
  return performance.now() - started
}

/** The meaning of a CONNACK's code: MQTT 3.1.1, section 3.2.2.3, and MQTT 5, section 3.2.2.2. */
function failureOf(error: Error & { code?: number | string }): Error {
  const { code } = error
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return tooLarge(error)
  if (typeof code !== 'number') {
    return code === undefined && !/getaddrinfo|connect|timeout/i.test(error.message)
      ? new CheckFailure(
          'protocol',
          `The server does not answer like an MQTT broker: ${shorten(error.message, 150)}. Is this the right port?`,
          {
            cause: error,
          },
        )
      : error
  }
  const said = `The broker rejects the session: ${shorten(error.message, 120)}.`
  if ([4, 5, 0x86, 0x87, 0x8a, 0x8c].includes(code))
    return new CheckFailure('unauthorized', `${said} Check user name and password, and the broker's access rules.`, { cause: error })
  if ([3, 0x88, 0x89].includes(code)) return new CheckFailure('unavailable', `${said} See its log.`, { cause: error })
  if ([1, 0x84].includes(code))
    return new CheckFailure('protocol', `${said} Set protocolVersion to a version that the broker speaks.`, { cause: error })
  return new CheckFailure('unexpected_answer', `${said} See its log.`, { cause: error })
}
