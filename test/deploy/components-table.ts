import { readFile } from 'node:fs/promises'
import { type Component, readComponents } from './bootstrap.ts'

const page = 'docs/installing.md'
const [begin, end] = ['<!-- npm run render: deploy/bootstrap/components -->', '<!-- end -->']

/** The page on installing, with the current table of components. @throws Error when the page has no place for it */
export async function installingPage(): Promise<{ path: string; text: string }> {
  const text = await readFile(page, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${page} has no ${begin} … ${end}`)
  return { path: page, text: `${text.slice(0, from)}${begin}\n\n${componentsTable(await readComponents())}\n${text.slice(to)}` }
}

/** The components, in the order in which they are installed. */
export function componentsTable(components: Component[]): string {
  const head = ['component', 'why', 'chart, version', 'Kubernetes', 'what stays after its removal', 'to skip it']
  const rows = components.map(({ name, role, why, chart, version, kubernetes, stays }) => [
    name,
    why,
    chart === name ? version : `${chart} ${version}`,
    `≥ ${kubernetes}`,
    stays ?? 'nothing',
    role === 'needed' ? 'required by databases' : `\`--skip ${name}\``,
  ])
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
