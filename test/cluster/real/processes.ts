import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A program that runs until it is stopped. */
export type Daemon = {
  name: string
  /** Undefined if it could not be started. */
  pid: number | undefined
  /** Takes no processor time from the one to the other. */
  pause(): void
  proceed(): void
  /** Ends the process, paused or not, and resolves when it is gone. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Resolves when the process is gone. */
  ended: Promise<void>
  /** Set once the process is gone. */
  exit: { code: number | null; signal: NodeJS.Signals | null } | undefined
  /** The last lines it wrote. */
  logTail(): string
}

/** The daemons of one control plane, or of one server. */
export type Daemons = {
  /** Their folder, which `stop()` removes. */
  folder: string
  start(name: string, path: string, args: string[], env?: NodeJS.ProcessEnv): Daemon
  /** Ends all of them, the last started first, and removes the folder. */
  stop(): Promise<void>
}

/**
 * Waits for the end of its standard input, which comes with `stop()` and with any death of the test process, SIGKILL
 * included. Then it ends all daemons that still run and removes the folder. It runs in a separate session, so that Ctrl-C does
 * not end it before that.
 */
const guard = `
running=
while read -r verb pid; do
  case $verb in
    started) running="$running $pid " ;;
    ended) running=$(printf %s "$running" | sed "s/ $pid / /") ;;
  esac
done
for pid in $running; do kill -9 "$pid"; done
rm -rf "$1"
`

/** A folder and a guard; starts no daemon yet. */
export function createDaemons(): Daemons {
  const folder = mkdtempSync(join(tmpdir(), 'skerry-cluster-'))
  const watcher = spawn('/bin/sh', ['-c', guard, 'guard', folder], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  const told = watcher.stdin
  const started: Daemon[] = []
  watcher.unref()

  return {
    folder,
    start(name, path, args, env = process.env) {
      const log = join(folder, `${name}.log`)
      const fd = openSync(log, 'a')
      const child = spawn(path, args, { env, stdio: ['ignore', fd, fd], cwd: folder, detached: true }) // Ctrl-C is for whoever stops them
      closeSync(fd)
      if (child.pid !== undefined) told.write(`started ${child.pid}\n`)
      const daemon = asDaemon(name, child, log, () => told.write(`ended ${child.pid}\n`))
      started.push(daemon)
      return daemon
    },
    async stop() {
      for (const daemon of started.toReversed()) await daemon.kill('SIGKILL')
      watcher.ref()
      const guardEnded = once(watcher, 'exit')
      told.end()
      await guardEnded
      // Their child processes may have written into it until a moment ago.
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    },
  }
}

/**
 * Starts a daemon, and anew if it ends before it is ready, as a kubelet would: on a slow machine a hook of the API server runs out of
 * time, and its port may be taken while it is away.
 *
 * @throws what `untilReady` throws, the third time or while the daemon runs
 */
export async function startAsKubelet(start: () => Daemon, untilReady: (daemon: Daemon) => Promise<void>): Promise<Daemon> {
  for (let attempt = 1; ; attempt++) {
    const daemon = start()
    try {
      await untilReady(daemon)
      return daemon
    } catch (error) {
      if (!daemon.exit || attempt === 3) throw error
      await sleep(1_000)
    }
  }
}

/** The last twelve lines; or those from where a program of Kubernetes gave up, which is far above: it dumps its stacks after that. */
function tailOf(lines: string[]): string {
  const fatal = lines.findLastIndex((line) => /^F\d{4} /.test(line))
  return (fatal < 0 ? lines.slice(-12) : lines.slice(fatal, fatal + 12)).join('\n')
}

function asDaemon(name: string, child: ChildProcess, log: string, onExit: () => void): Daemon {
  const { promise: gone, resolve } = Promise.withResolvers<void>()
  const daemon: Daemon = {
    name,
    pid: child.pid,
    ended: gone,
    exit: undefined,
    pause: () => void child.kill('SIGSTOP'),
    proceed: () => void child.kill('SIGCONT'),
    async kill(signal) {
      if (!daemon.exit) child.kill(signal)
      if (!daemon.exit) child.kill('SIGCONT')
      await gone
    },
    logTail: () => tailOf(readFileSync(log, 'utf8').trimEnd().split('\n')),
  }
  const ended = (code: number | null, signal: NodeJS.Signals | null) => {
    if (daemon.exit) return
    daemon.exit = { code, signal }
    onExit()
    resolve()
  }
  child.on('exit', ended)
  child.on('error', () => ended(null, null))
  return daemon
}
