import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { failures, ownFailures } from '../../../agent/cloud/contract/failures.ts'

const page = 'docs/joining-a-cloud.md'
const folder = 'test/agent/cloud'
const classes = Object.entries({ ...failures, ...ownFailures })

/** Of each file, the names with which its tests begin: a class and a colon, or the keys of a table of such tests. */
const begun = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => {
      const text = readFileSync(`${folder}/${file}`, 'utf8')
      return [file, new Set([...text.matchAll(/(?:\btest\(['`]|^ {2}'?)([a-z-]+)'?: /gm)].map(([, name = '']) => name))] as const
    }),
)

function testOf(name: string): string {
  const files = [...begun].flatMap(([file, names]) => (names.has(name) ? [file] : []))
  assert.equal(files.length, 1, `one file of ${folder} has a test that brings ${name} about: ${files.join(', ') || 'none'}`)
  return `[${name}](../${folder}/${files[0]})`
}

/** The table: each class, what a person sees of it and does, and the test that brings it about. */
function table(): string {
  const rows = classes.map(([name, { reason, retry, message, action }]) => {
    const cells = [`\`${reason}\``, message, action.replace('timedatectl set-ntp true', '`timedatectl set-ntp true`'), retry, testOf(name)]
    return `| ${cells.join(' | ')} |`
  })
  return ['| reason | message | what to do | again | test |', '|---|---|---|---|---|', ...rows].join('\n')
}

test(`${page} has every class of failure, with its sentence, what to do, and the test that brings it about`, () => {
  const text = readFileSync(page, 'utf8')
  const right = text.replace(/<!-- classes -->\n[\s\S]*?<!-- end -->/, `<!-- classes -->\n\n${table()}\n\n<!-- end -->`)
  if (process.env.SKERRY_REWRITE === '1') writeFileSync(page, right)
  else assert.equal(text, right, `rewrite it with: SKERRY_REWRITE=1 node --test ${folder}/classes.test.ts`)
})

test('each class has a reason of its own, in one word', () => {
  const reasons = classes.map(([, { reason }]) => reason)
  assert.equal(new Set(reasons).size, reasons.length)
  for (const reason of reasons) assert.match(reason, /^[A-Z][A-Za-z]+$/)
})
