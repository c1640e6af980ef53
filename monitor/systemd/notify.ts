import { execFile } from 'node:child_process'
import type { Clock } from '../../shared/clock.ts'
import type { Part } from '../../shared/lifecycle.ts'
import type { Log } from '../../shared/log.ts'

/** The environment that systemd gives to a service of `Type=notify`. */
export type NotifyEnvironment = {
  NOTIFY_SOCKET?: string | undefined
  WATCHDOG_USEC?: string | undefined
  WATCHDOG_PID?: string | undefined
  PATH?: string | undefined
}

/** Sends assignments such as `READY=1` to the service manager, or rejects. */
export type Send = (assignments: readonly string[]) => Promise<void>

/** The service manager, as the monitor notifies it: a part that is started last and stopped first. Without systemd it does nothing. */
export type ServiceManager = Part & {
  /** A reload begins; `reloaded` ends it. */
  reloading(): void
  /** @param status shown by `systemctl status` from now on */
  reloaded(status: string): void
}

const sendTimeoutMs = 5_000

/**
 * Notifies through `systemd-notify`, which every machine with systemd has: the protocol is a datagram on a Unix socket, and Node cannot send
 * one without a native module (nodejs/node#29339). The unit needs `NotifyAccess=all`, since the program is a process of its own. It waits
 * until systemd has read the message and has seen which process sent it: `--no-block` would lose that race.
 */
function systemdNotify({ NOTIFY_SOCKET, PATH }: NotifyEnvironment): Send {
  const env = { NOTIFY_SOCKET, PATH: PATH ?? '/usr/bin:/bin' }
  return (assignments) =>
    new Promise((resolve, reject) => {
      execFile('systemd-notify', [...assignments], { env, timeout: sendTimeoutMs }, (error) => (error ? reject(error) : resolve()))
    })
}

/**
 * How often to notify the watchdog, in milliseconds: half of its time-out, as sd_watchdog_enabled(3) recommends. Undefined if there is no
 * watchdog, or if it is not for this process.
 */
export function watchdogIntervalMs({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: NotifyEnvironment, pid: number): number | undefined {
  if (!NOTIFY_SOCKET || !/^[1-9]\d{0,15}$/.test(WATCHDOG_USEC ?? '')) return undefined
  if (WATCHDOG_PID && WATCHDOG_PID !== String(pid)) return undefined
  return Number(WATCHDOG_USEC) / 2 / 1000
}

/**
 * Sends READY at the start, STOPPING at the stop, and WATCHDOG=1 in between as long as nothing stalls: systemd kills and restarts a process
 * whose event loop or scheduler hangs. Notifications go out one after the other, in order.
 *
 * @param stall why the results of checks cannot be trusted, or undefined
 * @param status a line for `systemctl status`, sent with READY and with each WATCHDOG
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
          if (!isFailing)
            log.warn(
              { err: error },
              'systemd cannot be notified: check that systemd-notify is installed and that the unit has NotifyAccess=all',
            )
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
        log.error({ why }, 'checks stall: the watchdog of systemd is no longer notified')
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
      ending.abort(new Error('stopping'))
      await watching
      await tell(['STOPPING=1', statusLine('stopping')])
    },
    reloading() {
      // Newer versions of systemd require the time, older ones ignore it.
      void tell(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`])
    },
    reloaded(text) {
      void tell(['READY=1', statusLine(text)])
    },
  }
}

/** On one line: a line break would start another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/\s+/g, ' ').slice(0, 300)}`
}
