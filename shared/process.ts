import { constants } from 'node:os'
import type { Log } from './log.ts'

/** Exit codes, besides 128 + the number of a second signal. `crashed` is EX_SOFTWARE of sysexits.h. */
const exitCodes = { stopped: 0, failed: 1, crashed: 70 } as const

/**
 * The only handler of SIGTERM and SIGINT. The first aborts the signal, a second one ends the process at once with 143 or 130.
 * An uncaught error is logged and aborts too, since the state of the process is unknown. If the process still runs `graceMs` (and a
 * second) later, it is killed.
 */
function onSignals({ log, graceMs }: { log: Log; graceMs: number }) {
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
      log.info({ signal: name, graceMs }, 'stopping')
      stop(name, exitCodes.failed)
    })
  }
  // With this listener Node reports unhandled rejections here as well, marked by their origin.
  process.on('uncaughtException', (error, origin) => {
    crashed = true
    log.fatal({ err: error, origin }, 'uncaught error, stopping')
    stop(origin, exitCodes.crashed)
  })
  return {
    signal: controller.signal,
    /** Whether an uncaught error is the reason to stop. */
    crashed: () => crashed,
  }
}

/**
 * Runs the program and ends the process: 0 after an orderly stop, 1 when it could not start, 70 after an uncaught error.
 * It calls exit, because a forgotten timer or socket would keep the process alive past its grace.
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
