import type { Databases } from './databases.ts'

/** A failed statement, with CrateDB's own code: its first three digits are the HTTP status. */
export class SqlError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Who asks which database. */
export type Session = { databases: Databases; key: string; user: string }
