import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { actions, phases } from '../../../agent/resources/operation.ts'

test('the definition of operations takes just the actions and phases that there are', () => {
  const { spec, status } = parse(readFileSync('deploy/crds/operations.yaml', 'utf8')).spec.versions[0].schema.openAPIV3Schema.properties
  assert.deepEqual(spec.properties.action.enum, [...actions])
  assert.deepEqual(status.properties.phase.enum, [...phases])
})
