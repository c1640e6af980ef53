import { execFile } from 'node:child_process'
import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'

/** What systemd puts into the environment of a service of `Type=notify`. */
export type NotifyEnvironment = {
  NOTIFY_SOCKET?: string | undefined
  WATCHDOG_USEC?: string | undefined
  WATCHDOG_PID?: string | undefined
  PATH?: string | undefined
}

/** Brings assignments such as `READY=1` to the service manager. Rejects when it could not. */
export type Send = (assignments: readonly string[]) => Promise<void>

/** The service manager as the monitor speaks to it: a part that is started last and stopped first. Without systemd it does nothing. */
export type ServiceManager = Part & {
  /** Tells that a reload begins; `reloaded` ends it. */
  reloading(): void
  /** @param status what `systemctl status` shows from now on */
  reloaded(status: string): void
}

const sendTimeoutMs = 5_000

/**
 * Speaks through `systemd-notify`. The protocol is a datagram on a Unix socket, which Node cannot send without a native module
 * (nodejs/node#29339), and the program is on every machine that has systemd. The unit needs `NotifyAccess=all`, since it is a process
 * of its own. It waits until systemd has read the message, by which time systemd has seen whose it is: `--no-block` would lose that race.
 */
export function systemdNotify({ NOTIFY_SOCKET, PATH }: NotifyEnvironment): Send {
  const env = { NOTIFY_SOCKET, PATH: PATH ?? '/usr/bin:/bin' }
  return (assignments) =>
    new Promise((resolve, reject) => {
      execFile('systemd-notify', [...assignments], { env, timeout: sendTimeoutMs }, (error) => (error ? reject(error) : resolve()))
    })
}

/**
 * How often the watchdog must hear of us, in milliseconds: half of what it waits, as sd_watchdog_enabled(3) has it. Undefined where there
 * is none, or it is not meant for this process.
 */
export function watchdogIntervalMs({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: NotifyEnvironment, pid: number): number | undefined {
  if (!NOTIFY_SOCKET || !/^[1-9]\d{0,15}$/.test(WATCHDOG_USEC ?? '')) return undefined
  if (WATCHDOG_PID && WATCHDOG_PID !== String(pid)) return undefined
  return Number(WATCHDOG_USEC) / 2 / 1000
}

/**
 * READY when it starts, STOPPING when it stops, and in between WATCHDOG=1 for as long as `stall` has nothing to say: a process whose
 * event loop or scheduler hangs is killed and started anew. What it must be told goes out one after the other, in order.
 *
 * @param stall why the results of checks are not to be believed, or undefined
 * @param status a line for `systemctl status`, sent with each sign of life and when it is ready
 */
export function createServiceManager(
  environment: NotifyEnvironment,
  {
    pid = process.pid,
    stall,
    status,
    send = systemdNotify(environment),
    clock,
    log,
  }: { pid?: number; stall: () => string | undefined; status: () => string; send?: Send; clock: Clock; log: Log },
): ServiceManager {
  const isThere = Boolean(environment.NOTIFY_SOCKET)
  const intervalMs = watchdogIntervalMs(environment, pid)
  const ending = new AbortController()
  let last: Promise<void> = Promise.resolve()
  let watching: Promise<void> = Promise.resolve()
  let isFailing = false
  let stalled: string | undefined

  function tell(assignments: readonly string[]): Promise<void> {
    if (!isThere) return last
    last = last
      .then(() => send(assignments))
      .then(
        () => {
          isFailing = false
        },
        (error: unknown) => {
          if (!isFailing) log.warn({ err: error }, 'systemd cannot be told: see that systemd-notify is there, and NotifyAccess=all')
          isFailing = true
        },
      )
    return last
  }

  async function watch(every: number): Promise<void> {
    for (;;) {
      await clock.sleep(every, ending.signal)
      const why = stall()
      if (why !== undefined && stalled === undefined) {
        log.error({ why }, 'checks stall: systemd is no longer told that all is well')
        void tell([statusLine(`stalled: ${why}`)])
      }
      stalled = why
      if (why === undefined) await tell(['WATCHDOG=1', statusLine(status())])
    }
  }

  return {
    name: 'service manager',
    async start() {
      await tell(['READY=1', statusLine(status())])
      if (intervalMs !== undefined) watching = watch(intervalMs).catch(() => {})
    },
    async stop() {
      ending.abort(new Error('told to stop'))
      await watching
      await tell(['STOPPING=1', statusLine('stopping')])
    },
    reloading() {
      // The time is required by newer versions of systemd, and ignored by the others.
      void tell(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`])
    },
    reloaded(text) {
      void tell(['READY=1', statusLine(text)])
    },
  }
}

/** One line: a line break would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/\s+/g, ' ').slice(0, 300)}`
}
