import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A program of Skerry that runs: a process of its own, as in a pod. */
export type RunningProgram = {
  pid: number
  /** Milliseconds from the start of the process until it said that it is ready. */
  readyMs: number
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals>
  /** SIGTERM, and waits for the end. */
  stop(): Promise<number | NodeJS.Signals>
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>
}

export type ProgramOptions = {
  /** `agent/main.ts`, `monitor/main.ts` or a bundle. */
  program: string
  configFile: string
  env: Record<string, string>
  /** Arguments of Node itself. */
  nodeArguments?: string[]
  /** Gets every line of its log. */
  onLog?: (line: string) => void
  /** An abort before it is ready ends it. */
  signal?: AbortSignal
}

/** The one line of its log, by its message, with which a program says that it is ready, and the name that errors give the program. */
export type Readiness = { name: string; message: string }

/**
 * Run in a program before its own code. The channel to the process that started it closes with that process, however that ends: then the
 * program stops too, as it does on SIGTERM, but within five seconds.
 */
const leash = `process.on('disconnect', () => {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 5000).unref()
  process.kill(process.pid, 'SIGTERM')
})
process.channel.unref()`

/**
 * Starts a program and waits until it is ready. It gets no more of this environment than where programs are, and where Node keeps what it
 * has compiled. It ends with this process. Ctrl-C at the terminal does not reach it, since it has a session of its own: whoever started it
 * stops it.
 * @returns what the line of its log says, too
 * @throws Error with the end of its log when it ends before that
 */
export async function startProgram(
  { program, configFile, env, nodeArguments = [], onLog, signal }: ProgramOptions,
  readiness: Readiness,
): Promise<RunningProgram & { said: Record<string, unknown> }> {
  const started = performance.now()
  const { PATH = '', NODE_COMPILE_CACHE } = process.env
  const preloaded = ['--import', `data:text/javascript,${encodeURIComponent(leash)}`]
  const child = spawn(process.execPath, [...nodeArguments, ...preloaded, program, '--config', configFile], {
    env: { PATH, ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  })
  const exited = once(child, 'exit').then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals)
  const end = () => child.kill('SIGTERM')
  signal?.addEventListener('abort', end)
  const said = await whenReady(child, exited, readiness, onLog).finally(() => signal?.removeEventListener('abort', end))
  return {
    said,
    pid: child.pid as number,
    readyMs: performance.now() - started,
    exited,
    async stop() {
      child.kill('SIGTERM')
      return exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

function whenReady(
  child: ChildProcess,
  exited: Promise<unknown>,
  { name, message }: Readiness,
  onLog: ProgramOptions['onLog'],
): Promise<Record<string, unknown>> {
  const tail: string[] = []
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream as NodeJS.ReadableStream }).on('line', (line) => {
        onLog?.(line)
        tail.push(line)
        if (tail.length > 20) tail.shift()
        if (line.includes(`"${message}"`)) resolve(JSON.parse(line))
      })
    }
    void exited.then((how) => reject(new Error(`the ${name} ended (${how}) before it was ready:\n${tail.join('\n')}`)))
  })
}
