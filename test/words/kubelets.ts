import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Agent, createServer, request as httpsRequest } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { json } from 'node:stream/consumers'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { parse, stringify } from 'yaml'
import { createServingCertificate, type TestCluster } from '../cluster/index.ts'
import { SpdySession } from './spdy.ts'

/** What runs in a pod, as far as kubectl can look into it. */
export type Inside = {
  /** Lines of the log of the container that runs, or of the one before. */
  log(previous: boolean): string[]
  /** How a command of the container is run on this machine. */
  exec?(command: string[]): { program: string; args: string[]; env: Record<string, string> }
  /** Where a port of the container is on this machine. */
  port?(port: number): number | undefined
}

/** The front of the API server that kubectl and helm speak to. */
export type Front = {
  /** A kubeconfig of the administrator that leads here, or of whoever has this token. */
  kubeconfig: string
  kubeconfigOf(token: string): string
  /** `PATCH /api/v1/persistentvolumes/a` of each request since the last look that may have changed something. */
  takeWrites(): string[]
  close(): void
}

/**
 * A server before the API server that stands in for the kubelets behind it, and for a metrics server: logs, `exec` and `port-forward` of
 * pods end here, everything else goes on to the API server as it came.
 * @param inside what runs in the pod of that namespace and name; undefined for one whose kubelet does not answer
 */
export async function standBefore(cluster: TestCluster, inside: (namespace: string, pod: string) => Inside | undefined): Promise<Front> {
  const { ca, cert, key } = await createServingCertificate()
  const agent = new Agent({ keepAlive: true, ca: cluster.ca })
  const sockets = new WebSocketServer({ noServer: true })
  const protocols = new WeakMap<IncomingMessage, string>()
  sockets.on('headers', (headers, request) => headers.push(`Sec-WebSocket-Protocol: ${protocols.get(request)}`))
  let writes: string[] = []

  function forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', url = '/', headers } = incoming
    if (mayChange(method, url)) writes.push(`${method} ${url}`)
    const answered = answerInstead(url, inside)
    if (answered) {
      outgoing.writeHead(answered.status, { 'content-type': answered.type }).end(answered.text)
      return
    }
    const host = new URL(cluster.url).host
    // The list of groups alone is taken in its plain form, so that one more can be put into it.
    const isGroups = url.replace(/\?.*/, '') === '/apis'
    const onward = httpsRequest(
      new URL(url, cluster.url),
      { agent, method, headers: { ...headers, host, ...(isGroups && { accept: 'application/json', 'accept-encoding': 'identity' }) } },
      (answer) => {
        if (isGroups) return void addMetrics(answer, outgoing)
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        outgoing.flushHeaders() // of a watch nothing else may come for a while
        answer.pipe(outgoing)
        answer.on('error', () => outgoing.destroy())
      },
    )
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  }

  function upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'https://front')
    const [, namespace = '', pod = '', what] = podPath.exec(pathname) ?? []
    const found = inside(namespace, pod)
    if (!found || what === 'log') return void socket.destroy()
    // `SPDY/3.1+portforward.k8s.io` is no name that RFC 6455 allows, nor one that the server takes: it is agreed upon beside it.
    const [offered = ''] = (incoming.headers['sec-websocket-protocol'] ?? '').split(',')
    delete incoming.headers['sec-websocket-protocol']
    protocols.set(incoming, offered.trim())
    sockets.handleUpgrade(incoming, socket, head, (opened) => {
      if (what === 'exec') runInside(opened, found, searchParams)
      else forwardPorts(opened, found)
    })
  }

  const server = createServer({ cert, key }, forward).on('upgrade', upgrade)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  function kubeconfigOf(token?: string): string {
    const config = parse(cluster.kubeconfig(token))
    for (const { cluster: each } of config.clusters) {
      each.server = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
      each['certificate-authority-data'] = Buffer.from(ca).toString('base64')
    }
    return stringify(config)
  }
  return {
    kubeconfig: kubeconfigOf(),
    kubeconfigOf,
    takeWrites() {
      const taken = writes
      writes = []
      return taken
    },
    close() {
      for (const opened of sockets.clients) opened.terminate()
      server.closeAllConnections()
      server.close()
      agent.destroy()
    },
  }
}

const podPath = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(log|exec|portforward)$/

/** Questions and trials are sent with POST too. */
function mayChange(method: string, url: string): boolean {
  return !['GET', 'HEAD', 'OPTIONS'].includes(method) && !/accessreviews|dryRun=All|\/(exec|portforward)\?/.test(url)
}

const metricsGroup = { groupVersion: 'metrics.k8s.io/v1beta1', version: 'v1beta1' }

async function addMetrics(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const list = (await json(answer)) as { groups: object[] }
  list.groups.push({ name: 'metrics.k8s.io', versions: [metricsGroup], preferredVersion: metricsGroup })
  outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(list))
}

function answerInstead(url: string, inside: (namespace: string, pod: string) => Inside | undefined) {
  const { pathname, searchParams } = new URL(url, 'https://front')
  const [, namespace = '', pod = '', what] = podPath.exec(pathname) ?? []
  if (what === 'log') {
    const lines = inside(namespace, pod)?.log(searchParams.get('previous') === 'true')
    if (!lines) return { status: 404, type: 'text/plain', text: `no kubelet has the pod ${pod}\n` }
    return { status: 200, type: 'text/plain', text: lines.map((line) => `${line}\n`).join('') }
  }
  const metrics = /^\/apis\/metrics\.k8s\.io\/v1beta1(\/pods)?$/.exec(pathname)
  if (!metrics) return undefined
  if (metrics[1] === undefined) {
    const resources = [{ name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: ['get', 'list'] }]
    const text = JSON.stringify({ kind: 'APIResourceList', apiVersion: 'v1', ...metricsGroup, resources })
    return { status: 200, type: 'application/json', text }
  }
  const usage = { cpu: '5m', memory: '80Mi' }
  const item = { metadata: { name: 'skerry-agent', namespace: 'skerry' }, containers: [{ name: 'agent', usage }] }
  const list = { kind: 'PodMetricsList', apiVersion: 'metrics.k8s.io/v1beta1', metadata: {}, items: [{ ...item, window: '30s' }] }
  return { status: 200, type: 'application/json', text: JSON.stringify(list) }
}

/** As `v5.channel.k8s.io` has it: each message begins with the number of what it belongs to, and `close` names one that has ended. */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 }

function runInside(socket: WebSocket, { exec }: Inside, given: URLSearchParams): void {
  const send = (channel: number, data: Buffer) => socket.send(Buffer.concat([Buffer.from([channel]), data]))
  const end = (code: number, message: string) => {
    const causes = [{ reason: 'ExitCode', message: String(code) }]
    const failure = { status: 'Failure', reason: 'NonZeroExitCode', message, details: { causes } }
    send(channels.status, Buffer.from(JSON.stringify(code === 0 ? { metadata: {}, status: 'Success' } : { metadata: {}, ...failure })))
    socket.close(1000)
  }
  const how = exec?.(given.getAll('command'))
  if (!how) {
    end(126, 'there is no such program in the container')
    return
  }
  const child: ChildProcess = spawn(how.program, how.args, {
    env: how.env,
    stdio: [given.get('stdin') === 'true' ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  child.stdin?.on('error', () => {}) // it may end before it has read everything
  socket.on('message', (data: RawData) => {
    const [channel, ...bytes] = data as Buffer
    if (channel === channels.stdin) child.stdin?.write(Buffer.from(bytes))
    if (channel === channels.close && bytes[0] === channels.stdin) child.stdin?.end()
  })
  child.stdout?.on('data', (data) => send(channels.stdout, data))
  child.stderr?.on('data', (data) => send(channels.stderr, data))
  child.on('close', (code) => end(code ?? 137, `command terminated with exit code ${code}`))
  socket.on('close', () => child.kill())
}

/** Each connection is a pair of streams, one for its data and one for what goes wrong. */
function forwardPorts(socket: WebSocket, { port }: Inside): void {
  const session = new SpdySession(
    (frame) => socket.send(frame),
    (stream) => {
      const at = port?.(Number(stream.headers.port))
      if (stream.headers.streamtype === 'error') {
        if (at === undefined) stream.write(Buffer.from('nothing listens there'))
        return stream.end()
      }
      if (at === undefined) return stream.end()
      const onward = connect(at, '127.0.0.1')
      onward.on('data', (data) => stream.write(data))
      onward.on('end', () => stream.end())
      onward.on('error', () => stream.end())
      stream.onData = (data) => onward.write(data)
      stream.onEnd = () => onward.end()
      socket.on('close', () => onward.destroy())
    },
  )
  socket.on('message', (data: RawData) => session.receive(data as Buffer))
}
