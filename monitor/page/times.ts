import { type Html, html } from './html.ts'

/** How long ago: `12 s`, `4 min`, `3 h`, `5 d`; the largest unit of which there are two, or the smallest. */
export function spanText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** How long something took. */
export function tookText(seconds: number): string {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`
}

/** A moment, said as a time before now; the time itself is its title. */
export function ago(at: number, now: number, text = spanText(now - at)): Html {
  return html`<time datetime="${isoOf(at)}" title="${isoOf(at)}">${text}</time>`
}

/** A moment as a date and a time in UTC. */
export function moment(at: number): Html {
  const iso = isoOf(at)
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')}</time>`
}

function isoOf(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, 19)}Z`
}
