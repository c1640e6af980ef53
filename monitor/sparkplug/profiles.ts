import type { Deadbands } from './deadbands.ts'

/** The defaults of the settings that decide how many bytes are sent. Times in milliseconds. */
export type Profile = {
  keepAlive: number
  aliases: boolean
  documentation: boolean
  maxSilence: number
  coalesce: number
  deadbands: Deadbands
}

const seconds = 1_000
const minutes = 60 * seconds
const hours = 60 * minutes

/**
 * `standard` is for a link whose bytes cost nothing, `metered` for one that is paid by the megabyte, `critical` for one on which only what
 * happens is worth its bytes. docs/performance.md has what the first two send in a day.
 *
 * A metered link keeps the datatypes in data, since a decoder that needs them loses the value without them. A keep-alive of four minutes is
 * below the five after which many mobile networks forget an idle connection.
 */
export const profiles = {
  standard: {
    keepAlive: 30 * seconds,
    aliases: false,
    documentation: true,
    maxSilence: 10 * minutes,
    coalesce: 100,
    deadbands: {
      duration: { absolute: 0.1, relative: 0.5, atMostEveryMs: 5 * minutes },
      detail: { atMostEveryMs: 5 * minutes },
      usage: { absolute: 0, relative: 0, atMostEveryMs: 0 },
      requested: { relative: 0, atMostEveryMs: 0 },
      lastSeen: { atMostEveryMs: 0 },
      link: { atMostEveryMs: 15 * minutes },
    },
  },
  metered: {
    keepAlive: 4 * minutes,
    aliases: true,
    documentation: false,
    maxSilence: 24 * hours,
    coalesce: 5 * seconds,
    deadbands: {
      duration: { absolute: 1, relative: 1, atMostEveryMs: 1 * hours },
      detail: { atMostEveryMs: 1 * hours },
      usage: { absolute: 0, relative: 0.05, atMostEveryMs: 1 * hours },
      requested: { relative: 0.1, atMostEveryMs: 15 * minutes },
      lastSeen: { atMostEveryMs: 15 * minutes },
      link: { atMostEveryMs: 6 * hours },
    },
  },
  critical: {
    keepAlive: 4 * minutes,
    aliases: true,
    documentation: false,
    maxSilence: 7 * 24 * hours,
    coalesce: 10 * seconds,
    deadbands: {
      duration: { absolute: 5, relative: 4, atMostEveryMs: 6 * hours },
      detail: { atMostEveryMs: 6 * hours },
      usage: { absolute: 0, relative: 0.1, atMostEveryMs: 6 * hours },
      requested: { relative: 0.5, atMostEveryMs: 2 * hours },
      lastSeen: { atMostEveryMs: 2 * hours },
      link: { atMostEveryMs: 24 * hours },
    },
  },
} as const satisfies Record<string, Profile>
