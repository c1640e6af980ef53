import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chart, helm, type Manifest, template } from './helm.ts'
import { kustomizePolicy } from './rendered.ts'
import { shapes } from './shapes.ts'

const isPolicy = ({ kind }: Manifest) => kind.startsWith('ValidatingAdmissionPolicy')
const policiesOf = async (values: object, version: string) =>
  (await template(values, version)).filter(isPolicy).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
const both = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'].map((kind) => `${kind} skerry-deletion-protection`)

const versions = [
  ...[{ version: '1.20.2' }, { version: '1.29.15' }, { version: '1.29.15-gke.100' }].map((each) => ({ ...each, expected: [] })),
  ...[{ version: '1.30.0' }, { version: '1.30.0-rc.1' }, { version: '1.30.14-eks-1' }, { version: '1.36.0' }].map((each) => ({
    ...each,
    expected: both,
  })),
]
for (const { version, expected } of versions)
  test(`${expected.length > 0 ? 'is rendered' : 'is not rendered'} for Kubernetes ${version}`, async () => {
    assert.deepEqual(await policiesOf(shapes.default, version), expected)
    assert.deepEqual(await policiesOf({ ...shapes.default, deletionProtection: { enabled: false } }, version), [], 'switched off')
  })

test('lets the agent pass by the namespace of the release', async () => {
  const { stdout } = await helm(['template', 'r', chart, '--namespace', 'elsewhere', '--kube-version', '1.30.0'], {
    values: shapes.default,
  })
  assert.match(stdout, /'system:serviceaccount:elsewhere:skerry-agent'/)
  assert.doesNotMatch(stdout, /'system:serviceaccount:skerry:/)
})

test('the file for kustomize is what the chart renders', async () => {
  const { path, text } = await kustomizePolicy()
  assert.equal(readFileSync(path, 'utf8'), text, 'rewrite it with: npm run render')
})
