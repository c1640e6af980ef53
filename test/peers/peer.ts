import { existsSync, globSync, readFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDaemons, type Daemon, type Daemons } from '../cluster/index.ts'

/** A real server on loopback, for one test. It ends with the test, however that ends. */
export type Peer = {
  pid: number
  port: number
  folder: string
  /** Ends it at once; its port then refuses connections. */
  stop(): Promise<void>
  /** Stops its processes from running: connections are taken by the kernel, and nothing answers. */
  hang(): Promise<void>
  /** Lets it run again. */
  wake(): void
  logTail(): string
}

/** How a server of one of Debian's packages is started. */
export type PeerProgram = {
  name: string
  /** The package that brings it, for the error when it is missing. */
  package: string
  /** Where the program is; `*` stands for a version, the highest of which is taken. */
  program: string
  /** Writes what it needs into the folder, and returns its arguments. */
  prepare(folder: string, daemons: Daemons, program: string): Promise<string[]>
  port: number
  /** Resolves once it answers as it should; rejections are tried again. */
  ready(peer: Peer): Promise<unknown>
}

const startWithinMs = 60_000

/**
 * Starts it with a configuration and a data folder of its own.
 * @throws Error that names the Debian package when the program is not installed; nothing is installed here
 */
export async function startPeer(t: TestContext, program: PeerProgram): Promise<Peer> {
  const path = programPath(program)
  const daemons = createDaemons()
  let daemon: Daemon | undefined
  const signal = (name: NodeJS.Signals) => {
    if (daemon?.pid !== undefined && daemon.exit === undefined) process.kill(daemon.pid, name)
  }
  t.after(() => daemons.stop()) // SIGKILL ends a stopped process too
  await chmod(daemons.folder, 0o711) // some give root away and must still get to their own folder
  const args = await program.prepare(daemons.folder, daemons, path)
  daemon = daemons.start(program.name, args[0] as string, args.slice(1))
  const started = daemon
  const peer: Peer = {
    pid: started.pid as number,
    port: program.port,
    folder: daemons.folder,
    stop: async () => {
      await started.kill('SIGKILL')
      // Children may hold the listening socket a moment longer.
      while (program.port !== 0 && (await isOpen(program.port))) await sleep(10)
    },
    hang: async () => {
      signal('SIGSTOP')
      // Threads stop one after the other; until then, one of them may still answer.
      while (!areStopped(started.pid as number)) await sleep(1)
    },
    wake: () => signal('SIGCONT'),
    logTail: () => started.logTail(),
  }
  await untilReady(program, peer, started)
  return peer
}

/** The program's path. @throws Error that names the package */
export function programPath({ name, program, package: packageName }: Pick<PeerProgram, 'name' | 'program' | 'package'>): string {
  const found = program.includes('*') ? globSync(program).sort().at(-1) : program
  if (found !== undefined && existsSync(found)) return found
  throw new Error(`${name} is not installed: apt-get install ${packageName} (all of them: test/peers/packages.txt)`)
}

async function untilReady(program: PeerProgram, peer: Peer, daemon: Daemon): Promise<void> {
  const deadline = performance.now() + startWithinMs
  for (;;) {
    try {
      await program.ready(peer)
      return
    } catch (error) {
      if (daemon.exit) throw new Error(`${program.name} ended while starting:\n${daemon.logTail()}`, { cause: error })
      if (performance.now() > deadline)
        throw new Error(`${program.name} was not ready within ${startWithinMs} ms: ${error}\n${daemon.logTail()}`, { cause: error })
      await sleep(50)
    }
  }
}

/** Whether every thread of a process is stopped: the letter after its name in brackets (proc(5)). */
function areStopped(pid: number): boolean {
  try {
    return globSync(`/proc/${pid}/task/*/stat`).every((file) => /\) T[^)]*$/.test(readFileSync(file, 'utf8')))
  } catch {
    return false // a thread has just ended
  }
}

async function isOpen(port: number): Promise<boolean> {
  return says(port).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ECONNREFUSED',
  )
}

/** Resolves if an HTTP GET answers with this status. */
export async function answers(url: string, status = 200, headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(2000), redirect: 'manual' })
  await response.body?.cancel()
  if (response.status !== status) throw new Error(`${url} answers ${response.status}`)
}

/** Resolves with what a port says first, after `ask` was sent; rejects after 2 s. With nothing to ask, a connection is enough. */
export function says(port: number, ask?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const end = (settle: () => void) => {
      socket.destroy()
      settle()
    }
    socket.setTimeout(2000, () => end(() => reject(new Error(`port ${port} says nothing`))))
    socket.on('error', (error) => end(() => reject(error)))
    socket.on('close', () => reject(new Error(`port ${port} closed the connection`)))
    socket.on('connect', () => (ask === undefined ? end(() => resolve('')) : socket.write(ask)))
    socket.on('data', (chunk) => end(() => resolve(chunk.toString())))
  })
}
