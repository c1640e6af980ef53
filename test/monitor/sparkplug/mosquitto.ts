import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import mqtt, { type MqttClient } from 'mqtt'
import { freePort } from '../../cluster/index.ts'
import type { Heard } from './broker.ts'
import { decode } from './schema.ts'

/** Why a test against mosquitto does not run here; false if it does. */
export const noMosquitto: string | false =
  process.env.SKERRY_CLUSTER !== 'real'
    ? 'real peers are for the real tier (SKERRY_CLUSTER=real)'
    : spawnSync('mosquitto', ['-h']).error
      ? 'mosquitto is not installed: apt-get install mosquitto'
      : false

/** A mosquitto of the test's own, on a free loopback port that it keeps when it is started again. */
export type Mosquitto = {
  url: string
  port: number
  directory: string
  kill(): Promise<void>
  start(): Promise<void>
  pause(): void
  resume(): void
}

/** Starts mosquitto; it is killed with the test. `lines` are added to its configuration. */
export async function startMosquitto(t: TestContext, lines: string[] = [], scheme = 'mqtt'): Promise<Mosquitto> {
  const directory = await mkdtemp(path.join(tmpdir(), 'skerry-mosquitto-'))
  const port = await freePort()
  const file = path.join(directory, 'mosquitto.conf')
  const usual = [`listener ${port} 127.0.0.1`, 'persistence false', 'log_dest none', 'user root']
  await writeFile(file, [...usual, ...(lines.length > 0 ? lines : ['allow_anonymous true'])].join('\n'))
  let process: ChildProcess | undefined
  const self: Mosquitto = {
    url: `${scheme}://127.0.0.1:${port}`,
    port,
    directory,
    async start() {
      process = spawn('mosquitto', ['-c', file], { stdio: 'ignore' })
      for (const deadline = performance.now() + 30_000; !(await accepts(port)); )
        if (process.exitCode !== null || performance.now() > deadline) throw new Error('mosquitto does not start')
    },
    async kill() {
      if (process === undefined || process.exitCode !== null) return
      const gone = new Promise((resolve) => process?.once('exit', resolve))
      process.kill('SIGKILL')
      await gone
      process = undefined
    },
    pause: () => void process?.kill('SIGSTOP'),
    resume: () => void process?.kill('SIGCONT'),
  }
  t.after(async () => {
    await self.kill()
    await rm(directory, { recursive: true, force: true })
  })
  await self.start()
  return self
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => socket.destroy() && resolve(true))
    socket.once('error', () => setTimeout(() => resolve(false), 10))
  })
}

/** A host application: it listens to all there is, and says that it is online only once it does. It comes back by itself.
 * Hosts on several servers may share `messages`. */
export type Host = {
  messages: Heard[]
  client: MqttClient
  publish(topic: string, payload: Buffer | string, retain?: boolean): Promise<void>
  until(is: () => boolean, what: string): Promise<void>
}

export async function startHost(t: TestContext, url: string, options: mqtt.IClientOptions = {}, messages: Heard[] = []): Promise<Host> {
  const client = mqtt.connect(url, { reconnectPeriod: 20, clientId: 'host', resubscribe: false, queueQoSZero: false, ...options })
  t.after(() => client.endAsync(true))
  client.on('error', () => {})
  client.on('message', (topic, payload, { qos, retain }) => {
    const [, , verb = '', , device] = topic.split('/')
    if (/^[ND](BIRTH|DATA|DEATH)$/.test(verb))
      messages.push({ topic, verb, device, qos, retain, client: undefined, raw: payload, payload: decode(payload) })
  })
  client.on('connect', () => {
    client.subscribe('spBv1.0/#', { qos: 1 }, (error) => {
      if (!error) client.publish('spBv1.0/STATE/scada', JSON.stringify({ online: true, timestamp: Date.now() }), { qos: 1, retain: true })
    })
  })
  const until = async (is: () => boolean, what: string) => {
    const end = Date.now() + 60_000
    while (!is()) {
      if (Date.now() > end) throw new Error(`${what} did not happen; heard ${messages.slice(-10).map(({ topic }) => topic)}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  await until(() => client.connected, 'the connection of the host')
  return {
    messages,
    client,
    until,
    publish: async (topic, payload, retain = false) => void (await client.publishAsync(topic, payload, { qos: 1, retain })),
  }
}
