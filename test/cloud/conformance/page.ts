/** A titled point of docs/your-cloud.md: an item of a list that begins with a title in bold type. */
export type TitledPoint = { title: string; text: string }

/** The titled points of the page, in its order, each as one line of plain text. */
export function titledPoints(page: string): TitledPoint[] {
  const items = page.matchAll(/^(?:-|\d+\.) +\*\*(.+?)\.\*\* ([\s\S]*?)(?=\n\n|\n(?:-|\d+\.) |\n*$(?![\s\S]))/gm)
  return [...items].map(([, title = '', text = '']) => ({ title, text: plain(text) }))
}

/** Markdown as it is read in a terminal. */
function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .replace(/[`*]/g, '')
    .trim()
}
