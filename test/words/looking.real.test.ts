import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createLog } from '../../shared/log.ts'
import { freePort, until } from '../cluster/index.ts'
import { definitionNamed } from '../deploy/bootstrap.ts'
import { buildPrograms, type Installed, newToken, putDatabase, startInstalled, upgradeWith, valuesFor } from './installed.ts'
import { openScene } from './scene.ts'

// One story: a region is installed as the chart says, and looked at in every way that the texts name. Kubelets are a server before the
// API server (kubelets.ts): it has the logs of the programs, runs their commands, and forwards their ports.

const scene = await openScene('looking')
const { runner, read, make, programs } = scene
let installed: Installed | undefined
after(async () => {
  await installed?.stop()
  await scene.close()
})

const token = newToken()
const home = '/api/v1/namespaces/skerry'
let notes: string[] = []
/** What the notes of the chart say, which begins like this. */
const noted = (beginning: string) => notes.find((line) => line.startsWith(beginning)) ?? assert.fail(`the notes have no ${beginning}`)

test('the chart installs as its page says, and its notes let a caller in', async () => {
  const installedNow = await runner.run('helm install skerry deploy/chart --namespace skerry --create-namespace --set region.id=harbour-1')
  notes = installedNow.out.split('\n').flatMap((line) => (/^ {2}\S/.test(line) ? [line.trim()] : []))
  const hash = await runner.runShown(noted('token='))
  assert.match(hash.out, /^[0-9a-f]{64} /)
  await runner.runShown(noted('helm upgrade'), { values: { HASH: 'ab'.repeat(32) } })
  const secret = (await read(`${home}/secrets/skerry-agent-tokens`)) as { data?: Record<string, string> } | undefined
  assert.match(atob(secret?.data?.['tokens.yaml'] ?? ''), /abababab/)
  await runner.runShown(noted('kubectl -n skerry wait'))
  await runner.run('kubectl label namespace skerry pod-security.kubernetes.io/enforce=restricted')
  assert.equal((await read('/api/v1/namespaces/skerry'))?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
})

test('with its tunnel and a caller it runs, and has a project with a database', async () => {
  await writeFile(join(runner.folder, 'credentials.json'), '{"AccountTag":"a","TunnelSecret":"s"}')
  await runner.run('kubectl -n skerry create secret generic tunnel --from-file=credentials.json')
  await upgradeWith(scene, valuesFor(token, scene.standIns.database.url))
  await buildPrograms(runner.folder)
  installed = await startInstalled(scene, token)
  await putDatabase(installed)
  const exposed = await installed.client.call('PATCH', '/v1/tunnel', { body: { expose: { grafana: true } } })
  assert.equal(exposed.status, 200, exposed.text)
})

test('the notes lead a caller to the agent', async () => {
  await runner.runShown(noted('kubectl -n skerry get secret'))
  const port = await freePort() // another one of this machine, on which others may use this one
  const { out } = await runner.runShown([noted('kubectl -n skerry port-forward'), noted('curl')], {
    values: { '8443:8443': `${port}:8443`, 'localhost:8443': `localhost:${port}` },
    env: { token },
    between: untilOpen(port),
  })
  assert.match(out, /"id": ?"harbour-1"/)
})

test('a port of a pod is reached', async () => {
  const port = await freePort()
  const { out } = await runner.run(['kubectl -n skerry port-forward deploy/skerry-agent 9808', 'curl http://localhost:9808/readyz'], {
    values: { 'skerry-agent 9808': `skerry-agent ${port}:9808 &`, 'localhost:9808': `localhost:${port}` },
    between: untilOpen(port),
  })
  assert.match(out, /"ready":true/)
})

function untilOpen(port: number): string {
  return `for try in $(seq 100); do (: </dev/tcp/127.0.0.1/${port}) 2>/dev/null && break; sleep 0.1; done`
}

/** What is seen where it runs: the command, what it shows, and what its placeholders are. */
const sights: [command: string, shows: RegExp, values?: Record<string, string>][] = [
  ['kubectl -n skerry get pods,lease', /skerry-agent-[\s\S]*skerry-monitor-[\s\S]*lease.coordination.k8s.io\/skerry-agent/],
  ['kubectl get projects,operations,cratedbs -A', /harbour[\s\S]*op-0000000001[\s\S]*tide/],
  [
    "kubectl get operations -A -o custom-columns=NAME:.metadata.name,PHASE:.status.phase | grep -vE 'Succeeded|Failed|Superseded|Cancelled'",
    /^NAME +PHASE\n$/,
  ],
  ['kubectl get operations -A', /skerry +op-0000000001 .*Succeeded/],
  ['kubectl -n skerry get operations', /op-0000000001 .*Succeeded/],
  ['token=$(openssl rand -base64 32); printf %s "$token" | sha256sum', /^[0-9a-f]{64} /],
  ['kubectl -n skerry get lease skerry-agent -o yaml', /holderIdentity: \S/],
  ['kubectl -n skerry get lease skerry-monitor -o yaml', /holderIdentity: \S/],
  ['kubectl -n skerry describe pod', /Name: +skerry-agent-/],
  ['kubectl get crds', /cratedbs\.cloud\.crate\.io[\s\S]*projects\.skerry\.dev/],
  ['kubectl -n skerry logs deploy/cloudflared', /Registered tunnel connection/],
  ["kubectl --namespace skerry get configmap skerry-tunnel --output jsonpath='{.data}'", /grafana/],
  ['kubectl --namespace skerry get events --field-selector reason=Exposed', /Exposed/],
  ['kubectl -n skerry get pods -l app.kubernetes.io/name=skerry-agent', /skerry-agent-.* Running/],
  ['kubectl -n skerry get pods -l app.kubernetes.io/name=skerry-monitor', /skerry-monitor-.* Running/],
  ["kubectl get --raw '/readyz?verbose'", /ok/],
  ['kubectl -n skerry get certificates', /skerry-agent/],
  ['kubectl get certificates -A', /skerry-agent/],
  ['kubectl -n NAMESPACE get pods,cratedbs', /crate-data-hot-\S*0 [\s\S]*tide/, { NAMESPACE: 'project-harbour' }],
  ['kubectl -n NAMESPACE get pods', /crate-data-hot-\S*0 /, { NAMESPACE: 'project-harbour' }],
  ['kubectl get storageclass', /ALLOWVOLUMEEXPANSION[\s\S]*crate-premium/],
  ['kubectl get nodes', /node-1 +Ready/],
  ['kubectl describe node NAME', /Name: +node-1[\s\S]*KubeletReady/, { NAME: 'node-1' }],
  ['journalctl -u kubelet', /\S/],
  ['kubectl top pods -A --sort-by=memory', /skerry +skerry-agent +5m +80Mi/],
  ['df -h', /Avail/],
  ['kubectl get sparkplugnodes -A', /field +crane/],
  ['kubectl describe project NAME', /Name: +harbour[\s\S]*Ready/, { NAME: 'harbour' }],
]

test('what is to be looked at can be seen', async (t) => {
  const group = 'cert-manager.io/v1'
  await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definitionNamed('certificates.cert-manager.io'))
  const certificate = { apiVersion: group, kind: 'Certificate', metadata: { name: 'skerry-agent' } }
  await until('certificates are served', () => make(`/apis/${group}/namespaces/skerry/certificates`, certificate).catch(() => undefined))
  const node = { address: { group: 'field', node: 'crane' }, interval: 10 }
  await make('/api/v1/namespaces', { metadata: { name: 'field' } })
  await make('/apis/skerry.dev/v1/namespaces/field/sparkplugnodes', {
    ...{ apiVersion: 'skerry.dev/v1', kind: 'SparkplugNode', metadata: { name: 'crane' }, spec: node },
  })
  for (const program of ['agent', 'monitor'])
    await until(`somebody holds the Lease of the ${program}`, async () => {
      const lease = await read(`/apis/coordination.k8s.io/v1/namespaces/skerry/leases/skerry-${program}`)
      return lease?.spec?.holderIdentity
    })
  await until('the exposure is told', async () => (await scene.list(`${home}/events?fieldSelector=reason%3DExposed`)).length > 0)
  for (const [command, shows, values = {}] of sights)
    await t.test(command, async () => assert.match((await runner.run(command, { values })).out, shows))
})

test('how the region stands with its cloud is seen, and the site changes it', async () => {
  // This region has no cloud: what its agent would write is written here.
  const path = '/apis/skerry.dev/v1/namespaces/skerry/registrations'
  const kind = { apiVersion: 'skerry.dev/v1', kind: 'Registration', metadata: { name: 'cloud' } }
  await make(path, { ...kind, spec: { joined: true } })
  const pairing = { code: '7Q2M-X4KD', expires: '2026-01-31T12:10:00Z' }
  const status = { state: 'Unpaired', reason: 'PairingCode', message: 'Type it.', since: '2026-01-31T12:00:00Z', attempts: 0, pairing }
  await scene.change(`${path}/cloud/status`, { status: { ...status, cloud: 'https://cloud.example.org', thumbprint: 'a'.repeat(43) } })
  const look = 'kubectl -n skerry exec deploy/skerry-agent -- node /skerry/agent.mjs registration'
  assert.match((await runner.run(look, { code: 1 })).out, /^State +Unpaired [\s\S]*^Pairing code +7Q2M-X4KD, /m)
  assert.match((await runner.run('kubectl -n skerry get registration cloud')).out, /^cloud +Unpaired +PairingCode +7Q2M-X4KD /m)

  assert.match((await runner.run('kubectl -n skerry describe registration cloud')).out, /Message: +Type it\.[\s\S]*Code: +7Q2M-X4KD/)

  // As the notes of a chart with a cloud have it.
  assert.match((await runner.runShown('kubectl -n skerry get registrations -o wide')).out, /^cloud +Unpaired /m)

  await writeFile(join(runner.folder, 'word'), 'skerry1.a.b.c')
  await runner.run('kubectl -n skerry create secret generic skerry-join --from-file=token=FILE', { values: { FILE: 'word' } })
  for (const joined of [false, true]) {
    await runner.run(`kubectl -n skerry patch registration cloud --type merge -p '{"spec":{"joined":${joined}}}'`)
    assert.equal((await read(`${path}/cloud`))?.spec?.joined, joined)
  }
  await runner.run('kubectl -n skerry annotate registration cloud --overwrite skerry.dev/ask-again="$(date)"')
  assert.match((await read(`${path}/cloud`))?.metadata.annotations?.['skerry.dev/ask-again'] ?? '', /\d/)
})

test('the file of the region is fetched, and says that it has no secrets to open', async () => {
  await runner.run('kubectl -n skerry exec deploy/skerry-agent -- node /skerry/agent.mjs export > region.json')
  const file = JSON.parse(await readFile(join(runner.folder, 'region.json'), 'utf8'))
  assert.deepEqual([file.document.region.id, file.document.databases[0]?.body.id], ['harbour-1', 'tide'])
  await runner.run('openssl ecparam -name prime256v1 -genkey -noout -out recipient.pem')
  await runner.run('openssl ec -in recipient.pem -pubout -out recipient.pub')
  assert.match(await readFile(join(runner.folder, 'recipient.pub'), 'utf8'), /BEGIN PUBLIC KEY/)
  const opened = await runner.run('node agent.mjs open-export --key recipient.pem region.json', { code: 1 })
  assert.match(opened.err, /The file has no secrets/)
  await writeFile(join(runner.folder, 'secrets.json'), '{"kind":"SkerryRegionSecrets"}\n')
  await runner.run(
    `umask 077 && { printf '{"file":'; cat region.json; printf ',"secrets":'; cat secrets.json; printf '}'; } > region-with-secrets.json`,
  )
  const both = JSON.parse(await readFile(join(runner.folder, 'region-with-secrets.json'), 'utf8'))
  assert.deepEqual(both, { file, secrets: { kind: 'SkerryRegionSecrets' } })
  assert.equal((await stat(join(runner.folder, 'region-with-secrets.json'))).mode & 0o777, 0o600)
})

test('logs tell of errors once there are any, and of the container before', async () => {
  const errors = `kubectl -n skerry logs -l app.kubernetes.io/name=skerry-agent --prefix --since=1h --tail=-1 | grep '"level":"error"'`
  assert.equal((await runner.run(errors, { code: 1 })).out, '', 'nothing is wrong, and grep finds nothing')
  createLog({
    level: 'error',
    name: 'skerry-agent',
    destination: { write: (line) => void installed?.agentLog.push(line.trim()) },
  }).error('it broke')
  assert.match((await runner.run(errors)).out, /it broke/)

  programs.set('crate-', { log: (previous) => [previous ? 'OutOfMemoryError' : 'started'] })
  const [pod] = await scene.list('/api/v1/namespaces/project-harbour/pods')
  const values = { NAMESPACE: 'project-harbour', POD: pod?.metadata.name ?? '' }
  assert.equal((await runner.run('kubectl -n NAMESPACE logs POD --previous', { values })).out, 'OutOfMemoryError\n')
})

test('the programs in the pods answer', async () => {
  const agent = await runner.run('kubectl -n skerry exec deploy/skerry-agent -- node /skerry/agent.mjs preflight')
  assert.match(agent.out, /ok +the account has all \d+ rights that it needs[\s\S]*0 fail/)
  const monitor = 'kubectl -n skerry exec deploy/skerry-monitor -- node /skerry/monitor.mjs'
  assert.match((await runner.run(`${monitor} validate --config /etc/skerry/monitor.yaml`)).out, /^ok, \d+ check/)
  // Components of the region that are not here are down.
  assert.match((await runner.run(`${monitor} check --config /etc/skerry/monitor.yaml`, { code: 1 })).out, /up +kubernetes /)
  const { port } = new URL(scene.cluster.url)
  const tried = await runner.run(`${monitor} test KIND KEY=VALUE`, { values: { KIND: 'tcp', 'KEY=VALUE': `host=127.0.0.1 port=${port}` } })
  assert.match(tried.out, /up/)
})

test('a certificate is shown by whoever serves it', async () => {
  const { port } = new URL(installed?.url ?? '')
  const { out } = await runner.run('openssl s_client -connect HOST:PORT -showcerts </dev/null', {
    values: { HOST: 'localhost', PORT: port },
  })
  assert.match(out, /BEGIN CERTIFICATE/)
})

test('every command of this story was run', () => assert.deepEqual(runner.notRun(), []))
