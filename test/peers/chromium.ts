import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { WebSocket } from 'ws'
import { freePort } from '../cluster/index.ts'
import { answers, startPeer } from './peer.ts'

/** How a page is opened. Sizes are in CSS pixels. */
export type View = { width: number; height: number; scheme?: 'light' | 'dark'; isScripted?: boolean }

/** A page in the browser. */
export type BrowserPage = {
  /** The value of an expression in the page, which may be a promise. It is not subject to the page's policy. */
  evaluate<T>(expression: string): Promise<T>
  /** Presses a key, such as `Tab`. */
  press(key: string): Promise<void>
  /** What the page and the browser complain of: exceptions, errors of the console, violations of the policy, failed requests. */
  complaints: string[]
  /** The addresses of everything that was asked for. */
  requests: string[]
  /** A picture, as PNG. */
  screenshot(): Promise<Buffer>
}

/** Chromium without a window, spoken to by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/). */
export async function startChromium(t: TestContext): Promise<{ open(url: string, view: View): Promise<BrowserPage> }> {
  const port = await freePort()
  await startPeer(t, {
    name: 'chromium',
    package: 'chromium',
    program: '/usr/bin/chromium',
    port,
    async prepare(folder, _daemons, program) {
      // The sandbox needs a user of its own; what is opened here is ours.
      return [
        ...[program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars'],
        ...['--disable-background-networking', '--disable-component-update', '--disable-sync', `--remote-debugging-port=${port}`],
        ...[`--user-data-dir=${join(folder, 'profile')}`, 'about:blank'],
      ]
    },
    ready: () => answers(`http://127.0.0.1:${port}/json/version`),
  })
  const { webSocketDebuggerUrl } = (await (await fetch(`http://127.0.0.1:${port}/json/version`)).json()) as { webSocketDebuggerUrl: string }
  const connection = await connect(webSocketDebuggerUrl)
  t.after(() => connection.close())
  return { open: (url, view) => openPage(connection, url, view) }
}

// biome-ignore lint/suspicious/noExplicitAny: the protocol's messages are what they are
type Message = any
type Connection = {
  send(method: string, params?: object, sessionId?: string): Promise<Message>
  on(sessionId: string, listener: (method: string, params: Message) => void): void
  close(): void
}

async function connect(url: string): Promise<Connection> {
  const socket = new WebSocket(url, { maxPayload: 256 * 1024 * 1024 })
  const waiting = new Map<number, PromiseWithResolvers<Message>>()
  const listeners = new Map<string, (method: string, params: Message) => void>()
  let next = 1
  socket.on('message', (data) => {
    const { id, result, error, method, params, sessionId } = JSON.parse(data.toString())
    if (id === undefined) return listeners.get(sessionId)?.(method, params)
    if (error) waiting.get(id)?.reject(new Error(`${error.message}: ${error.data ?? ''}`))
    else waiting.get(id)?.resolve(result)
    waiting.delete(id)
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return {
    send(method, params = {}, sessionId) {
      const answer = Promise.withResolvers<Message>()
      waiting.set(next, answer)
      socket.send(JSON.stringify({ id: next++, method, params, sessionId }))
      return answer.promise
    },
    on: (sessionId, listener) => void listeners.set(sessionId, listener),
    close: () => socket.close(),
  }
}

async function openPage(connection: Connection, url: string, view: View): Promise<BrowserPage> {
  const { width, height, scheme = 'light', isScripted = true } = view
  const { targetId } = await connection.send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await connection.send('Target.attachToTarget', { targetId, flatten: true })
  const send = (method: string, params?: object) => connection.send(method, params, sessionId)
  const complaints: string[] = []
  const requests: string[] = []
  // By the loader: the empty page from before may tell only now that it is loaded. They are kept, for a loader's name and the end of its load
  // may come in one piece, and both are heard before anything that awaits the name goes on.
  const loaded = new Set<string>()
  let onLoad = () => {}
  connection.on(sessionId, (method, params) => {
    if (method === 'Page.lifecycleEvent' && params.name === 'load') {
      loaded.add(params.loaderId)
      onLoad()
    }
    if (method === 'Network.requestWillBeSent') requests.push(params.request.url)
    if (method === 'Network.loadingFailed' && !params.canceled) complaints.push(`failed: ${params.errorText} ${params.blockedReason ?? ''}`)
    if (method === 'Runtime.exceptionThrown') complaints.push(`exception: ${params.exceptionDetails.text}`)
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') complaints.push(`console: ${JSON.stringify(params.args)}`)
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) complaints.push(`log: ${params.entry.text}`)
    if (method === 'Audits.issueAdded') complaints.push(`issue: ${JSON.stringify(params.issue).slice(0, 500)}`)
  })
  for (const domain of ['Page', 'Network', 'Runtime', 'Log', 'Audits']) await send(`${domain}.enable`)
  await send('Page.setLifecycleEventsEnabled', { enabled: true })
  await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 })
  await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
  await send('Emulation.setScriptExecutionDisabled', { value: !isScripted })
  await send('Emulation.setFocusEmulationEnabled', { enabled: true })
  const { loaderId } = await send('Page.navigate', { url })
  while (!loaded.has(loaderId))
    await new Promise<void>((resolve) => {
      onLoad = resolve
    })
  return {
    complaints,
    requests,
    async evaluate(expression) {
      const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    },
    async press(key) {
      for (const type of ['rawKeyDown', 'keyUp'])
        await send('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: key === 'Tab' ? 9 : 13 })
    },
    async screenshot() {
      const { data } = await send('Page.captureScreenshot', { format: 'png' })
      return Buffer.from(data, 'base64')
    },
  }
}
