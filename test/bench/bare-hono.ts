import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'

/** What the bare server serves at every path. */
export type Bare = { cert: string; key: string; body: string }

/** A hono application with one handler and nothing around it, over HTTPS, in a process of its own: what the agent is held against. */
export async function startBareHono(bare: Bare): Promise<{ port: number; pid: number; stop(): void }> {
  const child = fork(fileURLToPath(import.meta.url))
  child.send(bare)
  const [port] = (await once(child, 'message')) as [number]
  return { port, pid: child.pid as number, stop: () => void child.kill() }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.once('message', ({ cert, key, body }: Bare) => {
    const bytes = Buffer.from(body)
    const app = new Hono()
    app.get('*', (c) => c.body(bytes, 200, { 'content-type': 'application/json' }))
    const server = createAdaptorServer({ fetch: app.fetch, createServer, serverOptions: { cert, key } })
    server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
  })
  process.on('disconnect', () => process.exit(0))
}
