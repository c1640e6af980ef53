import { fork } from 'node:child_process'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'

/** What a load generator is told: all of it on kept connections, one request at a time on each. */
export type Load = { host: string; port: number; ca: string; path: string; headers: Record<string, string>; connections: number }

/** Answers in a second. */
export type LoadResult = { perSecond: number }

/**
 * A load generator in a process of its own. It counts bytes rather than parsing each answer: every answer to the same request is as
 * long as the first one, so it takes far less CPU time than the server it drives.
 */
export function startLoad(load: Load): { run(ms: number): Promise<LoadResult>; stop(): void } {
  const child = fork(fileURLToPath(import.meta.url), { serialization: 'json' })
  const failed = new Promise<never>((_, reject) => child.once('exit', (code) => reject(new Error(`the load generator ended (${code})`))))
  failed.catch(() => {})
  child.send({ load })
  return {
    run: (ms) => {
      const result = new Promise<LoadResult>((resolve) => child.once('message', (message) => resolve(message as LoadResult)))
      child.send({ ms })
      return Promise.race([result, failed])
    },
    stop: () => void child.kill(),
  }
}

/** A connection that asks again as soon as it was answered, as long as `running` says so. */
function drive({ host, port, ca, path, headers }: Load, state: { running: boolean; answers: number; fail(error: Error): void }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const request = Buffer.from([`GET ${path} HTTP/1.1`, `host: ${host}:${port}`, ...lines, '', ''].join('\r\n'))
  const socket = connect({ host, port, ca, servername: 'localhost', checkServerIdentity: () => undefined })
  let first: Buffer[] = []
  let expected: number | undefined
  let received = 0
  socket.setNoDelay(true)
  socket.on('error', state.fail)
  socket.on('data', (chunk: Buffer) => {
    received += chunk.byteLength
    if (expected === undefined) {
      first.push(chunk)
      expected = lengthOf(Buffer.concat(first))
      if (expected !== undefined) first = []
    }
    if (expected === undefined || received < expected) return
    if (received > expected) return state.fail(new Error(`an answer of ${received} bytes, not ${expected}`))
    received = 0
    state.answers++
    if (state.running) socket.write(request)
  })
  return { ask: () => socket.write(request) }
}

/** Bytes of the answer, once enough of it is there to know: its head, or all of it where it comes in chunks. */
function lengthOf(answer: Buffer): number | undefined {
  const end = answer.indexOf('\r\n\r\n')
  const head = answer.toString('latin1', 0, end)
  const length = /^content-length: (\d+)/im.exec(head)?.[1]
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(`not the answer that was asked for:\n${answer}`)
  if (length !== undefined) return end + 4 + Number(length)
  return answer.subarray(-7).equals(lastChunk) ? answer.byteLength : undefined
}

const lastChunk = Buffer.from('\r\n0\r\n\r\n')

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const state = {
    running: false,
    answers: 0,
    fail: (error: Error) => {
      throw error
    },
  }
  let connections: { ask(): unknown }[] = []
  process.on('message', (message: { load?: Load; ms?: number }) => {
    const { load } = message
    if (load) connections = Array.from({ length: load.connections }, () => drive(load, state))
    if (message.ms === undefined) return
    Object.assign(state, { running: true, answers: 0 })
    const started = performance.now()
    for (const { ask } of connections) ask()
    setTimeout(() => {
      const perSecond = (state.answers / (performance.now() - started)) * 1000
      state.running = false
      setTimeout(() => process.send?.({ perSecond }), 100) // what is under way still comes in
    }, message.ms)
  })
  process.on('disconnect', () => process.exit(0))
}
