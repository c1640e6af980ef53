import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { schemaFile } from './rendered.ts'

test("values.schema.json is made of the programs' own configuration", () => {
  assert.equal(readFileSync(schemaFile.path, 'utf8'), schemaFile.text(), 'rewrite it with: npm run render')
})

test('it has no expression that Go, in which helm is written, cannot read', () => {
  assert.deepEqual(schemaFile.text().match(/\(\?[=!<][^"]*/g) ?? [], [])
})

test('it knows every value of values.yaml, and the chart has a default for each that it knows', () => {
  const values = parse(readFileSync('deploy/chart/values.yaml', 'utf8'))
  const schema = JSON.parse(schemaFile.text())
  const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema)
  assert.equal(validate(values), true, JSON.stringify(validate.errors))

  const missing: string[] = []
  const visit = (at: { properties?: object }, value: unknown, path: string): void => {
    for (const [name, field] of Object.entries(at.properties ?? {})) {
      const there = `${path}.${name}`
      const within = (value as Record<string, unknown>)[name]
      // What is in `config` and `checks` has its defaults in the program; `group` is for issuers that are not cert-manager's own.
      if (/^\.(global|(agent|monitor)\.(config|checks)|agent\.tls\.issuerRef\.group|[a-z]+\.resources)$/.test(there)) continue
      if (within === undefined) missing.push(there)
      else if (typeof within === 'object' && !Array.isArray(within)) visit(field as object, within, there)
    }
  }
  visit(schema, values, '')
  assert.deepEqual(missing, [])
})
