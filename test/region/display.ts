/** Where the scenario says what happens: a line that changes in place on a terminal, plain lines elsewhere. */
export type Display = {
  /** Something that stays. */
  line(text: string): void
  /** What is going on at the moment; the next call replaces it. */
  live(text: string): void
}

const clearLine = '\r\u001b[2K'

export function createDisplay(out: NodeJS.WriteStream): Display {
  let shown = ''
  const clear = () => {
    if (out.isTTY && shown !== '') out.write(clearLine)
    shown = ''
  }
  return {
    line(text) {
      clear()
      out.write(`${text}\n`)
    },
    live(text) {
      if (!out.isTTY) {
        if (text !== shown) out.write(`${text}\n`)
        shown = text
        return
      }
      clear()
      shown = text.slice(0, (out.columns || 80) - 1)
      out.write(shown)
    },
  }
}
