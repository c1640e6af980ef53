import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { filesOf, textOf } from './files.ts'

const files = filesOf()
const pages = files.filter((file) => file.endsWith('.md'))
const decisions = files.filter((file) => /^docs\/decisions\/\d{4}-.*\.md$/.test(file))

/** Where a page's headings are, as GitHub names them. */
function anchorsOf(page: string): string[] {
  const headings = textOf(page)
    .replace(/^(```+)[\s\S]*?^\1/gm, '')
    .matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  )
}

function linksOf(page: string): string[] {
  const text = textOf(page).replace(/^(```+)[\s\S]*?^\1/gm, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^[a-z]+:/.test(link))
}

test('every link between pages leads to a file and a heading that are there', () => {
  const broken = pages.flatMap((page) =>
    linksOf(page).flatMap((link) => {
      const [target = '', anchor] = link.split('#')
      const file = target === '' ? page : path.posix.join(path.posix.dirname(page), target)
      const isThere = files.some((other) => other === file || other.startsWith(`${file.replace(/\/$/, '')}/`))
      const isHeading = anchor === undefined || !file.endsWith('.md') || (isThere && anchorsOf(file).includes(anchor))
      return isThere && isHeading ? [] : [`${page}: ${link}`]
    }),
  )
  assert.ok(pages.length > 10)
  assert.deepEqual(broken, [])
})

test('every page, decision and file that code or a text cites by its path is there', () => {
  const cited = /\b(?:docs\/[\w/.-]*\w|decisions\/\d{4}[\w-]*(?:\.md)?)/g
  const missing = files
    .filter((file) => /\.(ts|sh|yaml|md|json)$|Dockerfile|\/components$/.test(file) && !/golden|CHANGELOG|package-lock/.test(file))
    .flatMap((file) =>
      [
        ...textOf(file)
          .replace(/https?:\S+/g, '')
          .matchAll(cited),
      ].map(([text]) => [file, text.startsWith('docs/') ? text : `docs/${text}`] as const),
    )
    .filter(([, text]) => !files.some((other) => other.startsWith(text)))
  assert.deepEqual(missing, [])
})

test('a number by which a decision is cited is that of a decision', () => {
  const numbers = new Set(decisions.map((file) => Number(path.posix.basename(file).slice(0, 4))))
  const unknown = files
    .filter((file) => /\.(ts|sh|md)$/.test(file) && file !== 'test/house/links.test.ts')
    .flatMap((file) => [...textOf(file).matchAll(/\bdecision (\d+)/gi)].map(([text, number]) => [file, text, Number(number)] as const))
    .filter(([, , number]) => !numbers.has(number))
  assert.deepEqual(unknown, [])
})

test('decisions are numbered without gaps, and a page holds one', () => {
  assert.deepEqual(
    decisions.map((file) => Number(path.posix.basename(file).slice(0, 4))),
    decisions.map((_, index) => index + 1),
  )
  for (const file of decisions) {
    const titles = [...textOf(file).matchAll(/^# (\d+)?.*$/gm)].map(([, number]) => Number(number))
    assert.deepEqual(titles, [Number(path.posix.basename(file).slice(0, 4))], file)
  }
})
