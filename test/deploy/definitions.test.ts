import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'

/** What the schemas of our CRDs may say. An API server refuses anything else when it is applied, but not always when it is created. */
const words = [
  ...[
    'type',
    'format',
    'description',
    'enum',
    'pattern',
    'minimum',
    'maximum',
    'minLength',
    'maxLength',
    'minItems',
    'maxItems',
    'default',
  ],
  ...['properties', 'additionalProperties', 'items', 'required', 'nullable', 'x-kubernetes-preserve-unknown-fields'],
  ...[
    'x-kubernetes-int-or-string',
    'x-kubernetes-validations',
    'x-kubernetes-list-type',
    'x-kubernetes-list-map-keys',
    'anyOf',
    'oneOf',
    'minProperties',
    'maxProperties',
    'uniqueItems',
  ],
]

/** Paths of what a schema says and must not, such as the end of a description behind a comma that YAML has read as a separator. */
function faultsOf(schema: unknown, path: string): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  return Object.entries(schema).flatMap(([key, value]) => {
    const at = `${path}.${key}`
    if (!words.includes(key) || value === null) return [at]
    if (key === 'properties') return Object.entries(value).flatMap(([name, field]) => faultsOf(field, `${at}.${name}`))
    return key === 'items' || key === 'additionalProperties' ? faultsOf(value, at) : []
  })
}

for (const file of readdirSync('deploy/crds')) {
  test(`${file} says nothing that the schema of a definition does not know`, () => {
    const { versions } = parse(readFileSync(`deploy/crds/${file}`, 'utf8')).spec
    assert.deepEqual(
      versions.flatMap(({ name, schema }: { name: string; schema: { openAPIV3Schema: unknown } }) =>
        faultsOf(schema.openAPIV3Schema, name),
      ),
      [],
    )
  })
}
