import { constants } from 'node:os'
import type { Log } from './log.ts'

/** How a process of Skerry ends, besides 128 + the number of a second signal. `crashed` is EX_SOFTWARE of sysexits.h. */
export const exitCodes = { stopped: 0, failed: 1, crashed: 70 } as const

/** What the operating system tells the process, as one signal to stop. */
export type Stopping = {
  /** Aborts at the first SIGTERM or SIGINT, and at an error nobody caught. */
  signal: AbortSignal
  /** Set once an error that nobody caught is the reason. */
  crashed(): boolean
}

/**
 * The one place that hears SIGTERM and SIGINT. The first aborts the signal, a second one ends the process at once with 143 or 130.
 * An error nobody caught is logged and aborts too: the process is in an unknown state, so it stops as well as it can.
 * If it still runs `graceMs` (and a second) later, it is ended.
 */
export function onSignals({ log, graceMs }: { log: Log; graceMs: number }): Stopping {
  const controller = new AbortController()
  let crashed = false
  const stop = (why: string, code: number) => {
    if (controller.signal.aborted) return
    controller.abort(new Error(why))
    setTimeout(() => {
      log.fatal({ graceMs }, 'did not stop in time, ending the process')
      process.exit(code)
    }, graceMs + 1000).unref()
  }
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        log.warn({ signal: name }, 'second signal, ending the process at once')
        process.exit(128 + constants.signals[name])
      }
      log.info({ signal: name, graceMs }, 'told to stop')
      stop(name, exitCodes.failed)
    })
  }
  // With this listener Node reports unhandled rejections here as well, marked by their origin.
  process.on('uncaughtException', (error, origin) => {
    crashed = true
    log.fatal({ err: error, origin }, 'an error nobody caught, stopping')
    stop(origin, exitCodes.crashed)
  })
  return { signal: controller.signal, crashed: () => crashed }
}

/**
 * Runs the program and ends the process: 0 after an orderly stop, 1 when it could not start, 70 after an error nobody caught.
 * It ends the process itself, because a forgotten timer or socket would keep it alive past its grace.
 */
export async function runProcess(
  run: (stopping: AbortSignal) => Promise<void>,
  { log, graceMs }: { log: Log; graceMs: number },
): Promise<never> {
  const stopping = onSignals({ log, graceMs })
  let code: number = exitCodes.stopped
  try {
    await run(stopping.signal)
  } catch (error) {
    code = exitCodes.failed
    log.fatal({ err: error }, 'failed')
  }
  process.exit(stopping.crashed() ? exitCodes.crashed : code)
}
