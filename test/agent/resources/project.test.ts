import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { desiredProject, projectSpec, readProject } from '../../../agent/resources/project.ts'
import type { ProjectSurroundings } from '../../../agent/resources/project-objects.ts'
import { projectObjects } from '../../../agent/resources/project-objects.ts'
import { asFault, parseWith } from '../../../shared/faults.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { fc } from '../../shared/property.ts'
import { assertGolden } from './golden.ts'

const everything = projectSpec.parse({
  id: 'harbour',
  displayName: 'Harbour authority',
  organization: 'Port of Eider',
  quota: { cpu: '24', memory: '96GiB', storage: '2Ti', databases: 8 },
  imagePullSecrets: ['registry-mirror', 'missing'],
  labels: { 'cost-centre': '4711' },
  deletionProtection: true,
  keepDeletedDays: 30,
})

const surroundings: ProjectSurroundings = {
  agentNamespace: 'skerry',
  operatorNamespace: 'crate-operator',
  scrapeNamespaces: ['monitoring'],
  pullSecrets: [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'registry-mirror', namespace: 'skerry', annotations: { theirs: 'not copied' } },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': 'e30=' },
    },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'unrelated', namespace: 'skerry' }, type: 'Opaque', data: {} },
  ],
  databases: [{ apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tidal-gauge', uid: 'a-uid' } }],
  accounts: { agent: 'skerry-agent', monitor: 'skerry-monitor' },
}

function inCluster(project: KubernetesObject): KubernetesObject {
  return { ...project, metadata: { ...project.metadata, uid: '6c5e0f6e-3d4f-4a53-8f4e-2f2d1a9b7c10' } }
}

test('the Project of a project with everything', () => assertGolden('project-everything', [desiredProject(everything)]))

test('what the controller makes of a project with everything', () => {
  assertGolden('project-objects-everything', projectObjects(inCluster(desiredProject(everything)), surroundings))
})

test('what the controller makes of the smallest project, on a cloud, with a store of its own', () => {
  const given = { ...surroundings, scrapeNamespaces: [], pullSecrets: [], databases: [], egressPorts: [9000], cloudMetadata: true }
  assertGolden('project-objects-smallest', projectObjects(inCluster(desiredProject(projectSpec.parse({ id: 'a' }))), given))
})

test('nothing has the project as its owner, so that no garbage collection comes before its databases have ended', () => {
  const owners = projectObjects(inCluster(desiredProject(everything)), surroundings).flatMap(({ kind, metadata }) =>
    (metadata.ownerReferences ?? []).map((owner) => `${kind} ${metadata.name} of ${owner.kind} ${owner.name}`),
  )
  const access = (kind: string) =>
    surroundings.databases.map(({ metadata: { name } }) => `${kind} skerry-monitor-${name} of CrateDB ${name}`)
  assert.deepEqual(owners.toSorted(), [...access('Role'), ...access('RoleBinding')].toSorted())
})

test('everything is found again by its labels', () => {
  for (const { kind, metadata } of projectObjects(inCluster(desiredProject(everything)), surroundings)) {
    const { 'app.kubernetes.io/managed-by': manager, 'skerry.dev/project': project } = metadata.labels ?? {}
    assert.deepEqual({ kind, manager, project }, { kind, manager: 'skerry', project: 'harbour' })
  }
})

test('a pull secret is copied with its data and nothing of its metadata', () => {
  const [secret, ...more] = projectObjects(inCluster(desiredProject(everything)), surroundings).filter(({ kind }) => kind === 'Secret')
  assert.deepEqual(more, [])
  assert.deepEqual(
    [secret?.metadata.name, secret?.type, secret?.data],
    ['skerry-pull-registry-mirror', 'kubernetes.io/dockerconfigjson', { '.dockerconfigjson': 'e30=' }],
  )
  assert.equal(secret?.metadata.annotations, undefined)
})

const anyProject = fc.record(
  {
    id: fc.constantFrom('harbour', 'a', '0'.repeat(55)),
    displayName: fc.constantFrom('Harbour', 'Ærø & Söhne'),
    organization: fc.constant('Port of Eider'),
    quota: fc.record(
      {
        cpu: fc.constantFrom(1, '500m'),
        memory: fc.constantFrom('4GiB', '5G'),
        storage: fc.constantFrom('1Ti', '1.5Ti'),
        databases: fc.nat(1000),
      },
      { requiredKeys: [] },
    ),
    imagePullSecrets: fc.uniqueArray(fc.constantFrom('a', 'b.c'), { maxLength: 2 }),
    labels: fc.dictionary(fc.constantFrom('a', 'example.org/b'), fc.constantFrom('', 'x')),
    deletionProtection: fc.boolean(),
    keepDeletedDays: fc.nat(90),
  },
  { requiredKeys: ['id'] },
)

test('what a Project says is what it was made from, and is taken again', () => {
  fc.assert(
    fc.property(anyProject, (given) => {
      const spec = projectSpec.parse(given)
      assert.deepEqual(readProject(desiredProject(spec)), spec)
      assert.deepEqual(projectSpec.parse(spec), spec)
    }),
  )
})

test('a Project that was written by hand is read as far as it makes sense', () => {
  const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'a' } }
  const nothing = { id: 'a', imagePullSecrets: [], labels: {}, deletionProtection: false, keepDeletedDays: 7 }
  assert.deepEqual(readProject(project), nothing)
  assert.deepEqual(
    readProject({ ...project, spec: { quota: { cpu: 'much' }, labels: { 'skerry.dev/x': 'y' }, displayName: 'A', keepDeletedDays: 900 } }),
    {
      ...nothing,
      displayName: 'A',
    },
  )
})

const refused: { name: string; given: Record<string, unknown>; faults: string[] }[] = [
  { name: 'nothing', given: {}, faults: ['/id is required'] },
  {
    name: 'an id whose namespace would have too long a name',
    given: { id: 'a'.repeat(56) },
    faults: ['/id must have at most 55 characters: its namespace is called project-<id>, and Kubernetes allows 63'],
  },
  {
    name: 'a name of two lines',
    given: { id: 'a', displayName: 'a\nb' },
    faults: ['/displayName must be one line of text without control characters'],
  },
  {
    name: 'a quota that does not parse',
    given: { id: 'a', quota: { cpu: 'x', memory: '1', storage: -1, databases: 1.5 } },
    faults: [
      '/quota/cpu must be a number of cores such as 2 or 0.5, or text such as "500m"',
      '/quota/memory must be at least 256Mi: one node needs that much. Is the suffix missing?',
      '/quota/storage must be a quantity of bytes as text, such as "4Gi"',
      '/quota/databases must be a whole number',
    ],
  },
  {
    name: 'a label that would change the Pod Security of its namespace',
    given: { id: 'a', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
    faults: ['/labels/pod-security.kubernetes.io~1enforce the prefix kubernetes.io is reserved'],
  },
  {
    name: 'more days than deleted databases are kept at most',
    given: { id: 'a', keepDeletedDays: 91 },
    faults: ['/keepDeletedDays must be at most 90'],
  },
  {
    name: 'a pull secret twice',
    given: { id: 'a', imagePullSecrets: ['x', 'x'] },
    faults: ['/imagePullSecrets must not name a Secret twice'],
  },
]
for (const { name, given, faults } of refused) {
  test(`a project with ${name} is refused in words`, () => {
    const parsed = parseWith(projectSpec, given)
    assert.deepEqual(parsed.ok ? [] : parsed.faults.map((fault) => asFault(fault)).map(({ path, message }) => `${path} ${message}`), faults)
  })
}

test('the definition of projects has every field of the schema, and its own status', () => {
  const { spec } = parse(readFileSync(new URL('../../../deploy/crds/projects.yaml', import.meta.url), 'utf8'))
  const [version] = spec.versions
  const { properties } = version.schema.openAPIV3Schema
  const fields = Object.keys(projectSpec.shape).filter((field) => field !== 'id')
  assert.deepEqual(Object.keys(properties.spec.properties).sort(), fields.sort())
  assert.deepEqual(Object.keys(properties.status.properties).sort(), [
    'blockers',
    'conditions',
    'namespace',
    'observedGeneration',
    'pullSecrets',
    'retained',
    'usage',
  ])
  assert.deepEqual(version.subresources, { status: {} })
  for (const { jsonPath } of version.additionalPrinterColumns) {
    const [first, second] = jsonPath.replace(/\[.*/, '').split('.').slice(1)
    if (first !== 'metadata') assert.ok(properties[first].properties[second], jsonPath)
  }
})
