/** What the stand-ins write to: pino's logger fits, and so does any other with this method. */
export type Log = { debug(fields: Record<string, unknown>, message: string): void }

/** A log that drops everything. */
export const silent: Log = { debug() {} }
