/** The log of the stand-ins: pino's logger, or any other with this method. */
export type Log = { debug(fields: Record<string, unknown>, message: string): void }

/** A log that drops everything. */
export const silent: Log = { debug() {} }
