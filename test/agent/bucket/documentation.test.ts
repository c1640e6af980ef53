import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { bucketFaults } from '../../../agent/bucket/fault.ts'

test('the page on backups says what each finding about a bucket means, and no other', () => {
  const page = readFileSync('docs/backups.md', 'utf8')
  const section = page.slice(page.indexOf('## The bucket is tried first')).replace(/\n## (?!The bucket)[\s\S]*/, '')
  const rows = section.match(/^\| `.*$/gm) ?? []
  const named = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, code]) => code))
  assert.deepEqual(named.sort(), Object.keys(bucketFaults).sort())
})
