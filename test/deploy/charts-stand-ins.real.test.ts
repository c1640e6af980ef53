import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { under, type Which } from '../../deploy/bootstrap/chart-contract.ts'
import { chartFacts } from '../../deploy/bootstrap/chart-facts.ts'
import { bootstrap, packCharts, readComponents } from './bootstrap.ts'
import { readContract } from './charts.ts'
import { helm, manifestsOf } from './helm.ts'

// The stand-ins are held to the contract by what they render, as the real ones are.

const folder = await mkdtemp(join(tmpdir(), 'skerry-stand-ins-'))
const contract = await readContract()
const components = (await readComponents()).filter(({ name }) => name !== 'skerry')
const packed = { pinned: await packCharts(folder), before: await packCharts(folder, 'before') }
const strict = join(folder, 'strict')
await packCharts(strict, 'pinned', { anyKubernetes: false })
after(() => rm(folder, { recursive: true, force: true }))

async function rendered(file: string, { name, namespace }: { name: string; namespace: string }, values: object = {}) {
  const args = ['template', name, file, '--namespace', namespace, '--include-crds', '--kube-version', '1.35.0']
  const { stdout, stderr, code } = await helm(args, { values })
  assert.equal(code, 0, stderr)
  return stdout
}

async function ours(name: string) {
  const file = join(bootstrap, 'values', `${name}.yaml`)
  return existsSync(file) ? parse(await readFile(file, 'utf8')) : {}
}

for (const which of ['pinned', 'before'] as Which[])
  for (const component of components) {
    const { name, chart, namespace } = component
    const known = contract.charts[name]?.[which]
    assert.ok(known, name)
    test(`the stand-in for ${chart} ${known.version} renders what the real one does`, async () => {
      const file = join(packed[which], `${chart}-${known.version}.tgz`)
      const text = await rendered(file, component, await ours(name))
      const metadata = { name: chart, version: known.version }
      const facts = chartFacts({ metadata, text, namespace, values: {}, ours: {} })
      const expected = under(known, await ours(name))
      for (const part of ['chart', 'workloads', 'services', 'definitions', 'secrets', 'claims'] as const)
        assert.deepEqual(facts[part], expected[part], part)
      const withImages = ({ images }: { images?: unknown }) => images !== undefined
      assert.deepEqual(facts.customs, known.customs.filter(withImages))
    })
  }

const packedAs = (name: string) => {
  const component = components.find((each) => each.name === name)
  assert.ok(component)
  return { component, file: join(packed.pinned, `${component.chart}-${component.version}.tgz`) }
}
async function objects(name: string, values: object) {
  const { component, file } = packedAs(name)
  return manifestsOf(await rendered(file, component, values))
}

test('values decide what they decide with the real ones', async () => {
  const kept = async (name: string, values: object) => {
    const definitions = (await objects(name, values)).filter(({ kind }) => kind === 'CustomResourceDefinition')
    return [definitions.length, definitions.filter(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'] === 'keep').length]
  }
  assert.deepEqual(await kept('cert-manager', {}), [0, 0])
  assert.deepEqual(await kept('cert-manager', { crds: { enabled: true } }), [6, 6])
  assert.deepEqual(await kept('cert-manager', { crds: { enabled: true, keep: false } }), [6, 0])
  assert.deepEqual(await kept('flux', {}), [14, 0])
  assert.deepEqual(await kept('flux', { crds: { annotations: { 'helm.sh/resource-policy': 'keep' } } }), [14, 14])
  assert.deepEqual(await kept('prometheus', { crds: { enabled: false } }), [0, 0])

  const environment = async (values: object) =>
    (await objects('crate-operator', values)).find(({ kind }) => kind === 'Deployment').spec.template.spec.containers[0].env
  const named = (env: { name: string; value: string }[], name: string) => env.find((each) => each.name === name)?.value
  assert.equal(named(await environment({}), 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS'), 'default')
  assert.equal(named(await environment({}), 'CRATEDB_OPERATOR_CLOUD_PROVIDER'), undefined, 'what is empty is left out')
  const changed = await environment({ env: { CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE: '8GiB', CRATEDB_OPERATOR_LOG_LEVEL: null } })
  assert.equal(named(changed, 'CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE'), '8GiB')
  assert.equal(named(changed, 'CRATEDB_OPERATOR_LOG_LEVEL'), undefined)

  const grafana = await objects('grafana', { persistence: { enabled: true }, deploymentStrategy: { type: 'Recreate' } })
  assert.equal(grafana.find(({ kind }) => kind === 'Deployment').spec.strategy.type, 'Recreate')
  assert.equal(
    (await objects('grafana', {})).find(({ kind }) => kind === 'PersistentVolumeClaim'),
    undefined,
  )
})

test('an old Kubernetes is refused where the real ones refuse it, when that is asked for', async () => {
  const refusals = new Map<string, string>()
  for (const { name, namespace, chart, version } of components) {
    const file = join(strict, 'charts', `${chart}-${version}.tgz`)
    const { stdout, stderr } = await helm(['template', name, file, '--namespace', namespace, '--kube-version', '1.24.0'], {
      values: await ours(name),
    })
    if (/incompatible with Kubernetes/.test(stderr)) refusals.set(name, 'chart')
    const policies = manifestsOf(stdout)
      .filter(({ kind }) => kind === 'Job')
      .map(({ spec }) => spec.template.spec.restartPolicy)
    // No API server takes a Job that always starts again.
    if (policies.includes('Always')) refusals.set(name, 'hook')
  }
  assert.deepEqual(Object.fromEntries(refusals), { prometheus: 'chart', loki: 'chart', grafana: 'chart', flux: 'hook' })
})
