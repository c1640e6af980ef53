import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { stringify } from 'yaml'
import { createServingCertificate } from '../cluster/index.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm } from './helm.ts'

// One story: what a region was told once holds on when it is brought up to date, unless it is told otherwise.

const scene = await openScene()
const { bench, charts, kubeconfig, install } = scene
after(() => scene.close())

async function valuesOf(name: string, namespace: string) {
  const { stdout } = await helm(['get', 'values', name, '-n', namespace, '-o', 'json'], { kubeconfig })
  return JSON.parse(stdout)
}
async function valuesFile(name: string, values: object): Promise<string> {
  await writeFile(join(bench.folder, name), stringify(values))
  return join(bench.folder, name)
}
const skerry = ['--only', 'skerry', '--no-wait']
const second = { name: 'second', sha256: 'cd'.repeat(32), scopes: ['region:read'] }

test('values, registry, proxy and authorities of the first run are those of the next', async () => {
  const ca = join(bench.folder, 'ca.pem')
  await writeFile(ca, (await createServingCertificate()).ca)
  // Over what the token says, too: a caller beside the cloud.
  const values = await valuesFile('values.yaml', { agent: { replicas: 1, tokens: { list: [second] } }, monitor: { replicas: 1 } })
  const way = ['--https-proxy', 'http://proxy.example:3128', '--no-proxy', '.site.example', '--ca-file', ca]
  succeeded(await install([...skerry, '--values', values, '--image-registry', 'registry.example', ...way]))
  const first = await valuesOf('skerry', 'skerry')
  assert.equal(first.agent.replicas, 1)
  succeeded(await install(skerry))
  assert.deepEqual(await valuesOf('skerry', 'skerry'), first)
})

test('what is told now goes before what was told then, and the rest holds on', async () => {
  const values = await valuesFile('more.yaml', { agent: { replicas: 3 } })
  succeeded(
    await install([...skerry, '--values', values, '--image-registry', 'other.example', '--http-proxy', 'http://proxy.example:3129']),
  )
  for (const _ of ['now', 'the next time']) {
    const { agent, monitor, imageRegistry, proxy } = await valuesOf('skerry', 'skerry')
    assert.deepEqual([agent.replicas, monitor.replicas, imageRegistry], [3, 1, 'other.example'])
    assert.deepEqual(agent.tokens.list, [second])
    assert.deepEqual(proxy, { http: 'http://proxy.example:3129', https: 'http://proxy.example:3128', noProxy: ['.site.example'] })
    succeeded(await install(skerry))
  }
})

test('values that helm was given by hand hold on; what an earlier token said does not', async () => {
  const byHand = [
    'upgrade',
    'skerry',
    'deploy/chart',
    '-n',
    'skerry',
    '--reset-then-reuse-values',
    '--labels',
    'app.kubernetes.io/part-of=skerry',
  ]
  const upgraded = await helm(byHand, {
    kubeconfig,
    values: { clusterDomain: 'site.local', cloudflared: { grafana: { hostname: 'g.example' } } },
  })
  assert.equal(upgraded.code, 0, upgraded.stderr)
  const other = bench.cloud.token({ region: 'harbour-1', name: 'Harbour, west' })
  succeeded(await bench.run('install.sh', [other, '--yes', '--offline', charts, '--skip', 'preflight', ...skerry], { kubeconfig }))
  const { region, clusterDomain, cloudflared } = await valuesOf('skerry', 'skerry')
  assert.deepEqual([region.name, clusterDomain, cloudflared.enabled], ['Harbour, west', 'site.local', false])
  const reset = await bench.run('install.sh', [other, '--yes', '--offline', charts, '--skip', 'preflight', ...skerry, '--reset-values'], {
    kubeconfig,
  })
  succeeded(reset)
  const { agent, imageRegistry, monitor } = await valuesOf('skerry', 'skerry')
  assert.deepEqual([agent.tokens.list, imageRegistry, monitor], [[], undefined, undefined], 'nobody of an earlier token may call')
})

test('a Secret of callers takes the place of the list, which must be empty', async () => {
  const alone = await valuesFile('callers-alone.yaml', { agent: { tokens: { existingSecret: 'callers' } } })
  const refused = await install([...skerry, '--values', alone])
  assert.equal(refused.code, 1)
  assert.match(refused.out, /agent\.tokens\.list and agent\.tokens\.existingSecret cannot be combined/)
  const tokens = { existingSecret: 'callers', list: [] }
  succeeded(await install([...skerry, '--values', await valuesFile('callers.yaml', { agent: { tokens } })]))
  succeeded(await install(skerry))
  assert.deepEqual((await valuesOf('skerry', 'skerry')).agent.tokens, tokens)
})

test('a value of the user goes before ours at the next upgrade of a component, too', async () => {
  const values = await valuesFile('loki.yaml', { singleBinary: { persistence: { size: '50Gi' } } })
  succeeded(await install(['--only', 'loki', '--no-wait', '--values', `loki=${values}`]))
  const more = await valuesFile('loki-more.yaml', { loki: { structuredConfig: {} }, tenants: 2 })
  succeeded(await install(['--only', 'loki', '--no-wait', '--values', `loki=${more}`]))
  const { singleBinary, tenants } = await valuesOf('loki', 'monitoring')
  assert.deepEqual([singleBinary.persistence.size, singleBinary.replicas, tenants], ['50Gi', 1, 2])
})
