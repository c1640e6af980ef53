import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chart, helm, type Manifest, template } from './helm.ts'
import { kustomizeFilesBeside } from './rendered.ts'
import { shapes } from './shapes.ts'

const isPolicy = ({ kind }: Manifest) => kind.startsWith('ValidatingAdmissionPolicy')
const policiesOf = async (values: object, version: string) =>
  (await template(values, version)).filter(isPolicy).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
const kinds = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding']
const boundary = kinds.map((kind) => `${kind} skerry-agent-boundary`)
const protection = kinds.map((kind) => `${kind} skerry-deletion-protection`)
const all = [...boundary, ...protection].toSorted()

const versions = [
  ...[{ version: '1.20.2' }, { version: '1.29.15' }, { version: '1.29.15-gke.100' }].map((each) => ({ ...each, expected: [] })),
  ...[{ version: '1.30.0' }, { version: '1.30.0-rc.1' }, { version: '1.30.14-eks-1' }, { version: '1.36.0' }].map((each) => ({
    ...each,
    expected: all,
  })),
]
for (const { version, expected } of versions)
  test(`${expected.length > 0 ? 'is rendered' : 'is not rendered'} for Kubernetes ${version}`, async () => {
    assert.deepEqual(await policiesOf(shapes.default, version), expected)
    const without = (section: string) => policiesOf({ ...shapes.default, [section]: { enabled: false } }, version)
    const left = (names: string[]) => (expected.length > 0 ? names : [])
    assert.deepEqual(await without('deletionProtection'), left(boundary), 'switched off')
    assert.deepEqual(await without('agentBoundary'), left(protection), 'switched off')
  })

test('namespaces are closed on every version, as they are given', async () => {
  const closed = async (values: object, version: string) =>
    (await template(values, version)).flatMap(({ kind, metadata, roleRef, subjects }) =>
      kind === 'RoleBinding' && metadata.name === 'skerry-agent-project' ? [[metadata.namespace, roleRef.name, subjects]] : [],
    )
  const usual = [['kube-system', 'skerry-closed-namespace', undefined]]
  for (const version of ['1.20.2', '1.36.0']) assert.deepEqual(await closed(shapes.default, version), usual)
  const given = { ...shapes.default, agentBoundary: { enabled: false, closedNamespaces: ['flux-system', 'vault'] } }
  assert.deepEqual(
    (await closed(given, '1.36.0')).map(([namespace]) => namespace),
    ['flux-system', 'vault'],
  )
})

test('lets the agent pass by the namespace of the release', async () => {
  const { stdout } = await helm(['template', 'r', chart, '--namespace', 'elsewhere', '--kube-version', '1.30.0'], {
    values: shapes.default,
  })
  assert.match(stdout, /'system:serviceaccount:elsewhere:skerry-agent'/)
  assert.doesNotMatch(stdout, /'system:serviceaccount:skerry:/)
})

test('the files beside the base for kustomize are what the chart renders', async () => {
  const files = Object.entries(await kustomizeFilesBeside())
  assert.deepEqual(
    files.map(([path]) => path.replace('deploy/kustomize/', '')),
    ['deletion-protection.yaml', 'agent-boundary.yaml', 'closed-namespaces.yaml', 'node-clocks.yaml'],
  )
  for (const [path, text] of files) assert.equal(readFileSync(path, 'utf8'), text, 'rewrite it with: npm run render')
})
