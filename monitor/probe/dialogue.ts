import { hidden, urlShown } from '../../shared/discretion.ts'

/** What belongs to a message: addresses, numbers, lines of the server. Every value is cut, and secrets in it are hidden. */
export type DialogueFields = Readonly<Record<string, string | number | boolean | undefined>>

/** The parts of a dialogue that are the same on every line, and where its time comes from. */
type DialogueNeeds = {
  now: () => number
  /** `module` and `target`. */
  about: DialogueFields
  /** Texts that must not appear, whoever says them: a server may repeat what it was sent. */
  secrets: readonly string[]
}

const maxLines = 200
const maxChars = 16 * 1024
/** Room for why the probe failed, which must not be lost behind many lines of a server. */
const faultChars = 4 * 1024
const maxValue = 400
/** No line or field that a prober reads is longer. */
const longestHeard = 128 * 1024
/** Shorter secrets are not looked for: they would be found in every word. */
const shortestSecret = 4

/**
 * What a probe did and heard, step by step, for `debug=true`; the messages are blackbox_exporter's where it has one (prober/*.go).
 * Bounded in lines and in bytes, whatever the server sends.
 */
export class Dialogue {
  readonly #needs: DialogueNeeds
  #secrets: string[] = []
  readonly #lines: string[] = []
  #chars = 0
  #omitted = 0
  #why: string | undefined

  constructor(needs: DialogueNeeds) {
    this.#needs = needs
    this.conceal(...needs.secrets)
  }

  /** Hides further secrets, from now on. */
  conceal(...further: string[]): void {
    const secrets = further.flatMap((secret) => [secret, encodeURIComponent(secret.toWellFormed())])
    const long = secrets.filter((secret) => secret.length >= shortestSecret)
    // The longest first: one secret may be part of another.
    this.#secrets = [...new Set([...this.#secrets, ...long])].sort((a, b) => b.length - a.length)
  }

  /** Records a step. */
  say(message: string, fields: DialogueFields = {}): void {
    if (this.#lines.length < maxLines && this.#chars < maxChars) this.#add('debug', message, fields)
    else this.#omitted++
  }

  /** Records why the probe fails. */
  fail(message: string, fields: DialogueFields = {}): void {
    const text = this.#line(fields)
    this.#why = text === '' ? message : `${message}: ${text}`
    if (this.#chars < maxChars + faultChars) this.#add('error', message, fields)
    else this.#omitted++
  }

  /** Why the probe fails, as it was said last; undefined if nothing was. */
  get why(): string | undefined {
    return this.#why
  }

  /** A text of somebody else, without the secrets. */
  hide(text: string): string {
    let shown = text
    for (const secret of this.#secrets) if (shown.includes(secret)) shown = shown.replaceAll(secret, hidden)
    return shown
  }

  /** Everything that was said, in the form of logfmt. */
  text(): string {
    const rest = this.#omitted === 0 ? '' : `${this.#omitted} more lines are left out.\n`
    return this.#lines.join('') + rest
  }

  #add(level: string, message: string, fields: DialogueFields): void {
    const time = new Date(this.#needs.now()).toISOString()
    const line = `time=${time} level=${level} ${this.#line({ msg: message, ...this.#needs.about, ...fields })}\n`
    this.#lines.push(line)
    this.#chars += line.length
  }

  #line(fields: DialogueFields): string {
    return Object.entries(fields)
      .flatMap(([name, value]) => (value === undefined ? [] : `${nameShown(name)}=${this.#value(value)}`))
      .join(' ')
  }

  #value(value: string | number | boolean): string {
    if (typeof value === 'number') return String(Number(value.toFixed(6)))
    if (typeof value !== 'string') return String(value)
    // Hidden before it is cut: half a secret would not be found.
    const text = urlShown(this.hide(value.slice(0, longestHeard).toWellFormed()))
    const cut = text.length > maxValue ? `${text.slice(0, maxValue).toWellFormed()}…` : text
    return /^[\w.:/@%+,<>-]+$/.test(cut) ? cut : JSON.stringify(cut).replace(unprintable, escapeOf)
  }
}

/** Controls beyond those that JSON escapes, among them those that turn the direction of the text around. */
const unprintable = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function nameShown(name: string): string {
  return name.replace(/[^\w.-]/g, '_').slice(0, 60)
}
