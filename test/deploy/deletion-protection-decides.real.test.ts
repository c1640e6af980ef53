import assert from 'node:assert/strict'
import { test } from 'node:test'
import { desiredCrateDB, readDatabase } from '../../agent/resources/cratedb.ts'
import { anyStored, options, stored, target } from '../agent/resources/samples.ts'
import { anyText, fc } from '../shared/property.ts'
import { type Deletion, refusal } from './admission-policy.ts'
import { type Manifest, template } from './helm.ts'
import { shapes } from './shapes.ts'

// What the policy decides, by a CEL of its own that keeps to the specification: on API servers, deletion-protection.real.test.ts tries it.

const rendered = await template(shapes.default)
const named = (wanted: string) => rendered.find(({ kind, metadata }) => kind === wanted && metadata.name === 'skerry-deletion-protection')
const policy = named('ValidatingAdmissionPolicy')

type Annotations = Record<string, string>
const project = (spec: object | undefined, annotations?: Annotations) => ({
  resource: 'projects',
  oldObject: { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour', annotations }, spec },
})
const database = (kept: string | undefined, annotations?: Annotations) => ({
  resource: 'cratedbs',
  oldObject: {
    apiVersion: 'cloud.crate.io/v1',
    kind: 'CrateDB',
    metadata: {
      name: 'tidal-gauge',
      namespace: 'project-harbour',
      annotations: kept === undefined ? annotations : { ...annotations, 'skerry.dev/database': kept },
    },
  },
})
const namespace = (annotations?: Annotations) => ({
  resource: 'namespaces',
  oldObject: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'project-harbour', annotations } },
})

const asked = (given: Omit<Deletion, 'username'>, username = 'jane', isCollection = false): string | undefined =>
  // As an API server has it: what is undefined is not there.
  refusal(policy, JSON.parse(JSON.stringify({ ...given, username, isCollection })))

const protectedProject = project({ deletionProtection: true })
const protectedDatabase = database('{"deletionProtection":true,"retainVolumes":true,"labels":{}}')
const protectedNamespace = namespace({ 'skerry.dev/deletion-protection': 'true' })

const refused: { name: string; given: Omit<Deletion, 'username'> }[] = [
  { name: 'a protected project', given: protectedProject },
  { name: 'a protected database', given: protectedDatabase },
  { name: 'the namespace of what is protected', given: protectedNamespace },
  { name: 'a project with an empty reason', given: project({ deletionProtection: true }, { 'skerry.dev/allow-deletion': '' }) },
  { name: 'a project with an annotation like it', given: project({ deletionProtection: true }, { 'skerry.dev/allow': 'moving' }) },
  { name: 'JSON with blanks', given: database(' {\n  "retainVolumes" : true,\n\t"deletionProtection" :\n true }') },
  { name: 'JSON in another order', given: database('{"labels":{"a":"}"},"deletionProtection":true}') },
  { name: 'JSON with a list before it', given: database('{"labels":[{"a":"]"},"\\\\"],"deletionProtection":true}') },
  { name: 'JSON with objects in objects before it', given: database('{"backups":{"aws":{"bucket":"{\\"{"}},"deletionProtection":true}') },
  { name: 'JSON that ends too early: in doubt for the data', given: database('{"deletionProtection":true,"labels":{') },
]
for (const { name, given } of refused)
  test(`is refused: ${name}`, () =>
    assert.match(asked(given) ?? '', /has deletionProtection\. Turn it off through the API: PATCH \/v1\/projects\//))

const controllers = [
  'system:serviceaccount:skerry:skerry-agent',
  'system:serviceaccount:kube-system:namespace-controller',
  'system:serviceaccount:kube-system:generic-garbage-collector',
  'system:kube-controller-manager',
]
for (const username of controllers)
  test(`passes: anything that ${username} deletes`, () => {
    for (const given of [protectedProject, protectedDatabase, protectedNamespace]) assert.equal(asked(given, username), undefined)
  })

const others = [
  ...['admin', 'system:admin', 'system:anonymous', 'skerry-agent', 'system:serviceaccount:default:skerry-agent'],
  ...[
    'system:serviceaccount:skerry:skerry-monitor',
    'system:serviceaccount:skerry:skerry-agent-2',
    'system:serviceaccount:crate-operator:crate-operator',
  ],
]
for (const username of others)
  test(`is refused to ${username}`, () => {
    for (const given of [protectedProject, protectedDatabase, protectedNamespace]) assert.notEqual(asked(given, username), undefined)
  })

const passing: { name: string; given: Omit<Deletion, 'username'> }[] = [
  { name: 'a project without a spec', given: project(undefined) },
  { name: 'a project that says nothing of it', given: project({}) },
  { name: 'a project that is not protected', given: project({ deletionProtection: false }) },
  { name: 'a project with null', given: project({ deletionProtection: null }) },
  { name: 'a project with a text', given: project({ deletionProtection: 'true' }) },
  { name: "a project with a database's annotation", given: project({}, { 'skerry.dev/database': '{"deletionProtection":true}' }) },
  { name: 'a database without annotations', given: database(undefined) },
  { name: 'a database with annotations of others', given: database(undefined, { team: 'tides' }) },
  { name: 'a database that is not protected', given: database('{"deletionProtection":false,"retainVolumes":true,"labels":{}}') },
  { name: 'a database with an empty annotation', given: database('') },
  { name: 'no JSON', given: database('deletionProtection: true') },
  { name: 'a text for the value', given: database('{"deletionProtection":"true"}') },
  { name: 'another word that begins so', given: database('{"deletionProtection":trueish}') },
  { name: 'a label of that name', given: database('{"deletionProtection":false,"labels":{"deletionProtection":true}}') },
  { name: 'another field that ends so', given: database('{"\\"deletionProtection":true,"noDeletionProtection":true}') },
  { name: 'a label that quotes it', given: database(JSON.stringify({ labels: { a: '{"deletionProtection":true}' } })) },
  { name: 'a label that ends in a backslash', given: database(JSON.stringify({ labels: { a: '\\' }, b: '"deletionProtection":true,' })) },
  { name: 'a list', given: database('[{"deletionProtection":true}]') },
  { name: 'a list in it', given: database('{"labels":[{"deletionProtection":true}]}') },
  { name: 'a namespace without annotations', given: namespace() },
  { name: 'a namespace that is not protected', given: namespace({ 'skerry.dev/deletion-protection': 'false' }) },
  {
    name: 'a namespace with a field of that name',
    given: { ...namespace(), oldObject: { ...namespace().oldObject, spec: { deletionProtection: true } } },
  },
  { name: 'what is of no such kind', given: { resource: 'secrets', oldObject: { ...protectedNamespace.oldObject, kind: 'Secret' } } },
]
for (const { name, given } of passing) test(`passes: ${name}`, () => assert.equal(asked(given), undefined))

test('what bears a reason passes, whatever else it bears', () => {
  const reason = { 'skerry.dev/allow-deletion': 'moved to harbour-2' }
  for (const kept of ['{"deletionProtection":true}', '"', `{${'"\\'.repeat(100_000)}`])
    assert.equal(asked(database(kept, reason)), undefined)
  assert.equal(asked(project({ deletionProtection: true }, reason)), undefined)
  assert.equal(asked(namespace({ ...reason, 'skerry.dev/deletion-protection': 'true' })), undefined)
})

test('the message names the object, the request that takes the protection off and the command of an administrator', () => {
  const messages = {
    project:
      'the project harbour has deletionProtection. Turn it off through the API: PATCH /v1/projects/harbour {"deletionProtection":false}. An ' +
      'administrator can instead give a reason, and then delete it: kubectl annotate project.skerry.dev harbour skerry.dev/allow-deletion=WHY',
    database:
      'the database harbour/tidal-gauge has deletionProtection. Turn it off through the API: PATCH /v1/projects/harbour/databases/tidal-gauge ' +
      '{"deletionProtection":false}. An administrator can instead give a reason, and then delete it: kubectl -n project-harbour annotate ' +
      'cratedb.cloud.crate.io tidal-gauge skerry.dev/allow-deletion=WHY',
    namespace:
      'the project harbour, whose namespace this is, or a database in it has deletionProtection. Turn it off through the API: PATCH ' +
      '/v1/projects/harbour {"deletionProtection":false}, and the same for its databases. An administrator can instead give a reason, and ' +
      'then delete it: kubectl annotate namespace project-harbour skerry.dev/allow-deletion=WHY',
  }
  for (const isCollection of [false, true]) {
    assert.equal(asked(protectedProject, 'jane', isCollection), messages.project)
    assert.equal(asked(protectedDatabase, 'jane', isCollection), messages.database)
    assert.equal(asked(protectedNamespace, 'jane', isCollection), messages.namespace)
  }
})

test('the message of the longest names is still shown', () => {
  const name = `${'project-'.repeat(30)}${'x'.repeat(13)}`
  const { oldObject } = protectedDatabase
  const metadata = { ...oldObject.metadata, name, namespace: 'project-project-project-quay' }
  const message = asked({ resource: 'cratedbs', oldObject: { ...oldObject, metadata } }) ?? ''
  assert.match(message, /^the database project-project-quay\/(project-){30}x{13} has deletionProtection/)
})

test('what the agent writes is judged as the agent judges it', () => {
  fc.assert(
    fc.property(anyStored, (spec) => {
      const oldObject = desiredCrateDB(target, spec, options)
      assert.equal(asked({ resource: 'cratedbs', oldObject }) !== undefined, spec.deletionProtection)
    }),
  )
})

/** Objects two deep at most, in any order, with labels and texts that look like what is looked for. */
const anyKept = (() => {
  const tricky = fc.constantFrom(
    'deletionProtection',
    '"deletionProtection"',
    '"deletionProtection":true,',
    '{',
    '}',
    '\\',
    '"',
    '\\"',
    ',',
    ':',
  )
  const text = fc.oneof(tricky, anyText({ maxLength: 4 }))
  const leaf = fc.oneof(text, fc.boolean(), fc.integer(), fc.constant(null))
  const object = (value: fc.Arbitrary<unknown>) => fc.dictionary(text, value, { maxKeys: 4 })
  const value = fc.oneof(leaf, fc.array(leaf, { maxLength: 3 }), object(fc.oneof(leaf, object(leaf))))
  const entry = fc.oneof(
    fc.tuple(text, value),
    fc.tuple(fc.constant('deletionProtection'), fc.constantFrom<unknown>(true, true, false, 'true', 1)),
  )
  return fc.uniqueArray(entry, { maxLength: 5, selector: ([key]) => key })
})()

test('any JSON, in any order and with any blanks, is judged as the agent judges it', () => {
  const blank = fc.constantFrom('', ' ', '\n\t')
  let protectedOnes = 0
  fc.assert(
    fc.property(anyKept, blank, fc.constantFrom(undefined, 1, '\t'), (entries, around, indent) => {
      // Not an object first: a key such as __proto__ would be lost, and numbers would come before all others.
      const pairs = entries.map(([key, value]) => `${JSON.stringify(key)}${around}:${JSON.stringify(value, null, indent)}${around}`)
      const given = database(`${around}{${around}${pairs.join(`,${around}`)}}${around}`)
      const { deletionProtection } = readDatabase(JSON.parse(JSON.stringify(given.oldObject)))
      if (deletionProtection) protectedOnes++
      assert.equal(asked(given) !== undefined, deletionProtection, given.oldObject.metadata.annotations?.['skerry.dev/database'])
    }),
    { numRuns: 500 },
  )
  assert.ok(protectedOnes > 50, `${protectedOnes} of 500 were protected`)
})

test('the longest annotation that Kubernetes takes is judged within the cost that it allows', () => {
  const [, pattern = ''] =
    /matches\( ?r'(.*)'\)$/.exec(policy.spec.variables.find(({ name }: Manifest) => name === 'databaseProtected').expression) ?? []
  const longest = 256 * 1024 // all annotations of an object together (TotalAnnotationSizeLimitB)
  // As cel-go counts: StringTraversalCostFactor 0.1, RegexStringLengthCostFactor 0.25. The limit is PerCallLimit of apiserver's celconfig.
  const cost = Math.ceil((1 + longest) * 0.1) * Math.ceil(pattern.length * 0.25)
  assert.ok(pattern.length > 50 && cost < 1_000_000, `${pattern.length} characters, cost ${cost}`)
  const labels = { a: 'x'.repeat(longest - 100) }
  const { oldObject } = database(JSON.stringify({ labels, deletionProtection: true }))
  assert.notEqual(asked({ resource: 'cratedbs', oldObject }), undefined)
})

test('a database in the form of today is protected', () => {
  const oldObject = desiredCrateDB(target, stored({ deletionProtection: true }), options)
  assert.match(asked({ resource: 'cratedbs', oldObject }) ?? '', new RegExp(`^the database ${target.project}/${target.database} has`))
})

test('fails closed, for deletions only, and denies', () => {
  const { failurePolicy, matchConstraints } = policy.spec
  assert.equal(failurePolicy, 'Fail')
  assert.deepEqual(
    matchConstraints.resourceRules.map(({ operations, resources }: Manifest) => [...operations, ...resources]),
    ['projects', 'cratedbs', 'namespaces'].map((resource) => ['DELETE', resource]),
  )
  const { spec } = named('ValidatingAdmissionPolicyBinding')
  assert.deepEqual(spec, { policyName: policy.metadata.name, validationActions: ['Deny'] })
})
