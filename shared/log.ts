import pino from 'pino'

/** A logger. Passed in, and made narrower with `log.child({ project })`; never imported. */
export type Log = pino.Logger

/** The levels a log can be set to. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/**
 * A logger that writes one JSON object per line: `level` as a word, `time` in ISO 8601, `name`, the fields, `msg`.
 * It writes synchronously to standard output (or to `destination`), so that the last line before a crash is not lost.
 */
export function createLog({ level, name, destination }: { level: LogLevel; name: string; destination?: pino.DestinationStream }): Log {
  return pino(
    {
      level,
      name,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  )
}
