import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { importSection } from '../../agent/region-file/import/settings.ts'
import { desiredCrateDB } from '../../agent/resources/cratedb.ts'
import { desiredProject, projectSpec } from '../../agent/resources/project.ts'
import { projectObjects } from '../../agent/resources/project-objects.ts'
import type { KubernetesObject } from '../../shared/kubernetes/objects.ts'
import { options, stored, target } from '../agent/resources/samples.ts'
import { allowingLabels } from '../region/definitions.ts'
import { type Review, refusalOf } from './admission-policy.ts'

// What the policy decides, by a CEL of its own that keeps to the specification. On API servers, rbac.real.test.ts tries the attack.

const site = ['cost-centre', 'example.org/']
const [shipped, binding] = parseAllDocuments(readFileSync('deploy/kustomize/agent-boundary.yaml', 'utf8')).map((each) => each.toJS())
const policy = allowingLabels(shipped, site)
const agent = 'system:serviceaccount:skerry:skerry-agent'

const asked = (review: Omit<Review, 'username'>, username = agent) =>
  // As an API server has it: what is undefined is not there.
  refusalOf(policy, JSON.parse(JSON.stringify({ ...review, username })))

const plurals: Record<string, string> = { NetworkPolicy: 'networkpolicies', CrateDB: 'cratedbs' }
const pluralOf = (kind: string) => plurals[kind] ?? `${kind.toLowerCase()}s`
const creation = (object: KubernetesObject) => asked({ operation: 'CREATE', resource: pluralOf(object.kind), object })
const deletion = (object: KubernetesObject) => asked({ operation: 'DELETE', resource: pluralOf(object.kind), oldObject: object })
const update = (oldObject: KubernetesObject, object: KubernetesObject) =>
  asked({ operation: 'UPDATE', resource: pluralOf(object.kind), oldObject, object })

const core = (kind: string, name: string, namespace: string | undefined, rest: object = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name, ...(namespace !== undefined && { namespace }) },
  ...rest,
})
const rbac = (kind: string, name: string, namespace: string, rest: object): KubernetesObject => ({
  ...core(kind, name, namespace, rest),
  apiVersion: 'rbac.authorization.k8s.io/v1',
})

const project = desiredProject(
  projectSpec.parse({
    id: 'harbour',
    quota: { cpu: 4, databases: 2 },
    imagePullSecrets: ['mirror'],
    labels: { 'cost-centre': '4711', 'example.org/unit': 'tides' },
    deletionProtection: true,
  }),
)
const database = { ...desiredCrateDB(target, stored({}), options), status: {} }
const pullSecret = { ...core('Secret', 'mirror', 'skerry'), type: 'kubernetes.io/dockerconfigjson', data: {} }
const written = [
  ...projectObjects(
    { ...project, metadata: { ...project.metadata, uid: 'a-uid' } },
    {
      ...{ agentNamespace: 'skerry', operatorNamespace: 'crate-operator', scrapeNamespaces: ['monitoring'] },
      ...{ pullSecrets: [pullSecret], databases: [database], accounts: { agent: 'skerry-agent', monitor: 'skerry-monitor' } },
    },
  ),
  database,
  core('Secret', 'user-password-harbourmaster', 'project-harbour', { type: 'Opaque' }),
  core('Secret', 'operation-0b9a3f1c-5f0e-4b8a-9c57-6d2f1f0c9a11', 'skerry', { type: 'Opaque' }),
  core('Secret', 'operation-0b9a3f1c-5f0e-4b8a-9c57-6d2f1f0c9a11-0000', 'skerry', { type: 'Opaque' }),
  core('Secret', 'retained-tidal-gauge.3f9a01bc', 'skerry', { type: 'Opaque' }),
  core('Secret', 'retained-tidal-gauge.3f9a01bc-next', 'skerry', { type: 'Opaque' }),
  core('Secret', 'skerry-fingerprint-key', 'skerry', { type: 'Opaque' }),
  core('Secret', 'skerry-identity', 'skerry'),
]

test('everything that the agent writes passes: created, changed and deleted', () => {
  assert.equal(new Set(written.map(({ kind }) => kind)).size, 9)
  for (const object of written) {
    assert.equal(creation(object), undefined, `${object.kind} ${object.metadata.name}`)
    assert.equal(update(object, object), undefined, `${object.kind} ${object.metadata.name}`)
    assert.equal(deletion(object), undefined, `${object.kind} ${object.metadata.name}`)
  }
  assert.equal(deletion(core('Pod', 'crate-data-hot-tidal-gauge-0', 'project-harbour')), undefined)
})

type Metadata = { labels?: object; annotations?: object; finalizers?: string[]; ownerReferences?: object[] }

const claimRef = { namespace: 'project-harbour', name: 'data0-crate-data-hot-tide-0' }
const volume = (spec: object, metadata: Metadata = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: {
    name: 'pv-1',
    finalizers: ['kubernetes.io/pv-protection'],
    labels: { zone: 'quay' },
    ...metadata,
  } as KubernetesObject['metadata'],
  spec: { capacity: { storage: '8Gi' }, persistentVolumeReclaimPolicy: 'Delete', claimRef, ...spec },
})
const retained = { persistentVolumeReclaimPolicy: 'Retain' }

test('a volume of a project is kept and let go, with the labels and annotations of Skerry', () => {
  const marked = { labels: { zone: 'quay', 'skerry.dev/project': 'harbour' }, annotations: { 'skerry.dev/reclaim-policy': 'Delete' } }
  assert.equal(update(volume({}), volume(retained, marked)), undefined)
  assert.equal(update(volume(retained, marked), volume({})), undefined)
})

test('a volume is reserved for the next claim of that name, and given up again', () => {
  const served = volume({ claimRef: { ...claimRef, uid: 'u-1', resourceVersion: '7' } })
  assert.equal(update(served, volume({})), undefined)
  assert.equal(update(volume({}), volume({ persistentVolumeReclaimPolicy: 'Delete', claimRef: { ...claimRef, uid: 'u-2' } })), undefined)
})

const owner = { apiVersion: 'v1', kind: 'Node', name: 'gone', uid: 'gone' }
const volumes: { name: string; before?: KubernetesObject; after: KubernetesObject }[] = [
  { name: 'another claim', after: volume({ claimRef: { ...claimRef, name: 'data0-crate-data-hot-tide-1' } }) },
  {
    name: 'the uid of another claim',
    before: volume({ claimRef: { ...claimRef, uid: 'u-1' } }),
    after: volume({ claimRef: { ...claimRef, uid: 'u-2' } }),
  },
  { name: 'a claim of another namespace', after: volume({ claimRef: { ...claimRef, namespace: 'project-quay' } }) },
  { name: 'no claim', after: volume({ claimRef: undefined }) },
  { name: 'a claim where it had none', before: volume({ claimRef: undefined }), after: volume({}) },
  ...[{ namespace: 'erp', name: 'db' }, undefined].map((other) => ({
    name: `a policy although it serves ${other === undefined ? 'nothing' : 'something else'}`,
    before: volume({ ...retained, claimRef: other }),
    after: volume({ claimRef: other }),
  })),
  { name: 'a mount option', after: volume({ mountOptions: ['ro'] }) },
  { name: 'another size', after: volume({ capacity: { storage: '1Gi' } }) },
  { name: 'a field less', after: volume({ capacity: undefined }) },
  { name: 'an owner', after: volume({}, { ownerReferences: [owner] }) },
  { name: 'no finalizer', after: volume({}, { finalizers: [] }) },
  { name: 'a label of others', after: volume({}, { labels: { zone: 'quay', team: 'tides' } }) },
  { name: 'another value of such a label', after: volume({}, { labels: { zone: 'pier' } }) },
  { name: 'no such label', after: volume({}, { labels: {} }) },
  { name: 'an annotation of others', after: volume({}, { annotations: { 'pv.kubernetes.io/provisioned-by': 'mallory' } }) },
]
for (const { name, before = volume({}), after } of volumes)
  test(`a volume is refused that would get ${name}`, () => {
    assert.match(update(before, after) ?? 'passes', /^the agent changes only the reclaim policy of volumes of projects/)
  })

const labels = { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'tide' }
const imported = (spec: object, metadata: Metadata = { labels }) =>
  volume({ ...retained, csi: { driver: 'ebs.csi.aws.com', volumeHandle: 'vol-1' }, ...spec }, metadata)
const inFolder = (path: string) => ({ csi: undefined, hostPath: { path } })

test('a volume is made that an import makes again: of a storage, or in a folder of a host that is for volumes', () => {
  const marked = {
    labels: { ...labels, 'topology.kubernetes.io/zone': 'a' },
    annotations: { 'pv.kubernetes.io/provisioned-by': 'ebs.csi.aws.com' },
  }
  assert.equal(creation(imported({}, marked)), undefined)
  for (const folder of importSection.parse({}).hostFolders) {
    assert.equal(creation(imported(inFolder(`${folder}/pvc-1`))), undefined)
    assert.equal(creation(imported({ csi: undefined, local: { path: `${folder}/pvc-1` } })), undefined)
  }
})

const folder = '/opt/local-path-provisioner'
const madeUp: { name: string; object: KubernetesObject }[] = [
  { name: 'is for a namespace that is no project', object: imported({ claimRef: { ...claimRef, namespace: 'kube-system' } }) },
  { name: 'is for another project than it says', object: imported({ claimRef: { ...claimRef, namespace: 'project-pier' } }) },
  { name: 'is for another database than it says', object: imported({ claimRef: { ...claimRef, name: 'data0-crate-data-hot-ebb-0' } }) },
  {
    name: 'is for a database whose name begins like the one that it says',
    object: imported({ claimRef: { ...claimRef, name: 'data0-crate-data-hot-tide-ebb-0' } }),
  },
  {
    name: 'is for any database, by a pattern for a name',
    object: imported(
      { claimRef: { ...claimRef, name: 'data0-crate-data-hot-ebb-0' } },
      { labels: { ...labels, 'skerry.dev/database': 'e.b' } },
    ),
  },
  { name: 'is for a claim that holds no data', object: imported({ claimRef: { ...claimRef, name: 'debug-crate-data-hot-tide-0' } }) },
  { name: 'is for nobody', object: imported({ claimRef: undefined }) },
  { name: 'says not whose it is', object: imported({}, {}) },
  { name: 'would be deleted with its claim', object: imported({ persistentVolumeReclaimPolicy: 'Delete' }) },
  { name: 'has an owner', object: imported({}, { labels, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'a', uid: 'a' }] }) },
  { name: 'is on a server that it names', object: imported({ csi: undefined, nfs: { server: 'mallory.example', path: '/' } }) },
  { name: 'has two places', object: imported({ nfs: { server: 'mallory.example', path: '/' } }) },
  ...['/', '/etc/kubernetes', folder, `${folder}-2/pvc-1`, `${folder}/../../etc`].flatMap((path) => [
    { name: `is the folder ${path} of a host`, object: imported(inFolder(path)) },
    { name: `is the disk ${path} of a host`, object: imported({ csi: undefined, local: { path } }) },
  ]),
]
for (const { name, object } of madeUp)
  test(`no volume is made that ${name}`, () => {
    assert.match(creation(object) ?? 'passes', /^the agent makes volumes only for data claims of projects/)
  })

const claim = (metadata: Metadata = {}, spec: object = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: {
    name: claimRef.name,
    namespace: claimRef.namespace,
    finalizers: ['kubernetes.io/pvc-protection'],
    labels: { 'app.kubernetes.io/name': 'tide' },
    annotations: { 'pv.kubernetes.io/bind-completed': 'yes' },
    ...metadata,
  } as KubernetesObject['metadata'],
  spec: { volumeName: 'pv-1', resources: { requests: { storage: '8Gi' } }, ...spec },
})
const ofSet = { labels: { 'app.kubernetes.io/name': 'tide', 'skerry.dev/volume-snapshots': '20260131120000-42' } }

test('a claim of a project gets the label of a group of snapshots, and another one later', () => {
  assert.equal(update(claim(), claim(ofSet)), undefined)
  assert.equal(update(claim(ofSet), claim()), undefined)
})

const claims: { name: string; after: KubernetesObject }[] = [
  { name: 'another size', after: claim({}, { resources: { requests: { storage: '2Ti' } } }) },
  { name: 'another volume', after: claim({}, { volumeName: 'pv-2' }) },
  { name: 'an owner', after: claim({ ownerReferences: [owner] }) },
  { name: 'no finalizer', after: claim({ finalizers: [] }) },
  { name: 'another label', after: claim({ labels: { 'app.kubernetes.io/name': 'ebb' } }) },
  { name: 'no label', after: claim({ labels: {} }) },
  { name: 'an annotation', after: claim({ annotations: { 'pv.kubernetes.io/bind-completed': 'yes', a: 'b' } }) },
]
for (const { name, after } of claims)
  test(`a claim is refused that would get ${name}`, () => {
    assert.equal(update(claim(), after), 'the agent changes only its own labels on claims.')
  })

const only =
  'the agent writes only in the namespaces of projects, whose names begin with project-; in its own, only its own Secrets and pods of cloudflared.'
for (const namespace of ['kube-system', 'crate-operator', 'projects', 'my-project-harbour'])
  test(`nothing passes in ${namespace}, not even a deletion`, () => {
    for (const object of written) {
      const moved =
        object.kind === 'Namespace' ? core('Namespace', namespace, undefined) : { ...object, metadata: { ...object.metadata, namespace } }
      for (const said of [creation(moved), update(moved, moved), deletion(moved)]) assert.equal(said, only, object.kind)
    }
    assert.equal(deletion(core('Pod', 'one', namespace)), only)
  })

test('a namespace without a name of its own is refused', () => {
  const { name: _, ...metadata } = { ...core('Namespace', '', undefined).metadata, generateName: 'project-' }
  assert.equal(creation({ apiVersion: 'v1', kind: 'Namespace', metadata } as KubernetesObject), only)
})

test("in the agent's own namespace only Secrets pass", () => {
  for (const object of written.filter(({ kind }) => !['Namespace', 'Secret'].includes(kind)))
    assert.equal(creation({ ...object, metadata: { ...object.metadata, namespace: 'skerry' } }), only, object.kind)
})

for (const name of [
  ...['sh.helm.release.v1.skerry.v3', 'skerry-install-skerry', 'skerry-agent-tokens', 'mirror', 'operation-', 'operation-of-somebody'],
  ...[
    'operation-0b9a3f1c-5f0e-4b8a-9c57-6d2f1f0c9a11-more',
    'operation-0b9a3f1c-5f0e-4b8a-9c57-6d2f1f0c9a11-00001',
    'my-operation-0b9a3f1c-5f0e-4b8a-9c57-6d2f1f0c9a11',
    'skerry-fingerprint-key-2',
    'retained-tidal-gauge.3f9a01bc-more',
    'retained-somebody',
    'skerry-identity-2',
    // What install.sh keeps of the token decides what the next installation does.
    'skerry-join',
  ],
])
  test(`and of these not ${name}`, () => {
    const secret = core('Secret', name, 'skerry', { type: 'Opaque' })
    for (const said of [creation(secret), update(secret, secret), deletion(secret)]) assert.equal(said, only)
  })

test('and no Secret with a name that the API server makes', () => {
  const { name: _, ...metadata } = { ...core('Secret', '', 'skerry').metadata, generateName: 'operation-' }
  assert.equal(creation({ apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque' } as unknown as KubernetesObject), only)
})

test('pods of cloudflared are deleted, and no others of its own namespace', () => {
  const pod = (name: string, kind = 'ReplicaSet') => {
    const ownerReferences = [{ apiVersion: 'apps/v1', kind, name, uid: 'a-uid', controller: true }]
    return { ...core('Pod', `${name}-x7k2p`, 'skerry'), metadata: { name: `${name}-x7k2p`, namespace: 'skerry', ownerReferences } }
  }
  assert.equal(deletion(pod('cloudflared-5d8f7c')), undefined)
  for (const other of [pod('skerry-agent-5d8f7c'), pod('cloudflared-5d8f7c', 'StatefulSet'), core('Pod', 'cloudflared-1', 'skerry')])
    assert.equal(deletion(other), only)
})

test('no Secret with the token of a service account passes, wherever it is', () => {
  for (const namespace of ['project-harbour', 'skerry'])
    assert.equal(
      creation(core('Secret', 'skerry-fingerprint-key', namespace, { type: 'kubernetes.io/service-account-token' })),
      'the agent makes no tokens of service accounts.',
    )
})

const account = (name: string, namespace = 'skerry') => ({ kind: 'ServiceAccount', name, namespace })
const role = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name })
const bindings: { name: string; roleRef: object; subjects: object[] | undefined }[] = [
  { name: 'another role', roleRef: role('ClusterRole', 'cluster-admin'), subjects: [account('skerry-agent')] },
  { name: 'a role like its own', roleRef: role('ClusterRole', 'skerry-agent'), subjects: [account('skerry-agent')] },
  { name: 'its own role to the monitor', roleRef: role('ClusterRole', 'skerry-agent-project'), subjects: [account('skerry-monitor')] },
  {
    name: 'its own role to somebody else',
    roleRef: role('ClusterRole', 'skerry-agent-project'),
    subjects: [account('skerry-agent', 'vault')],
  },
  {
    name: 'its own role to somebody else too',
    roleRef: role('ClusterRole', 'skerry-agent-project'),
    subjects: [account('skerry-agent'), { kind: 'User', name: 'mallory' }],
  },
  { name: 'a role of the namespace', roleRef: role('Role', 'of-others'), subjects: [account('skerry-monitor')] },
  { name: 'a password to the agent', roleRef: role('Role', 'skerry-monitor-tidal-gauge'), subjects: [account('skerry-agent')] },
  {
    name: 'a password to everybody',
    roleRef: role('Role', 'skerry-monitor-tidal-gauge'),
    subjects: [{ kind: 'Group', name: 'system:authenticated' }],
  },
  { name: 'something to nobody', roleRef: role('ClusterRole', 'skerry-agent-project'), subjects: undefined },
]
for (const { name, ...rest } of bindings)
  test(`a RoleBinding is refused that gives ${name}`, () => {
    assert.match(
      creation(rbac('RoleBinding', 'more', 'project-harbour', rest)) ?? '',
      /^the agent binds only skerry-agent-project, to itself/,
    )
  })

const passwords = { apiGroups: [''], resources: ['secrets'], resourceNames: ['user-system-tidal-gauge'], verbs: ['get'] }
const rules: { name: string; rules: object[] | undefined }[] = [
  { name: 'all Secrets', rules: [{ ...passwords, resourceNames: undefined }] },
  { name: 'no named Secret, which is all', rules: [{ ...passwords, resourceNames: [] }] },
  { name: 'another Secret', rules: [{ ...passwords, resourceNames: ['skerry-pull-mirror'] }] },
  { name: 'two Secrets', rules: [{ ...passwords, resourceNames: ['user-system-tidal-gauge', 'user-system-buoy'] }] },
  { name: 'another verb', rules: [{ ...passwords, verbs: ['get', 'delete'] }] },
  { name: 'another resource', rules: [{ ...passwords, resources: ['pods'] }] },
  { name: 'a second rule', rules: [passwords, { ...passwords, verbs: ['*'] }] },
]
for (const { name, rules: given } of rules)
  test(`a Role is refused with ${name}`, () => {
    assert.equal(
      creation(rbac('Role', 'skerry-monitor-tidal-gauge', 'project-harbour', { rules: given })),
      'a role of the agent gives no more than the password of one database.',
    )
  })

const namespace = (labels: Record<string, string>, annotations: Record<string, string> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'project-harbour', labels, annotations },
})
const steering = [
  ...['istio-injection', 'control-plane', 'pod-security.kubernetes.io/audit', 'openshift.io/run-level', 'topology.istio.io/network'],
  ...['admission.gatekeeper.sh/ignore', 'kubernetes.io/other', 'cost-centre-2', 'my.example.org/unit', 'example.org'],
]
for (const key of steering)
  test(`the label ${key} of a namespace may stay, and may not come or change`, () => {
    const says = 'the agent sets only its own labels on a namespace, and those that metadata.labels of its configuration allows.'
    assert.equal(creation(namespace({ [key]: 'a' })), says)
    assert.equal(update(namespace({}), namespace({ [key]: 'a' })), says)
    assert.equal(update(namespace({ [key]: 'a' }), namespace({ [key]: 'b' })), says)
    assert.equal(update(namespace({ [key]: 'a' }), namespace({ [key]: 'a', 'skerry.dev/project': 'harbour' })), undefined)
  })

test('as it is shipped, no labels of requests pass', () => {
  assert.equal(shipped.spec.variables.find(({ name }: { name: string }) => name === 'allowedLabels').expression, '[]')
  const object = namespace({ 'cost-centre': '4711' })
  assert.match(refusalOf(shipped, { operation: 'CREATE', resource: 'namespaces', username: agent, object }) ?? '', /only its own labels/)
})

test('annotations of others may stay, and may not come or change', () => {
  const of = (value: string) => namespace({}, { 'scheduler.alpha.kubernetes.io/node-selector': value })
  assert.match(update(namespace({}), of('a')) ?? '', /only its own annotations/)
  assert.match(update(of('a'), of('b')) ?? '', /only its own annotations/)
  assert.equal(update(of('a'), of('a')), undefined)
})

test('the service account of a project gets no annotation that other programs read', () => {
  const account = (annotations: object) =>
    ({
      ...core('ServiceAccount', 'default', 'project-harbour'),
      metadata: { name: 'default', namespace: 'project-harbour', annotations },
    }) as KubernetesObject
  const [mine, others] = [account({ 'skerry.dev/applied': 'a' }), account({ 'eks.amazonaws.com/role-arn': 'a' })]
  assert.equal(update(account({}), mine), undefined)
  assert.equal(update(others, others), undefined)
  for (const said of [creation(others), update(mine, others)]) assert.match(said ?? 'passes', /only its own annotations/)
})

test('nobody but the agent is concerned', () => {
  const object = core('Secret', 'loot', 'kube-system', { type: 'kubernetes.io/service-account-token' })
  for (const username of ['admin', 'system:serviceaccount:skerry:skerry-monitor', 'system:serviceaccount:kube-system:skerry-agent'])
    assert.equal(asked({ operation: 'CREATE', resource: 'secrets', object }, username), undefined)
})

test('fails closed, and denies', () => {
  assert.equal(policy.spec.failurePolicy, 'Fail')
  assert.deepEqual(binding.spec, { policyName: policy.metadata.name, validationActions: ['Deny'] })
})

/** What it may write and the policy does not look at, since RBAC names it, it is Skerry's own, or it steers nothing. */
const uncovered = [
  ...['projects', 'operations', 'registrations', 'retaineddatabases'], // Skerry's own kinds, wherever they are
  ...['configmaps', 'leases'], // in its own namespace, by name
  'events', // texts, in any namespace
]

test('covers every kind that the agent may write', () => {
  const manifest = parseAllDocuments(readFileSync('deploy/rbac/agent.yaml', 'utf8')).map((each) => each.toJS())
  const roles = manifest.filter(({ kind }) => ['ClusterRole', 'Role'].includes(kind))
  assert.equal(roles.length, 4)
  const writes = (verbs: string[]) => verbs.some((verb) => ['create', 'patch', 'update', 'delete'].includes(verb))
  const needed = roles.flatMap(({ rules }) =>
    rules.flatMap(({ verbs, resources }: { verbs: string[]; resources: string[] }) => (writes(verbs) ? resources : [])),
  )
  const covered = policy.spec.matchConstraints.resourceRules.flatMap(({ resources }: { resources: string[] }) => resources)
  const without = needed.filter((resource: string) => !covered.includes(resource) && !resource.endsWith('/status'))
  assert.deepEqual([...new Set(without)].toSorted(), uncovered.toSorted())
})

test('a ConfigMap or a Lease is written by name', () => {
  const manifest = parseAllDocuments(readFileSync('deploy/rbac/agent.yaml', 'utf8')).map((each) => each.toJS())
  type Rule = { resources: string[]; resourceNames?: string[]; verbs: string[] }
  const rules: Rule[] = manifest.flatMap(({ rules = [] }) => rules)
  const named = rules.filter(({ resources }) => resources.some((each) => ['configmaps', 'leases'].includes(each)))
  // RBAC knows no name of an object that is created other than by an apply. The Leases of nodes are only read.
  const unnamed = named.filter(
    ({ resourceNames, verbs }) => resourceNames === undefined && verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)),
  )
  assert.deepEqual(
    unnamed.map(({ resources, verbs }) => [resources, verbs]),
    [[['leases'], ['create']]],
  )
})
