import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { installedTool, until } from '../cluster/index.ts'
import { openScene, succeeded } from './bootstrap-scene.ts'
import { helm } from './helm.ts'

// What is not needed does not keep a region from coming: a repository that is gone, a cluster that is too old, pods that do not start. What
// is left out is said, and what somebody else has is found in whatever way it was made.

const scene = await openScene()
const { bench, http, admin, kubelet, charts, components, list, token, kubeconfig, install, uninstall, releases, deployment } = scene
after(() => scene.close())

const needed = ['crate-operator deployed', 'crate-operator-crds deployed', 'skerry deployed']
const skipping = (...names: string[]) => names.flatMap((name) => ['--skip', name])
const others = components.filter(({ role }) => role === 'usual').map(({ name }) => name)
const without = (...kept: string[]) => skipping(...others.filter((name) => !kept.includes(name)))

/** A server of all charts below /here; what is elsewhere it does not know, as of a repository that has moved. */
async function serveCharts() {
  assert.equal((await helm(['repo', 'index', charts])).code, 0)
  const server = createServer(async (request, response) => {
    const path = (request.url ?? '').replace(/^\/here\//, '')
    const content = path === request.url ? undefined : await readFile(join(charts, path)).catch(() => undefined)
    response.writeHead(content === undefined ? 404 : 200).end(content)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const gone = join(bench.folder, 'components-with-one-gone')
  const text = (await readFile(list, 'utf8')).replaceAll(/https:\/\/\S+/g, `${url}/here`)
  await writeFile(gone, text.replace(/(sealed-secrets\n[\s\S]*?repository +)\S+/, `$1${url}/moved`))
  return { list: gone, close: () => server.close() }
}

test('only what databases need is brought with --minimal, heap dumps in a class that is there', async () => {
  const ran = await install(['--minimal'])
  succeeded(ran)
  assert.deepEqual(await releases(), needed)
  const [container] = (await deployment('crate-operator', 'crate-operator')).body.spec.template.spec.containers
  const variables = Object.fromEntries(container.env.map(({ name, value }: { name: string; value: string }) => [name, value]))
  assert.equal(variables.CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS, 'crate-premium')
  assert.equal(variables.CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE, '16GiB')
  assert.equal((await bench.run('install.sh', [token, '--minimal', '--only', 'flux'])).code, 2)
  const listed = await bench.run('install.sh', ['--list', '--minimal'])
  assert.deepEqual(listed.out.match(/^\S+/gm), ['crate-operator-crds', 'crate-operator', 'skerry'])
})

test('an operator keeps the class and size of heap dumps that it has, unless that class is not there', async () => {
  const path = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator'
  const set = async (storageClass: string, size: string) => {
    const env = { CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS: storageClass, CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE: size }
    const listed = Object.entries(env).map(([name, value]) => ({ name, value }))
    const body = { spec: { template: { spec: { containers: [{ name: 'crate-operator', env: listed }] } } } }
    await admin.request({ method: 'PATCH', path, contentType: 'application/strategic-merge-patch+json', body })
  }
  const get = async () => {
    const [{ env }] = (await http.get(path)).body.spec.template.spec.containers
    return env.filter(({ name }: { name: string }) => name.includes('DEBUG_VOLUME')).map(({ value }: { value: string }) => value)
  }
  await set('crate-local', '128GiB')
  succeeded(await install(['--only', 'crate-operator', '--reset-values', '--no-wait']))
  assert.deepEqual((await get()).sort(), ['128GiB', 'crate-local'])
  await set('default-of-elsewhere', '128GiB')
  succeeded(await install(['--only', 'crate-operator', '--reset-values', '--no-wait']))
  assert.deepEqual((await get()).sort(), ['16GiB', 'crate-premium'])
})

const unread = [
  { what: 'the settings of the operator', kubectl: "*' get deployment crate-operator '*) echo 'cut off' >&2; exit 1 ;;" },
  {
    what: 'the storage classes',
    kubectl: "*' get storageclass '*) exit ;;\n  *' get storageclasses '*) echo 'cut off' >&2; exit 1 ;;",
  },
]
for (const { what, kubectl } of unread) {
  test(`${what} that cannot be read are not taken for none: the operator keeps what it has`, async () => {
    const path = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator'
    const before = (await http.get(path)).body.spec
    const tools = await mkdtemp(join(bench.folder, 'unread-'))
    const text = `#!/bin/sh\ncase " $* " in\n  ${kubectl}\nesac\nexec '${await installedTool('kubectl')}' "$@"\n`
    await writeFile(join(tools, 'kubectl'), text, { mode: 0o755 })
    const args = ['--only', 'crate-operator', '--skip', 'preflight', '--reset-values', '--no-wait']
    const ran = await install(args, { env: { PATH: `${tools}:${bench.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin` } })
    assert.equal(ran.code, 1)
    assert.match(ran.out, new RegExp(`FAILED after \\d+ s: ${what} cannot be read\\n {9}cut off\\n`))
    assert.deepEqual((await http.get(path)).body.spec, before)
  })
}

test('a repository that is gone keeps neither Skerry nor a download from coming, and the end tells of it', async () => {
  const server = await serveCharts()
  try {
    const args = [token, '--yes', '--skip', 'preflight', '--no-wait', '--components', server.list, ...without('sealed-secrets', 'alloy')]
    const ran = await bench.run('install.sh', args, { kubeconfig })
    assert.equal(ran.code, 4, ran.out)
    assert.match(ran.out, /\] sealed-secrets.*\n {7}FAILED .*: its chart, sealed-secrets [\d.]+ of http:.*moved, is not available\n.*404/)
    assert.match(ran.out, /What to do: check the proxy .*\n {7}Continuing without it\.[\s\S]*\] skerry: .*\n {7}upgraded/)
    assert.match(
      ran.out,
      /Region harbour-1 is installed.*\nSkipped, for the reasons above:\n {7}sealed-secrets: its chart, .* is not available\n/,
    )
    assert.deepEqual(await releases(), ['alloy deployed', ...needed])

    const kept = join(bench.folder, 'kept')
    const downloaded = await bench.run('install.sh', [
      '--download',
      kept,
      '--components',
      server.list,
      ...without('sealed-secrets', 'alloy'),
    ])
    assert.equal(downloaded.code, 4, downloaded.err)
    assert.match(downloaded.err, /404[\s\S]*Skipped, for the reasons above:\n {7}sealed-secrets: its chart is not available/)
    assert.deepEqual((await readdir(kept)).map((name) => name.replace(/-v?\d.*/, '')).sort(), [
      'alloy',
      'crate-operator',
      'crate-operator-crds',
      'skerry',
    ])
  } finally {
    server.close()
  }
})

test('where databases need what is not available, it ends there', async () => {
  const empty = join(bench.folder, 'none')
  const args = [token, '--yes', '--skip', 'preflight', '--only', 'crate-operator', '--reset-values', '--components', list]
  const none = await bench.run('install.sh', [...args, '--offline', '/var/empty'], { kubeconfig })
  assert.equal(none.code, 2)
  assert.match(none.err, /there is no directory \/var\/empty/)
  await mkdir(empty)
  const ran = await bench.run('install.sh', [...args, '--offline', empty], { kubeconfig })
  assert.equal(ran.code, 1)
  assert.match(
    ran.out,
    /FAILED .* is not available\n {9}there is no .*\/crate-operator-[\d.]+\.tgz\n[\s\S]*Then run the same command again/,
  )
})

test('a component that the cluster is too old for is left out with the reason, before anything of it is made', async () => {
  const { major, minor } = (await http.get('/version')).body
  const [here, next] = [`${major}.${Number.parseInt(minor, 10)}`, `${major}.${Number.parseInt(minor, 10) + 1}`]
  const demanding = join(bench.folder, 'components-of-the-next-kubernetes')
  await writeFile(demanding, (await readFile('deploy/bootstrap/components', 'utf8')).replaceAll(/^( +kubernetes +).*$/gm, `$1${next}`))
  const args = [token, '--yes', '--offline', charts, '--skip', 'preflight', '--components', demanding]
  const ran = await bench.run('install.sh', [...args, '--no-wait', '--skip', 'crate-operator'], { kubeconfig })
  assert.equal(ran.code, 4, ran.out)
  for (const { name, chart, version } of components.filter(({ role, kubernetes }) => role === 'usual' && kubernetes !== '1.20')) {
    assert.match(ran.out, new RegExp(`\\] ${name}: .*\n {7}skipped: ${chart} ${version} needs Kubernetes ${next}, and this is ${here} `))
    assert.match(ran.out, new RegExp(`Skipped, for[\\s\\S]*\n {7}${name}: ${chart} ${version} needs Kubernetes ${next}`))
  }
  assert.equal((await http.get('/api/v1/namespaces/flux-system')).status, 404)
  const part = await bench.run('install.sh', [...args, '--only', 'crate-operator'], { kubeconfig })
  assert.equal(part.code, 1, part.out)
  assert.match(part.out, new RegExp(`FAILED .*: crate-operator 2[\\d.]+ needs Kubernetes ${next}, and this is ${here}\n`))
})

test('pods of one that is not needed that do not start keep no others', async () => {
  kubelet.setFaults('monitoring/grafana*', { neverReady: true })
  // Time for those that do start.
  const ran = await install(['--timeout', '20', ...without('grafana', 'prometheus')])
  assert.equal(ran.code, 4, ran.out)
  assert.match(ran.out, /FAILED after \d+ s: deployment\/grafana does not become ready[\s\S]*\] skerry: .*\n {7}upgraded/)
  assert.match(ran.out, /Skipped, for the reasons above:\n {7}grafana: deployment\/grafana does not become ready\n/)
  kubelet.clearFaults()
  succeeded(await install([...without('grafana', 'prometheus')]))
})

test('where Prometheus and Grafana come with us, they have our monitors, rules and dashboards', async () => {
  const rules = await http.get('/apis/monitoring.coreos.com/v1/namespaces/skerry/prometheusrules')
  assert.ok(rules.body.items.length > 0)
  const monitors = await http.get('/apis/monitoring.coreos.com/v1/namespaces/skerry/podmonitors')
  assert.ok(monitors.body.items.length > 0)
  const dashboards = await http.get('/api/v1/configmaps?labelSelector=grafana_dashboard')
  assert.ok(dashboards.body.items.length > 0)
  succeeded(await uninstall(['--only', 'grafana', '--only', 'prometheus']))
  succeeded(await install(['--only', 'skerry', '--no-wait']))
  await until(
    'dashboards go with Grafana',
    async () => (await http.get('/api/v1/configmaps?labelSelector=grafana_dashboard')).body.items.length === 0,
  )
})

test('what an earlier version brought and this one does not is told of, and can be taken away', async () => {
  // Under the name and the mark that it had: what is in it is no matter.
  const { code, stderr } = await helm(
    [
      'install',
      'ingress-nginx',
      join(charts, 'alloy-1.11.1.tgz'),
      '-n',
      'ingress-nginx',
      '--create-namespace',
      '--labels',
      'app.kubernetes.io/part-of=skerry',
    ],
    { kubeconfig },
  )
  assert.equal(code, 0, stderr)
  const ran = await install(['--only', 'skerry', '--no-wait'])
  succeeded(ran)
  assert.match(
    ran.out,
    /ingress-nginx was installed by an earlier version, and this one does not upgrade it: retired in March .*\n.*\.\/uninstall\.sh --only ingress-nginx\n/,
  )
  succeeded(await uninstall(['--only', 'ingress-nginx']))
  assert.ok(!(await releases()).includes('ingress-nginx deployed'))
})

/** Who has installed what without helm, by the labels that these have: the source of each is named beside it. */
const foreign = {
  // kube-prometheus/manifests/prometheusOperator-deployment.yaml
  prometheus: [
    'deployments',
    {
      'app.kubernetes.io/component': 'controller',
      'app.kubernetes.io/name': 'prometheus-operator',
      'app.kubernetes.io/part-of': 'kube-prometheus',
    },
  ],
  // sealed-secrets' controller.yaml of its releases
  'sealed-secrets': ['deployments', { name: 'sealed-secrets-controller' }],
  // the chart loki-stack
  loki: ['statefulsets', { app: 'loki', chart: 'loki-2.16.0', heritage: 'Helm', release: 'logs' }],
  // kube-prometheus/manifests/grafana-deployment.yaml
  grafana: [
    'deployments',
    { 'app.kubernetes.io/component': 'grafana', 'app.kubernetes.io/name': 'grafana', 'app.kubernetes.io/part-of': 'kube-prometheus' },
  ],
  // cert-manager.yaml of its releases
  'cert-manager': [
    'deployments',
    { app: 'cert-manager', 'app.kubernetes.io/component': 'controller', 'app.kubernetes.io/name': 'cert-manager' },
  ],
} as const

test('what somebody else has installed without helm is found, and left alone', async () => {
  for (const [name, [kind, labels]] of Object.entries(foreign)) {
    const template = { metadata: { labels: { its: name } }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
    const spec = { selector: { matchLabels: { its: name } }, template, ...(kind === 'statefulsets' && { serviceName: name }) }
    const made = await http.post(`/apis/apps/v1/namespaces/kube-system/${kind}`, { metadata: { name: `own-${name}`, labels }, spec })
    assert.equal(made.status, 201, JSON.stringify(made.body))
  }
  succeeded(await uninstall(['--only', 'sealed-secrets', '--only', 'loki']))
  const ran = await install(['--no-wait', '--skip', 'flux', '--skip', 'alloy'])
  succeeded(ran)
  for (const name of Object.keys(foreign))
    assert.match(
      ran.out,
      new RegExp(`\\] ${name}: .*\n {7}already installed as kube-system/own-${name}, not by this installer: left alone`),
    )
})
