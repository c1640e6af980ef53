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

/** A start that failed for faults that the operator can correct, each a line with its place. The log tells these alone, and no stack. */
export class StartFault extends Error {
  override readonly name = 'StartFault'
  readonly faults: readonly string[]

  constructor(what: string, faults: readonly string[]) {
    super(`${what}:\n${faults.join('\n')}`)
    this.faults = faults
  }
}

/** What the log tells of a start that failed. */
function fieldsOf(error: unknown): Record<string, unknown> {
  if (error instanceof StartFault) return { faults: error.faults }
  // An error of the system, such as a port that is taken, says all in its message.
  const { code, syscall, message } = error as NodeJS.ErrnoException
  return error instanceof Error && code !== undefined && syscall !== undefined ? { faults: [message] } : { err: error }
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
    const fields = fieldsOf(error)
    log.fatal(fields, 'faults' in fields ? 'cannot start: correct the faults' : 'failed')
  }
  process.exit(stopping.crashed() ? exitCodes.crashed : code)
}
