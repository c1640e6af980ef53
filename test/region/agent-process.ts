import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A running agent: a process of its own, as in a pod. */
export type AgentProcess = {
  /** `https://127.0.0.1:PORT` */
  url: string
  /** `http://127.0.0.1:PORT` */
  adminUrl: string
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

export type AgentProcessOptions = {
  /** `agent/main.ts` or a bundle. */
  program: string
  configFile: string
  env: Record<string, string>
  /** Arguments of Node itself. */
  nodeArguments?: string[]
  /** Gets every line of its log. */
  onLog?: (line: string) => void
}

/** Starts an agent and waits until it is ready. @throws Error with the end of its log when it ends before that */
export async function startAgentProcess({
  program,
  configFile,
  env,
  nodeArguments = [],
  onLog,
}: AgentProcessOptions): Promise<AgentProcess> {
  const started = performance.now()
  const child = spawn(process.execPath, [...nodeArguments, program, '--config', configFile], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit').then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals)
  const { url, adminUrl } = await whenReady(child, exited, onLog)
  return {
    url,
    adminUrl,
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
  onLog: AgentProcessOptions['onLog'],
): Promise<{ url: string; adminUrl: string }> {
  const tail: string[] = []
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream as NodeJS.ReadableStream }).on('line', (line) => {
        onLog?.(line)
        tail.push(line)
        if (tail.length > 20) tail.shift()
        const ready = readyLine(line)
        if (ready) resolve(ready)
      })
    }
    exited.then((how) => reject(new Error(`the agent ended (${how}) before it was ready:\n${tail.join('\n')}`)))
  })
}

/** The agent logs `region is ready` once, with the ports it was given. */
function readyLine(line: string): { url: string; adminUrl: string } | undefined {
  if (!line.includes('"region is ready"')) return undefined
  const { apiPort, adminPort } = JSON.parse(line)
  return { url: `https://127.0.0.1:${apiPort}`, adminUrl: `http://127.0.0.1:${adminPort}` }
}
