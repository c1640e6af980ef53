/** Text that is HTML already: only this module makes it, and whatever stands in it has been escaped. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Piece = Html | string | number | undefined | false | readonly Html[]

/** HTML from a template. Every value is escaped unless it is HTML itself; `undefined` and `false` are nothing. */
export function html(template: TemplateStringsArray, ...values: readonly Piece[]): Html {
  let text = template[0] as string
  for (let index = 0; index < values.length; index++) text += pieceText(values[index]) + template[index + 1]
  return new Html(text)
}

function pieceText(value: Piece): string {
  if (value instanceof Html) return value.text
  if (value === undefined || value === false) return ''
  if (typeof value === 'object') return value.map(({ text }) => text).join('')
  return escaped(String(value))
}

/** A text of several lines, for an element that keeps them. */
export function lines(text: string): Html {
  return new Html(text.split('\n').map(escaped).join('\n'))
}

const special = /[&<>"'\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u
const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/**
 * A text for an element or a quoted attribute. Controls, and characters that turn the direction of what follows, are replaced: they could
 * make one line look like another.
 */
function escaped(text: string): string {
  // Most texts need nothing: one search is cheaper than a replacement.
  if (!special.test(text)) return text.toWellFormed()
  return text.toWellFormed().replace(new RegExp(special, 'gu'), (each) => entities[each] ?? (/[\n\t]/.test(each) ? ' ' : '\ufffd'))
}
