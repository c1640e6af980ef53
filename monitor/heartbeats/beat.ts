import * as z from 'zod'

/** What a sender said of itself. */
export type Beat = {
  /** When it arrived: Unix time in milliseconds. */
  at: number
  state: 'up' | 'degraded' | 'down'
  /** A short text of the sender, as it came: hostile until it is shortened for display. */
  message?: string | undefined
  /** How long the sender's work took, in milliseconds. */
  ms?: number | undefined
}

const beat = z.object({
  at: z.number(),
  state: z.enum(['up', 'degraded', 'down']),
  message: z.string().max(200).optional(),
  ms: z.number().min(0).optional(),
})

/** A beat as it is kept. */
export function beatToText(given: Beat): string {
  return JSON.stringify(given)
}

/** The beat in a kept text; undefined if the text is damaged. */
export function beatFromText(text: string): Beat | undefined {
  try {
    return beat.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
