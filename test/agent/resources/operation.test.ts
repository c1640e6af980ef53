import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { phases } from '../../../agent/resources/operation.ts'

test('the definition of operations takes just the phases that there are', () => {
  const { status } = parse(readFileSync('deploy/crds/operations.yaml', 'utf8')).spec.versions[0].schema.openAPIV3Schema.properties
  assert.deepEqual(status.properties.phase.enum, [...phases])
})
