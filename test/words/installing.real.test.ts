import assert from 'node:assert/strict'
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { installedTool, until } from '../cluster/index.ts'
import { createCloud, packCharts, withoutLeast } from '../deploy/bootstrap.ts'
import { commandsInProse } from './prose.ts'
import { openScene } from './scene.ts'

// One story: a region is installed and taken away by the scripts, as docs/installing.md says and as the scripts themselves say what to
// do. Charts are stand-ins, Skerry's is the real one; helm finds those of the repositories outside in a folder. A few components are
// enough: test/deploy installs all of them.

const scene = await openScene('installing')
const { runner, standIns, world, read, list, make, settled } = scene
const cloud = createCloud()
const token = cloud.token({ caller: 'ab'.repeat(32) })
const cwd = 'deploy/bootstrap'
const typed = 'y\n'
const components = ['flux', 'grafana', 'prometheus', 'skerry']
const bootstrap = join(runner.folder, cwd)

before(async () => {
  const charts = await packCharts(join(runner.folder, 'outside'))
  await cp(charts, join(runner.folder, 'dist'), { recursive: true, filter: (source) => !source.endsWith('.tgz') })
  await writeFile(join(runner.folder, 'helm.mjs'), helmOutside(await installedTool('helm'), charts))
  await runner.addProgram('helm', 'exec node "$HOME/helm.mjs" "$@"')
  const stanzas = (await readFile(join(bootstrap, 'components'), 'utf8')).split('\n\n')
  const kept = stanzas.filter((stanza) => [...components, 'ingress-nginx'].includes(stanza.split('\n')[0] ?? ''))
  await writeFile(join(bootstrap, 'components'), withoutLeast(`${kept.join('\n\n')}\n`))
})
after(() => scene.close())

/** Helm, for which a folder stands in for every repository: `NAME --repo URL --version 1` is NAME-1.tgz in it. */
function helmOutside(helm: string, charts: string): string {
  return `
import { spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
const given = process.argv.slice(2)
const take = (option) => {
  const at = given.indexOf(option)
  return at === -1 || !given.includes('--repo') && option !== '--repo' ? undefined : given.splice(at, 2)[1]
}
const at = given[0] === 'pull' ? 1 : 2
const version = given.includes('--repo') && take('--version')
if (version) {
  take('--ca-file')
  take('--repo')
  given[at] = ${JSON.stringify(charts)} + '/' + given[at] + '-' + version + '.tgz'
  if (given[0] === 'pull') {
    copyFileSync(given[at], given[given.indexOf('--destination') + 1] + '/' + given[at].split('/').pop())
    process.exit(0)
  }
}
process.exit(spawnSync(${JSON.stringify(helm)}, given, { stdio: 'inherit' }).status)
`
}

/** The releases of helm. */
async function releases(): Promise<string[]> {
  const found = await list('/api/v1/secrets?labelSelector=owner%3Dhelm,status%3Ddeployed')
  return found.map(({ metadata }) => metadata.labels?.name ?? '').sort()
}
/** What a script says is to be done, in the situation in which it says so. */
async function advice(command: string, options: Parameters<typeof runner.runAny>[1] = {}): Promise<string[]> {
  const { code, out, err } = await runner.runAny(command, { cwd, ...options, env: { SKERRY_TOKEN: token, ...options.env } })
  assert.notEqual(code, 0, out)
  return `${out}\n${err}`.split('\n').flatMap((line) => commandsInProse(line.trim()))
}
const only = (commands: string[]) => (commands.length === 1 ? (commands[0] as string) : assert.fail(commands.join('\n')))

test('a dry run changes nothing', async () => {
  const values = { 'skerry1.…': token }
  const { out } = await runner.run(['cd deploy/bootstrap', 'SKERRY_TOKEN=skerry1.… ./install.sh --dry-run'], { values })
  assert.match(out, /Nothing was changed\.\n$/)
})

test('what a token says is shown', async () => {
  const { out } = await runner.run('./install.sh --show-token', { cwd, env: { SKERRY_TOKEN: token } })
  assert.match(out, /^region +harbour-1/)
})

test('a region is installed, and the same command goes on', async () => {
  const values = { 'skerry1.…': token }
  const { out } = await runner.run('SKERRY_TOKEN=skerry1.… ./install.sh', { cwd, typed, values, loses: true })
  assert.deepEqual(await releases(), components, out)
  await settled('monitoring')
  const [pods = '', registration] = commandsInProse(out.trim().split(/\r?\n/).at(-1) ?? '')
  assert.match((await runner.runShown(pods)).out, /skerry-agent-/)
  // No agent runs here that would make it: looking.real.test.ts runs this one.
  assert.equal(registration, 'kubectl -n skerry get registration cloud')
  assert.match((await runner.run('./install.sh skerry1.…', { cwd, typed, values })).out, /Region harbour-1 is installed/)
})

test('what databases need is brought alone, and what an earlier version has brought can be taken away', async () => {
  const chart = join(runner.folder, 'earlier')
  await mkdir(join(chart, 'templates'), { recursive: true })
  await writeFile(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: ingress-nginx\nversion: 4.13.3\n')
  await writeFile(join(chart, 'templates/a.yaml'), 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: controller }\n')
  const label = 'app.kubernetes.io/part-of=skerry'
  await runner.runAny(`helm install ingress-nginx ${chart} --namespace ingress-nginx --create-namespace --labels ${label}`)
  const { out } = await runner.run('./install.sh --minimal', { cwd, typed, env: { SKERRY_TOKEN: token } })
  assert.deepEqual(
    [...out.matchAll(/\[\d+\/\d+\] (\S+):/g)].map(([, name]) => name),
    ['preflight', 'skerry'],
  )
  const commands = out.split('\n').flatMap((line) => (line.includes('If nothing of yours uses it') ? commandsInProse(line.trim()) : []))
  await runner.runShown(only(commands), { cwd, typed })
  assert.equal((await releases()).includes('ingress-nginx'), false)
})

test("Grafana's password, and what an earlier version's components are used for, can be seen", async () => {
  const secret = '/api/v1/namespaces/monitoring/secrets'
  const data = { 'admin-password': Buffer.from('from-the-first').toString('base64') }
  if ((await read(`${secret}/grafana`)) === undefined) await make(secret, { metadata: { name: 'grafana' }, data })
  const shown = `kubectl -n monitoring get secret grafana -o 'go-template={{ index .data "admin-password" | base64decode }}'`
  const { 'admin-password': kept } = (await read(`${secret}/grafana`))?.data ?? {}
  assert.equal((await runner.run(shown)).out.trim(), Buffer.from(kept, 'base64').toString())

  await make('/apis/networking.k8s.io/v1/namespaces/default/ingresses', {
    metadata: { name: 'quay' },
    spec: { defaultBackend: { service: { name: 'quay', port: { number: 80 } } } },
  })
  assert.match((await runner.run('kubectl get ingresses -A')).out, /quay/)
  const annotations = { 'replicator.v1.mittwald.de/replicate-to': 'other' }
  await make('/api/v1/namespaces/default/configmaps', { metadata: { name: 'copied', annotations } })
  assert.match((await runner.run('kubectl get secrets,configmaps -A -o yaml | grep replicator.v1.mittwald.de')).out, /replicate-to: other/)
})

test('storage classes are made like another one', async () => {
  const classes = '/apis/storage.k8s.io/v1/storageclasses'
  await make(classes, { metadata: { name: 'premium-rwo' }, provisioner: 'pd.csi.storage.gke.io' })
  const options = { cwd, typed: 'y\n', env: { SKERRY_TOKEN: token } }
  for (const [command, values] of [
    ['./install.sh --create-storage-classes default', {}],
    ['./install.sh --create-storage-classes NAME', { NAME: 'crate-standard' }],
    ['./install.sh --create-storage-classes premium-rwo', {}],
  ] as const) {
    await world.cluster.request({ method: 'DELETE', path: `${classes}/crate-premium` })
    await runner.runShown(command, { ...options, values })
    assert.ok(await read(`${classes}/crate-premium`), command)
  }
  const commands = await advice('./install.sh --yes --skip preflight --create-storage-classes none')
  assert.match((await runner.runShown(only(commands))).out, /crate-standard/)
})

test('without internet, and through a proxy', async () => {
  await runner.run('./install.sh --download charts', { cwd })
  const commands = await advice('./install.sh --yes --offline nowhere')
  await runner.runShown(only(commands), { cwd, values: { DIR: 'more' } })
  assert.deepEqual(await readdir(join(bootstrap, 'more')), await readdir(join(bootstrap, 'charts')))
  await cp(join(runner.folder, 'dist'), join(bootstrap, 'charts'), { recursive: true })
  const { out: images } = await runner.run('./install.sh --images', { cwd })
  assert.match(images, /^ghcr\.io\/skerry-dev\/skerry-agent:.*$/m)
  await runner.run('./install.sh --images --offline charts --cratedb 5.10.1 > images', { cwd })
  assert.equal(await readFile(join(bootstrap, 'images'), 'utf8'), images)
  for (const [name, text] of Object.entries({ 'credentials.json': '{}', 'prometheus-images.yaml': '{}', 'site-ca.pem': '' }))
    await writeFile(join(bootstrap, name), text)
  const values = { 'skerry1.…': token, ' …': '' }
  const way =
    'SKERRY_TOKEN=skerry1.… ./install.sh --offline charts --image-registry registry.site:5000 --tunnel-credentials credentials.json \\\n  --values prometheus=prometheus-images.yaml …'
  await runner.run(way, { cwd, typed, values })
  const agent = () => read('/apis/apps/v1/namespaces/skerry/deployments/skerry-agent')
  assert.match((await agent())?.spec.template.spec.containers[0].image, /^registry\.site:5000\//)
  await runner.run('./install.sh --offline DIR', { cwd, typed, env: { SKERRY_TOKEN: token }, values: { DIR: 'more' } })
  const proxied =
    'SKERRY_TOKEN=skerry1.… ./install.sh --http-proxy http://proxy.site:3128 --https-proxy http://proxy.site:3128 \\\n  --no-proxy .site,10.0.0.0/8 --ca-file site-ca.pem'
  await runner.run(proxied, { cwd, typed, values })
  assert.match(JSON.stringify((await agent())?.spec.template.spec.containers[0].env), /proxy\.site:3128/)
})

test('what the scripts say is to be done when they refuse can be done', async () => {
  await writeFile(join(bootstrap, 'token'), token, { mode: 0o644 })
  const { out } = await runner.runAny('./install.sh --token-file token --dry-run --only grafana --skip preflight', { cwd })
  await runner.runShown(only(commandsInProse(out.split('\n')[0] ?? '')), { cwd })
  assert.equal((await stat(join(bootstrap, 'token'))).mode & 0o777, 0o600)

  const now = Math.floor(Date.now() / 1000)
  for (const [issued, expires] of [
    [now - 7200, now - 3600],
    [now + 7200, now + 10_000],
  ] as const)
    await runner.runShown(only(await advice('./install.sh --yes', { env: { SKERRY_TOKEN: cloud.token({ issued, expires }) } })))

  await writeFile(join(runner.folder, 'nowhere'), scene.front.kubeconfig.replace(/(server: https:\/\/127\.0\.0\.1:)\d+/, '$11'))
  const unanswered = await advice('./install.sh --yes', { env: { KUBECONFIG: join(runner.folder, 'nowhere') } })
  assert.match((await runner.runShown(only(unanswered))).out, /Server Version/)
})

test('pods that do not start are described', async () => {
  standIns.kubelet.setFaults('grafana*', { neverReady: true })
  const pods = '/api/v1/namespaces/monitoring/pods'
  for (const { metadata } of await list(pods))
    if (metadata.name.startsWith('grafana')) await world.cluster.request({ method: 'DELETE', path: `${pods}/${metadata.name}` })
  await until('grafana is not ready', async () => {
    const grafana = await read('/apis/apps/v1/namespaces/monitoring/deployments/grafana')
    return !grafana?.status.readyReplicas
  })
  const commands = await advice('./install.sh --yes --skip preflight --only grafana --timeout 2')
  assert.match((await runner.runShown(only(commands))).out, /Name: +grafana-/)
  await runner.run('kubectl -n NAMESPACE describe pods', { values: { NAMESPACE: 'monitoring' } })
  standIns.kubelet.clearFaults()
})

test('a definition that cannot go is let go as the last resort, after a look at the volumes', async () => {
  const name = 'helmreleases.helm.toolkit.fluxcd.io'
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`
  const metadata = { name: 'crane', finalizers: ['finalizers.fluxcd.io'] }
  const held = { apiVersion: 'helm.toolkit.fluxcd.io/v2', kind: 'HelmRelease', metadata }
  await make('/apis/helm.toolkit.fluxcd.io/v2/namespaces/default/helmreleases', held)
  await world.cluster.request({ method: 'DELETE', path })
  const [look, last = ''] = await advice('./install.sh --yes --skip preflight --only flux --timeout 2')
  assert.equal(look, 'kubectl get persistentvolumes')
  await runner.runShown(last, { values: { NAMESPACE: 'default', NAME: 'crane' } })
  await until('the definition is gone', async () => (await read(path)) === undefined)
})

const volumes = async () => (await list('/api/v1/persistentvolumes')).map(({ metadata }) => metadata.uid).sort()

test('databases are deleted when that is asked for, and every volume stays', async () => {
  const labels = { 'app.kubernetes.io/managed-by': 'skerry' }
  await make('/api/v1/namespaces', { metadata: { name: 'project-harbour', labels: { ...labels, 'skerry.dev/project': 'harbour' } } })
  const resources = { limits: { cpu: 1, memory: '1Gi' }, heapRatio: 0.25, disk: { count: 1, size: '8GiB', storageClass: 'crate-standard' } }
  const spec = {
    cluster: { name: 'tide', imageRegistry: 'crate', version: '5.10.1' },
    nodes: { data: [{ name: 'hot', replicas: 1, resources }] },
  }
  const path = '/apis/cloud.crate.io/v1/namespaces/project-harbour/cratedbs'
  await make(path, { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB', metadata: { name: 'tide', labels }, spec })
  await until('its volumes are bound', async () => {
    const claims = await list('/api/v1/namespaces/project-harbour/persistentvolumeclaims')
    // One for data, one for heap dumps.
    return claims.length === 2 && claims.every(({ status }) => status?.phase === 'Bound')
  })
  const before = await volumes()
  assert.match((await runner.runAny('./uninstall.sh --yes', { cwd })).out, /Refused: databases exist/)
  const { out } = await runner.run('./uninstall.sh --delete-databases', { cwd, typed, loses: true })
  assert.deepEqual(await volumes(), before)
  assert.deepEqual(await list(path), [])
  assert.match(out, /What is left:[\s\S]*volume /)
  await runner.run('kubectl get namespaces')
})

test("after an uninstallation, Grafana's volume is taken back by the next installation", async () => {
  const [volume] = (await list('/api/v1/persistentvolumes')).filter(
    ({ metadata }) => metadata.annotations?.['skerry.dev/retained-from'] === 'monitoring/grafana',
  )
  assert.ok(volume)
  const { name, uid } = volume.metadata
  // Its claim has stayed too, and would be Lost by what follows: that is for a volume which alone is left.
  const at = '/api/v1/namespaces/monitoring/persistentvolumeclaims/grafana'
  await world.cluster.request({ method: 'DELETE', path: at })
  await until('its claim is gone', async () => (await read(at)) === undefined)
  await runner.runAny(`kubectl patch persistentvolume ${name} --type=merge -p '{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'`)
  await runner.run('SKERRY_TOKEN=skerry1.… ./install.sh', { cwd, typed, values: { 'skerry1.…': token }, loses: true })
  await until('its claim has it', async () => {
    const claim = await read(at)
    return claim?.status?.phase === 'Bound' && claim.spec.volumeName === name
  })
  assert.equal((await read(`/api/v1/persistentvolumes/${name}`))?.metadata.uid, uid)
})

test('sealing keys are saved, and brought back into a cluster that has lost them', async () => {
  const at = '/api/v1/namespaces/sealed-secrets/secrets'
  await make('/api/v1/namespaces', { metadata: { name: 'sealed-secrets' } })
  const labels = { 'sealedsecrets.bitnami.com/sealed-secrets-key': 'active' }
  await make(at, {
    metadata: { name: 'sealed-secrets-key4x2', labels },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': 'YQ==', 'tls.key': 'Yg==' },
  })
  const pod = { metadata: { labels: { app: 'sealed' } }, spec: { containers: [{ name: 'main', image: 'registry.example/own:1' }] } }
  const spec = { selector: { matchLabels: pod.metadata.labels }, template: pod }
  await make('/apis/apps/v1/namespaces/sealed-secrets/deployments', { metadata: { name: 'sealed-secrets' }, spec })
  await runner.run('kubectl -n sealed-secrets get secret -l sealedsecrets.bitnami.com/sealed-secrets-key -o yaml > sealing-keys.yaml')
  await world.cluster.request({ method: 'DELETE', path: `${at}/sealed-secrets-key4x2` })
  await runner.run(['kubectl apply -f sealing-keys.yaml', 'kubectl -n sealed-secrets rollout restart deployment/sealed-secrets'])
  assert.equal((await read(`${at}/sealed-secrets-key4x2`))?.data?.['tls.key'], 'Yg==')
})

test('a region without databases is taken away; its volumes stay until they are deleted by name', async () => {
  await runner.run('./uninstall.sh --dry-run', { cwd })
  const before = await volumes()
  await runner.run('./uninstall.sh --only NAME', { cwd, typed, values: { NAME: 'prometheus' } })
  assert.deepEqual(await releases(), ['flux', 'grafana', 'skerry'])
  await make('/api/v1/namespaces/kube-system/services', { metadata: { name: 'prometheus-kubelet' }, spec: { clusterIP: 'None' } })
  await runner.run('kubectl -n kube-system delete service prometheus-kubelet')
  await runner.run('./uninstall.sh', { cwd, typed, loses: true })
  assert.deepEqual(await volumes(), before)
  assert.deepEqual(await releases(), [])
  await runner.run('kubectl get namespace NAME -o yaml', { values: { NAME: 'default' } })
  const bound = (await list('/api/v1/persistentvolumes')).find(({ status }) => status?.phase === 'Bound')
  const { namespace = '', name: claim = '' } = bound?.spec.claimRef ?? {}
  assert.equal(`${namespace}/${claim}`, 'monitoring/grafana')
  await runner.run('kubectl -n NAMESPACE delete persistentvolumeclaim NAME', { values: { NAMESPACE: namespace, NAME: claim } })
  assert.deepEqual(await volumes(), before)
  await runner.run('kubectl delete persistentvolume NAME', { values: { NAME: bound?.metadata.name ?? '' } })
  assert.deepEqual(
    await volumes(),
    before.filter((uid) => uid !== bound?.metadata.uid),
  )
})

test('every command of this story was run', () => assert.deepEqual(runner.notRun(), []))
