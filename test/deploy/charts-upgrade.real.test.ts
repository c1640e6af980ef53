import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kubectl, startRealCluster, until } from '../cluster/index.ts'
import { bootstrap, packCharts, readComponents } from './bootstrap.ts'
import { readContract } from './charts.ts'
import { helm } from './helm.ts'

// What the real charts do to an installation that nobody prepared for it, the stand-ins do too: helm itself, and no script of ours.

const cluster = await startRealCluster()
const folder = await mkdtemp(join(tmpdir(), 'skerry-charts-upgrade-'))
const kubeconfig = cluster.kubeconfig()
const contract = await readContract()
const components = await readComponents()
const [before, pinned] = [await packCharts(folder, 'before'), await packCharts(folder)]
const strict = await packCharts(join(folder, 'strict'), 'pinned', { anyKubernetes: false })
const served = JSON.parse((await kubectl(kubeconfig, 'get', '--raw', '/version')).stdout)
/** Why an API server does not refuse the component: it is not too old for it. False if it is. */
const newEnough = (component: string): string | false => {
  const least = components.find(({ name }) => name === component)?.kubernetes ?? assert.fail(component)
  return Number.parseInt(served.minor, 10) >= Number(least.split('.')[1]) && `${served.gitVersion} is new enough for ${component}`
}
after(async () => {
  await cluster.stop()
  await rm(folder, { recursive: true, force: true })
})

function chartOf(component: string, charts: string): string {
  const { chart, version } = components.find(({ name }) => name === component) ?? assert.fail(component)
  return join(charts, `${chart}-${charts === before ? contract.charts[component]?.before.version : version}.tgz`)
}
/** Hooks are waited for, and nothing else is. */
async function upgrade(component: string, charts: string) {
  const { namespace } = components.find(({ name }) => name === component) ?? assert.fail(component)
  const args = ['upgrade', component, chartOf(component, charts), '--install', '--namespace', namespace, '--create-namespace']
  return helm([...args, '--values', `${bootstrap}/values/${component}.yaml`], { kubeconfig })
}
async function status(component: string): Promise<string> {
  const { stdout } = await helm(['list', '--all-namespaces', '--filter', `^${component}$`, '--output', 'json'], { kubeconfig })
  return JSON.parse(stdout)[0]?.status
}

test('definitions in a folder crds/ stay as they were, and an upgrade fails on the field that they do not know', async () => {
  const installed = await upgrade('prometheus', before)
  assert.equal(installed.code, 0, installed.stderr)
  for (const _ of ['the first time', 'and for ever']) {
    const { code, stderr } = await upgrade('prometheus', pinned)
    assert.notEqual(code, 0)
    assert.match(stderr, /hostNetwork/)
  }
  const shown = await helm(['show', 'crds', chartOf('prometheus', pinned)])
  const definitions = join(folder, 'definitions.yaml')
  await writeFile(definitions, shown.stdout)
  const applied = await kubectl(kubeconfig, 'apply', '--server-side', '--force-conflicts', '--filename', definitions)
  assert.equal(applied.code, 0, applied.stderr)
  // An old API server publishes what its definitions are a while after it took them.
  await until('the upgrade goes through', async () => (await upgrade('prometheus', pinned)).code === 0)
})

test('a hook that refuses an old Kubernetes leaves a release that failed', { skip: newEnough('flux') }, async () => {
  const { code, stderr } = await upgrade('flux', strict)
  assert.notEqual(code, 0)
  assert.match(stderr, /pre-install/)
  assert.equal(await status('flux'), 'failed')
})

test('a chart that wants a newer Kubernetes leaves nothing', { skip: newEnough('loki') }, async () => {
  const { code, stderr } = await upgrade('loki', strict)
  assert.notEqual(code, 0)
  assert.match(stderr, /kubeVersion.*incompatible/)
  assert.equal(await status('loki'), undefined)
})

test('the password of the first installation of Grafana holds on as long as its Secret does', async () => {
  const password = async () => {
    const { stdout } = await kubectl(kubeconfig, '-n', 'monitoring', 'get', 'secret', 'grafana', '-o', 'jsonpath={.data.admin-password}')
    return stdout
  }
  assert.equal((await upgrade('grafana', before)).code, 0)
  const first = await password()
  assert.notEqual(first, '')
  assert.equal((await upgrade('grafana', pinned)).code, 0)
  assert.equal(await password(), first)
  assert.equal((await helm(['uninstall', 'grafana', '--namespace', 'monitoring'], { kubeconfig })).code, 0)
  assert.equal((await upgrade('grafana', pinned)).code, 0)
  assert.notEqual(await password(), first)
})
