/** An element: its own text, decoded, and the elements in it. Attributes say nothing in the answers of S3 and are left out. */
export type Element = { name: string; text: string; children: Element[] }

/** Answers of S3 are at most four deep. */
const deepest = 8

/** One piece of a document: a declaration, a comment, CDATA, a tag, or text. Each is read once, so a hostile one takes no longer than its length. */
const piece =
  /<\?xml\s[^<>]*\?>|<!--(?<comment>[\s\S]*?)-->|<!\[CDATA\[(?<cdata>[\s\S]*?)\]\]>|<(?<end>\/?)(?<name>[A-Za-z_][\w.:-]*)(?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(?<empty>\/?)>|(?<text>[^<]+)/y

const named: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/**
 * The root of an XML document, as S3 and its like write their answers. Stricter than XML: no document type, so no entities but the five that are
 * built in, and no processing instructions. The caller bounds its length.
 * @throws Error for any other text, such as HTML, and for a document that is cut
 */
export function parseXml(document: string): Element {
  const open: Element[] = [{ name: '', text: '', children: [] }]
  let at = document.startsWith('\ufeff') ? 1 : 0
  while (at < document.length) {
    piece.lastIndex = at
    const groups = piece.exec(document)?.groups
    if (groups === undefined) throw new Error(`no XML at character ${at}`)
    at = piece.lastIndex
    take(open, groups)
  }
  const [root, ...others] = open[0]?.children ?? []
  if (root === undefined || others.length > 0 || open.length > 1 || open[0]?.text.trim() !== '') throw new Error('not one whole document')
  return root
}

function take(open: Element[], { name, end, empty, text, cdata }: Record<string, string | undefined>): void {
  const inner = open.at(-1) as Element
  if (text !== undefined) inner.text += decoded(text)
  else if (cdata !== undefined) inner.text += cdata
  else if (name !== undefined && end === '/') {
    if (open.length === 1 || inner.name !== local(name)) throw new Error(`</${name}> ends nothing`)
    open.pop()
  } else if (name !== undefined) {
    const element: Element = { name: local(name), text: '', children: [] }
    inner.children.push(element)
    if (empty === '/') return
    open.push(element)
    if (open.length > deepest) throw new Error('too deep')
  }
}

/** The text of the first child of that name; undefined if there is none. */
export function textOf({ children }: Element, name: string): string | undefined {
  return children.find((child) => child.name === name)?.text.trim()
}

function local(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w{1,8}));|&/g, (found, decimal, hexadecimal, name) => {
    const code = decimal !== undefined ? Number(decimal) : hexadecimal !== undefined ? Number.parseInt(hexadecimal, 16) : undefined
    const character =
      code === undefined
        ? Object.hasOwn(named, name ?? '')
          ? named[name]
          : undefined
        : code <= 0x10ffff
          ? String.fromCodePoint(code)
          : undefined
    if (character === undefined) throw new Error(`no such entity: ${found}`)
    return character
  })
}
