import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import * as z from 'zod'
import { crateDbFields, leavesIn } from '../../../agent/resources/cratedb-fields.ts'
import { databaseSpec } from '../../../agent/resources/database.ts'
import { restoreBody } from '../../../agent/resources/restore.ts'
import { crateDbDefinition264 } from '../../cluster/index.ts'
import { fieldsPage } from './fields-page.ts'

type Schema = { properties?: Record<string, Schema>; items?: Schema; anyOf?: Schema[]; oneOf?: Schema[]; additionalProperties?: unknown }

/** The paths of a schema that hold a value. A free-form map is one. */
function leavesOf(schema: Schema, at: string): string[] {
  if (schema.properties)
    return Object.entries(schema.properties).flatMap(([name, inner]) => leavesOf(inner, at === '' ? name : `${at}.${name}`))
  return schema.items ? leavesOf(schema.items, `${at}[]`) : [at]
}

test("the table has each field of the operator's CRD, and no other", () => {
  const leaves = leavesOf(parse(crateDbDefinition264).spec.versions[0].schema.openAPIV3Schema, '')
  assert.ok(leaves.length > 100)
  assert.deepEqual(Object.keys(crateDbFields).sort(), leaves.sort())
})

/** All paths of a schema of the API, with those above the leaves. */
function pathsOf(schema: z.ZodType): Set<string> {
  const found = new Set<string>()
  const walk = (at: string, { properties = {}, items }: Schema) => {
    found.add(at)
    for (const [name, inner] of Object.entries(properties)) walk(at === '' ? name : `${at}.${name}`, inner)
    if (items) walk(`${at}[]`, items)
  }
  walk('', z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema)
  return found
}

test('each field of the API that the table names exists', () => {
  const [ofDatabase, ofRestore] = [pathsOf(databaseSpec), pathsOf(restoreBody)]
  const named = Object.values(crateDbFields).flatMap(({ ours }) => ours ?? [])
  const missing = named.filter((ours) => {
    const field = ours.replace(/ of actions\/restore$/, '')
    return !(ours === field ? ofDatabase : ofRestore).has(field)
  })
  assert.deepEqual(missing, [])
})

test('each field has a place in the API or the reason for having none', () => {
  for (const [leaf, { ours, note }] of Object.entries(crateDbFields)) assert.ok(ours !== undefined || (note ?? '').length > 20, leaf)
})

test('the leaves of a manifest are found whatever else is in it', () => {
  const spec = {
    cluster: { version: '5.10.1', settings: { 'a.b': 1 }, license: { secretKeyRef: { name: 'x', key: 'y' } }, unknown: { version: 1 } },
    nodes: { data: [{ name: 'hot', resources: { limits: { cpu: 1 } } }, { name: 'cold' }], master: null },
    users: 'none',
    constructor: { name: 'x' },
  }
  assert.deepEqual(leavesIn(spec, 'spec').sort(), [
    'spec.cluster.license.secretKeyRef.key',
    'spec.cluster.license.secretKeyRef.name',
    'spec.cluster.settings',
    'spec.cluster.version',
    'spec.nodes.data[].name',
    'spec.nodes.data[].resources.limits.cpu',
  ])
})

test('docs/cratedb-fields.md is made from the table', () => {
  assert.equal(readFileSync(fieldsPage.path, 'utf8'), fieldsPage.text(), 'rewrite it with: npm run render')
})
