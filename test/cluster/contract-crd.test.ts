import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { causesOf, crds, definitionOf, expectCode, expectFailure, fieldsOf, startContract, until, withoutPlaces } from './contract.ts'

const contract = await startContract()
const { http } = contract

const depth = { type: 'integer', minimum: 0, maximum: 100 }
const boats = await contract.define(
  definitionOf(
    'Boat',
    {
      spec: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string', minLength: 2, maxLength: 10, pattern: '^[a-z]+$' },
          draught: { type: 'number', default: 1.5 },
          rig: { type: 'string', enum: ['sloop', 'ketch'], default: 'sloop' },
          crew: {
            type: 'array',
            maxItems: 3,
            items: { type: 'object', required: ['role'], properties: { role: { type: 'string' }, watch: depth } },
          },
          engine: { type: 'object', default: {}, properties: { fuel: { type: 'string', default: 'diesel' }, spare: { type: 'string' } } },
          flags: { type: 'object', additionalProperties: { type: 'string' } },
          port: { 'x-kubernetes-int-or-string': true },
          notes: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          berth: { type: 'string', nullable: true },
        },
      },
      status: { type: 'object', properties: { phase: { type: 'string' }, seen: { type: 'integer' } } },
    },
    { subresources: { status: {} } },
  ),
)
const path = await contract.pathOf(boats)
const boat = (name: string, spec: unknown, more: Body = {}) => ({
  apiVersion: `${boats.spec.group}/v1`,
  kind: 'Boat',
  metadata: { name },
  spec,
  ...more,
})
const create = async (name: string, spec: Body, more?: Body) => expectCode(await http.post(path, boat(name, spec, more)), 201)

const faults: { what: string; spec: unknown; causes: string[]; message?: RegExp }[] = [
  { what: 'a required field left out', spec: {}, causes: ['spec.name: FieldValueRequired'], message: /spec.name: Required value/ },
  {
    what: 'a required field left out of an item',
    spec: { name: 'ab', crew: [{ role: 'cook' }, {}] },
    causes: ['spec.crew[1].role: FieldValueRequired'],
  },
  {
    what: 'a value not in the enum',
    spec: { name: 'ab', rig: 'raft' },
    causes: ['spec.rig: FieldValueNotSupported'],
    message: /supported values: "sloop", "ketch"/,
  },
  {
    what: 'a text that does not match',
    spec: { name: 'AB' },
    causes: ['spec.name: FieldValueInvalid'],
    message: /should match '\^\[a-z\]\+\$'/,
  },
  {
    what: 'a number below the minimum',
    spec: { name: 'ab', crew: [{ role: 'cook', watch: -1 }] },
    causes: ['spec.crew[0].watch: FieldValueInvalid'],
    message: /should be greater than or equal to 0/,
  },
  {
    what: 'a number above the maximum',
    spec: { name: 'ab', crew: [{ role: 'cook', watch: 101 }] },
    causes: ['spec.crew[0].watch: FieldValueInvalid'],
    message: /should be less than or equal to 100/,
  },
  { what: 'two faults', spec: { name: 'AB', rig: 'raft' }, causes: ['spec.name: FieldValueInvalid', 'spec.rig: FieldValueNotSupported'] },
]
for (const { what, spec, causes, message } of faults) {
  test(`a custom object with ${what} is refused with the path`, async () => {
    const status = expectFailure(
      await http.post(path, boat('wrong', spec)),
      422,
      'Invalid',
      message ?? /^Boat\.boats-.* "wrong" is invalid: /,
    )
    assert.deepEqual(causesOf(status).map(withoutPlaces), causes.map(withoutPlaces))
    assert.deepEqual(
      { name: status.details.name, group: status.details.group, kind: status.details.kind },
      { name: 'wrong', group: boats.spec.group, kind: 'Boat' },
    )
  })
}

// Their reason and text differ between versions of Kubernetes; the path does not.
for (const { what, spec, field } of [
  { what: 'a number for a text', spec: { name: 5 }, field: 'spec.name' },
  { what: 'a text for a number', spec: { name: 'ab', draught: '1.5' }, field: 'spec.draught' },
  { what: 'a fraction for an integer', spec: { name: 'ab', crew: [{ role: 'cook', watch: 1.5 }] }, field: 'spec.crew[0].watch' },
  { what: 'an object for a list', spec: { name: 'ab', crew: {} }, field: 'spec.crew' },
  { what: 'a list for an object', spec: [], field: 'spec' },
  { what: 'a number in a map of texts', spec: { name: 'ab', flags: { a: 5 } }, field: 'spec.flags.a' },
  { what: 'a boolean for an int or string', spec: { name: 'ab', port: true }, field: 'spec.port' },
  { what: 'a text that is too short', spec: { name: 'a' }, field: 'spec.name' },
  { what: 'a text that is too long', spec: { name: 'a'.repeat(11) }, field: 'spec.name' },
  { what: 'too many items', spec: { name: 'ab', crew: Array.from({ length: 4 }, () => ({ role: 'cook' })) }, field: 'spec.crew' },
]) {
  test(`a custom object with ${what} is refused with the path`, async () => {
    const status = expectFailure(await http.post(path, boat('wrong', spec)), 422, 'Invalid')
    // Newer versions add a cause without a field, for a value whose type keeps its range from being checked.
    const fields = fieldsOf(status).filter((each) => each !== '<nil>')
    assert.deepEqual(fields, [withoutPlaces(field)], JSON.stringify(status.details.causes))
  })
}

test('defaults are filled in, at every depth, and a null counts as absent unless the field may be null', async () => {
  const { spec } = await create('defaults', { name: 'ab', rig: null, berth: null })
  assert.deepEqual(spec, { name: 'ab', draught: 1.5, rig: 'sloop', engine: { fuel: 'diesel' }, berth: null })
})

test('fields that the schema does not know are pruned, those below preserve-unknown-fields are not', async () => {
  const created = await create(
    'pruned',
    {
      name: 'ab',
      colour: 'red',
      engine: { power: 5 },
      crew: [{ role: 'cook', age: 30 }],
      flags: { any: 'key' },
      notes: { any: { thing: [1] } },
    },
    { extra: 1 },
  )
  assert.equal(created.extra, undefined)
  assert.deepEqual(created.spec, {
    name: 'ab',
    draught: 1.5,
    rig: 'sloop',
    engine: { fuel: 'diesel' },
    crew: [{ role: 'cook' }],
    flags: { any: 'key' },
    notes: { any: { thing: [1] } },
  })
})

test('an empty text, a zero and a false are values and not nulls', async () => {
  const { spec } = await create('empty', {
    name: 'ab',
    berth: '',
    draught: 0,
    flags: { '': '' },
    notes: { text: '', number: 0, truth: false, list: [], map: {} },
  })
  assert.deepEqual([spec.berth, spec.draught, spec.flags], ['', 0, { '': '' }])
  assert.deepEqual(spec.notes, { text: '', number: 0, truth: false, list: [], map: {} })
  const patched = expectCode(await http.patch('merge', `${path}/empty`, { spec: { engine: { spare: '' } } }), 200)
  assert.deepEqual(patched.spec.engine, { fuel: 'diesel', spare: '' })
})

test('numbers and texts pass where both are allowed, and numbers keep their form', async () => {
  const one = await create('int', { name: 'ab', port: 4200, draught: 2 })
  const two = await create('string', { name: 'ab', port: '4200', draught: 2.25 })
  assert.deepEqual([one.spec.port, two.spec.port, one.spec.draught, two.spec.draught], [4200, '4200', 2, 2.25])
})

test('a patch of a custom object is validated, pruned and defaulted too', async () => {
  await create('patched', { name: 'ab', draught: 3 })
  const status = expectFailure(await http.patch('merge', `${path}/patched`, { spec: { rig: 'raft' } }), 422, 'Invalid')
  assert.deepEqual(causesOf(status), ['spec.rig: FieldValueNotSupported'])
  const { spec } = expectCode(await http.patch('merge', `${path}/patched`, { spec: { draught: null, colour: 'red' } }), 200)
  assert.deepEqual(spec, { name: 'ab', draught: 1.5, rig: 'sloop', engine: { fuel: 'diesel' } })
})

test('a strategic patch of a custom object is an unsupported media type', async () => {
  await create('strategic', { name: 'ab' })
  expectFailure(await http.patch('strategic', `${path}/strategic`, { spec: { name: 'cd' } }), 415, 'UnsupportedMediaType')
})

test('replacing a custom object needs its version', async () => {
  const created = await create('replaced', { name: 'ab' })
  const status = expectFailure(
    await http.put(`${path}/replaced`, boat('replaced', { name: 'cd' })),
    422,
    'Invalid',
    /metadata.resourceVersion: .*must be specified for an update/,
  )
  assert.deepEqual(causesOf(status), ['metadata.resourceVersion: FieldValueInvalid'])
  assert.equal(expectCode(await http.put(`${path}/replaced`, { ...created, spec: { name: 'cd' } }), 200).spec.name, 'cd')
})

test('a custom object without apiVersion or kind, or of another kind, is refused', async () => {
  expectFailure(await http.post(path, { metadata: { name: 'x' }, spec: { name: 'ab' } }), 400, 'BadRequest')
  const { status } = await http.post(path, { ...boat('x', { name: 'ab' }), kind: 'Ship' })
  assert.ok(status === 400 || status === 422, `${status}: it depends on the version of Kubernetes`)
})

test('with a status subresource, spec and status are written apart and only the spec counts as a generation', async () => {
  const created = await create('apart', { name: 'ab' }, { status: { phase: 'Early' } })
  assert.equal(created.status, undefined)
  assert.equal(created.metadata.generation, 1)

  const url = `${path}/apart`
  const told = expectCode(
    await http.put(`${url}/status`, { ...created, spec: { name: 'zz' }, status: { phase: 'Afloat', unknown: 1 } }),
    200,
  )
  assert.deepEqual([told.spec.name, told.status, told.metadata.generation], ['ab', { phase: 'Afloat' }, 1])
  const changed = expectCode(await http.put(url, { ...told, spec: { name: 'cd' }, status: { phase: 'Sunk' } }), 200)
  assert.deepEqual([changed.spec.name, changed.status.phase, changed.metadata.generation], ['cd', 'Afloat', 2])
  const labelled = expectCode(await http.patch('merge', url, { metadata: { labels: { a: 'b' } } }), 200)
  assert.equal(labelled.metadata.generation, 2)
  const patched = expectCode(await http.patch('merge', `${url}/status`, { status: { seen: 3 } }), 200)
  assert.deepEqual([patched.status, patched.metadata.generation], [{ phase: 'Afloat', seen: 3 }, 2])
  expectFailure(await http.patch('merge', `${url}/status`, { status: { seen: 'often' } }), 422, 'Invalid', /status.seen/)
  assert.deepEqual(expectCode(await http.get(`${url}/status`), 200), patched)
})

test('without a status subresource, every change but of metadata counts as a generation', async () => {
  const definition = await contract.define(
    definitionOf('Raft', {
      spec: { type: 'object', properties: { logs: depth } },
      status: { type: 'object', properties: { phase: { type: 'string' } } },
    }),
  )
  const rafts = await contract.pathOf(definition)
  const raft = {
    apiVersion: `${definition.spec.group}/v1`,
    kind: 'Raft',
    metadata: { name: 'one' },
    spec: { logs: 3 },
    status: { phase: 'Early' },
  }
  const created = expectCode(await http.post(rafts, raft), 201)
  assert.deepEqual([created.status, created.metadata.generation], [{ phase: 'Early' }, 1])
  const generation = async (change: Body) => expectCode(await http.patch('merge', `${rafts}/one`, change), 200).metadata.generation
  assert.equal(await generation({ status: { phase: 'Afloat' } }), 2)
  assert.equal(await generation({ metadata: { annotations: { a: 'b' } } }), 2)
  assert.equal(await generation({ spec: { logs: 4 } }), 3)
  assert.equal(await generation({ spec: { logs: 4 } }), 3)
  expectFailure(await http.get(`${rafts}/one/status`), 404, 'NotFound')
})

test('a deletion that a finalizer holds counts as a generation', async () => {
  await create('held', { name: 'ab' })
  const url = `${path}/held`
  expectCode(await http.patch('merge', url, { metadata: { finalizers: ['example.com/hold'] } }), 200)
  assert.equal(expectCode(await http.delete(url), 200).metadata.generation, 2)
  expectCode(await http.patch('merge', url, { metadata: { finalizers: null } }), 200)
})

test('printer columns make the cells of a Table', async () => {
  const columns = [
    { name: 'Name', type: 'string', jsonPath: '.spec.name', description: 'as painted on' },
    { name: 'Watch', type: 'integer', jsonPath: '.spec.crew[?(@.role=="cook")].watch' },
    { name: 'First', type: 'string', jsonPath: '.spec.crew[0].role', priority: 1 },
    { name: 'Ready', type: 'boolean', jsonPath: '.spec.ready' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ]
  const crew = { type: 'array', items: { type: 'object', properties: { role: { type: 'string' }, watch: depth } } }
  const properties = { spec: { type: 'object', properties: { name: { type: 'string' }, ready: { type: 'boolean' }, crew } } }
  const definition = await contract.define(definitionOf('Ferry', properties, { additionalPrinterColumns: columns }))
  const ferries = await contract.pathOf(definition)
  const ferry = { apiVersion: `${definition.spec.group}/v1`, kind: 'Ferry' }
  expectCode(
    await http.post(ferries, {
      ...ferry,
      metadata: { name: 'full' },
      spec: {
        name: 'ab',
        ready: true,
        crew: [
          { role: 'mate', watch: 1 },
          { role: 'cook', watch: 4 },
        ],
      },
    }),
    201,
  )
  expectCode(await http.post(ferries, { ...ferry, metadata: { name: 'bare' } }), 201)
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
  const table = expectCode(await http.get(ferries, { headers: { accept } }), 200)
  assert.deepEqual(
    table.columnDefinitions.map(({ name, type, priority }: Body) => [name, type, priority]),
    [['Name', 'string', 0], ...columns.map(({ name, type, priority = 0 }) => [name, type, priority])],
  )
  const cells = Object.fromEntries(table.rows.map((row: Body) => [row.object.metadata.name, row.cells]))
  assert.deepEqual(cells.full.slice(0, 5), ['full', 'ab', 4, 'mate', true])
  assert.match(cells.full[5], /^\d+s$/)
  assert.deepEqual(cells.bare.slice(0, 5), ['bare', null, null, null, null])
})

test('a definition that is established says so, with its names', async () => {
  const holds = Object.fromEntries(boats.status.conditions.map((condition: Body) => [condition.type, condition.status]))
  assert.deepEqual([holds.Established, holds.NamesAccepted], ['True', 'True'])
  assert.deepEqual(boats.spec.names, { kind: 'Boat', plural: 'boats', singular: 'boat', listKind: 'BoatList' })
  assert.deepEqual(boats.status.acceptedNames, boats.spec.names)
  assert.deepEqual(boats.status.storedVersions, ['v1'])
})

for (const { what, change, field } of [
  { what: 'whose name is not plural.group', change: (d: Body) => (d.metadata.name = 'other.example'), field: 'metadata.name' },
  { what: 'without a stored version', change: (d: Body) => (d.spec.versions[0].storage = false), field: 'spec.versions' },
  {
    what: 'with a schema that has no type',
    change: (d: Body) => (d.spec.versions[0].schema.openAPIV3Schema.properties.spec = {}),
    field: 'openAPIV3Schema.properties[spec].type',
  },
  { what: 'without a schema', change: (d: Body) => delete d.spec.versions[0].schema, field: 'openAPIV3Schema' },
  { what: 'of an unknown scope', change: (d: Body) => (d.spec.scope = 'World'), field: 'spec.scope' },
]) {
  test(`a definition ${what} is refused with the path`, async () => {
    const definition = definitionOf('Wreck')
    change(definition)
    const status = expectFailure(await http.post(crds, definition), 422, 'Invalid')
    assert.ok(
      status.details.causes.some((cause: Body) => cause.field.endsWith(field)),
      JSON.stringify(status.details.causes),
    )
  })
}

test('a changed schema counts for what is written from then on', async () => {
  const definition = await contract.define(definitionOf('Sail', { spec: { type: 'object', properties: { area: depth } } }))
  const sails = await contract.pathOf(definition)
  const sail = (name: string, spec: Body) => ({ apiVersion: `${definition.spec.group}/v1`, kind: 'Sail', metadata: { name }, spec })
  expectCode(await http.post(sails, sail('old', { area: 3 })), 201)
  const properties = { area: { ...depth, maximum: 2 }, cloth: { type: 'string', default: 'canvas' } }
  const replacement = [{ op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties', value: properties }]
  expectCode(await http.patch('json', `${crds}/${definition.metadata.name}`, replacement), 200)
  await until('the new schema counts', async () => (await http.post(`${sails}?dryRun=All`, sail('new', { area: 3 }))).status === 422)
  assert.deepEqual(expectCode(await http.get(`${sails}/old`), 200).spec, { area: 3, cloth: 'canvas' })
})

test('a deleted definition takes its objects along and is no longer served', async () => {
  const definition = await contract.define(definitionOf('Cork'))
  const corks = await contract.pathOf(definition)
  expectCode(await http.post(corks, { apiVersion: `${definition.spec.group}/v1`, kind: 'Cork', metadata: { name: 'one' } }), 201)
  expectCode(await http.delete(`${crds}/${definition.metadata.name}`), 200)
  await until('the definition is gone', async () => (await http.get(`${crds}/${definition.metadata.name}`)).status === 404)
  await until('nothing is served', async () => (await http.get(corks)).status === 404)
})
