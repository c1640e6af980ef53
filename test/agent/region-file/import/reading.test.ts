import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readImport } from '../../../../agent/region-file/import/reading.ts'
import { writeRegionFile } from '../../../../agent/region-file/writing.ts'
import { regionContent } from '../region-sample.ts'

const file = (await writeRegionFile(regionContent())).bytes.toString().trim()
const opened = {
  kind: 'SkerryRegionSecrets',
  version: 1,
  databases: { 'harbour/tidal-gauge': { 'users.0.password': 'tide' } },
  retained: {},
}
const secrets = JSON.stringify(opened)

const both = [
  { name: 'with its secrets', text: `{"file":${file},"secrets":${secrets}}` },
  { name: 'with its secrets before it', text: `{"secrets":${secrets},"file":${file}}` },
  { name: 'with its secrets, as an editor has formatted it', text: `{${' '.repeat(500)}"file":${file},"secrets":${secrets}}` },
]
for (const { name, text } of both)
  test(`a region file is imported ${name}`, async () => {
    const read = await readImport(Buffer.from(text))
    assert.ok(read.ok, JSON.stringify(read))
    assert.deepEqual(read.value.secrets, { databases: opened.databases, retained: {} })
  })

const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
const refused = [
  { name: 'without the file', text: `{"secrets":${secrets}}`, path: '/file', says: /is required/ },
  { name: 'without the secrets', text: `{"file":${file}}`, path: '/secrets', says: /is required/ },
  { name: 'with something else', text: `{"file":${file},"secrets":${secrets},"force":true}`, path: '/force', says: /is not recognized/ },
  {
    name: 'with a file that is deeper than the stack',
    text: `{"file":${deep},"secrets":${secrets}}`,
    path: '/file',
    says: /no region file/,
  },
  {
    name: 'with a damaged file',
    text: `{"file":${file.replace('"64Gi"', '"65Gi"')},"secrets":${secrets}}`,
    path: '/file/digest',
    says: /damaged/,
  },
  {
    name: 'with a secret that is no text',
    text: `{"file":${file},"secrets":${JSON.stringify({ ...opened, databases: { 'harbour/tidal-gauge': { 'users.0.password': 7 } } })}}`,
    path: '/secrets/databases/harbour~1tidal-gauge/users.0.password',
    says: /must be a text/,
  },
  {
    name: 'with secrets that are none',
    text: `{"file":${file},"secrets":${JSON.stringify({ ...opened, retained: { 'tide.3f9a01bc': 'tide' } })}}`,
    path: '/secrets/retained/tide.3f9a01bc',
    says: /must be an object of texts/,
  },
]
for (const { name, text, path, says } of refused)
  test(`an import ${name} is refused, with the place`, async () => {
    const read = await readImport(Buffer.from(text))
    const [first] = read.ok ? [] : read.faults
    assert.equal(first?.path, path)
    assert.match(first?.message ?? '', says)
  })
