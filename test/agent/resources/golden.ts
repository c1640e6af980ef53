import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments, stringify } from 'yaml'

/**
 * Compares objects with the file `<name>.golden.yaml` beside the module `beside`. `UPDATE_GOLDEN=1` rewrites it; then read the difference
 * before it is committed.
 */
export function assertGolden(name: string, objects: unknown[], beside = import.meta.url): void {
  const file = new URL(`./${name}.golden.yaml`, beside)
  const text = objects.map((object) => stringify(object, { aliasDuplicateObjects: false, lineWidth: 140 })).join('---\n')
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text)
  const expected = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS())
  assert.deepEqual(
    parseAllDocuments(text).map((document) => document.toJS()),
    expected,
    `to rewrite the golden files: UPDATE_GOLDEN=1 node --test ${relative('.', dirname(fileURLToPath(beside)))}/*.test.ts`,
  )
}
