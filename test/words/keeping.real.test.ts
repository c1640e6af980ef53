import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createServingCertificate } from '../cluster/certificates.ts'
import { until } from '../cluster/contract.ts'
import { createClient } from '../region/client.ts'
import { buildPrograms, callerOf, type Installed, newToken, putDatabase, startInstalled, upgradeWith, valuesFor } from './installed.ts'
import { openScene } from './scene.ts'

// One story: a region that runs is looked after as docs/operating.md says. What it tells to run is run from there, word by word.

const scene = await openScene('keeping')
const { runner, read, list, make, change } = scene
const token = newToken()
const values = valuesFor(token, scene.standIns.database.url)
const home = '/api/v1/namespaces/skerry'
let installed: Installed

before(async () => {
  await make('/api/v1/namespaces', { metadata: { name: 'skerry' } })
  await make(`${home}/secrets`, { metadata: { name: 'tunnel' }, data: { 'credentials.json': btoa('{}') } })
  await upgradeWith(scene, { region: { id: 'harbour-1' }, ...values })
  await buildPrograms(runner.folder)
  installed = await startInstalled(scene, token)
  await putDatabase(installed)
})
after(async () => {
  await installed?.stop()
  await scene.close()
})

const upgrade = 'helm upgrade skerry deploy/chart -n skerry --reset-then-reuse-values'
const revisions = async () => (await list(`${home}/secrets?labelSelector=owner%3Dhelm`)).length

/** The status of a read, by whoever trusts this authority and has this token. */
async function calls(ca: string, bearer = token): Promise<number | undefined> {
  const client = createClient({ url: installed.url, ca, token: bearer })
  try {
    return (await client.call('GET', '/v1/region')).status
  } catch {
    return undefined
  } finally {
    client.close()
  }
}

test('a deleted database is taken back with its volumes', async () => {
  const known = new Map((await list('/api/v1/persistentvolumes')).map(({ metadata }) => [metadata.name, metadata.uid]))
  const deleted = await installed.done('DELETE', '/v1/projects/harbour/databases/tide')
  const kept: string[] = deleted.result.retainedVolumes.map(({ volume }: { volume: string }) => volume)
  assert.ok(kept.length > 0)
  const shown = await runner.run('kubectl get persistentvolumes -l skerry.dev/project=harbour,skerry.dev/database=tide')
  assert.deepEqual([...shown.out.matchAll(/^(pvc-\S+)/gm)].map(([, name]) => name).sort(), kept.toSorted())
  for (const NAME of kept) {
    await runner.run(`kubectl patch persistentvolume NAME --type=merge -p '{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'`, {
      values: { NAME },
    })
  }
  await putDatabase(installed)
  for (const name of kept) {
    const volume = await read(`/api/v1/persistentvolumes/${name}`)
    assert.deepEqual([volume?.metadata.uid, volume?.status.phase], [known.get(name), 'Bound'], 'its claim got the volume that it had')
  }
})

test('a token is replaced by another one while both hold', async () => {
  const second = newToken()
  await upgradeWith(scene, { agent: { tokens: { list: [callerOf('cloud', token), callerOf('cloud-next', second)] } } })
  await installed.placeSecrets()
  await until('the new token holds', async () => (await calls(installed.ca, second)) === 200)
  assert.equal(await calls(installed.ca), 200)
})

test('an upgrade changes nothing that was given, and a rollback goes back', async () => {
  const before = await revisions()
  await runner.run(upgrade)
  assert.equal(await revisions(), before + 1)
  await runner.run('helm rollback skerry -n skerry')
  assert.equal(await revisions(), before + 2)
  assert.equal(await calls(installed.ca), 200)
})

test('a certificate is made anew, and taken up without a restart', async () => {
  await runner.run('kubectl -n skerry delete secret skerry-agent-tls')
  await runner.run(upgrade)
  const { 'ca.crt': ca = '' } = await installed.secret('skerry-agent-tls')
  assert.notEqual(ca, installed.ca)
  await installed.placeSecrets()
  await until('it is served', async () => (await calls(ca)) === 200)
  assert.equal(await calls(installed.ca), undefined, 'callers need the new authority')

  // cmctl marks the Certificate, and cert-manager, of which the test does the rest, writes the Secret.
  await runner.addProgram('cmctl', 'echo "$@" >>"$HOME/cmctl"')
  await runner.run('cmctl renew -n skerry skerry-agent')
  assert.equal(await readFile(join(runner.folder, 'cmctl'), 'utf8'), 'renew -n skerry skerry-agent\n')
  const renewed = await createServingCertificate()
  const data = { 'tls.crt': btoa(renewed.cert), 'tls.key': btoa(renewed.key), 'ca.crt': btoa(renewed.ca) }
  await change(`${home}/secrets/skerry-agent-tls`, { data })
  await installed.placeSecrets()
  await until('the renewed one is served', async () => (await calls(renewed.ca)) === 200)
  await runner.run('kubectl -n skerry delete secret skerry-agent-tls')
  await runner.run(upgrade)
  await installed.placeSecrets()
})

/** The pods of a Deployment that are there to stay. */
async function pods(name: string): Promise<string[]> {
  const found = await list(`${home}/pods?labelSelector=app.kubernetes.io%2Fname%3D${name}`)
  return found.flatMap(({ metadata }) => (metadata.deletionTimestamp === undefined ? [metadata.uid as string] : []))
}

async function restarts(name: string, command: string): Promise<void> {
  const before = await until(`${name} runs`, async () => {
    const all = await pods(name)
    return all.length === 2 && all
  })
  await runner.run(command)
  await until(`the pods of ${name} are others`, async () => {
    const now = await pods(name)
    return now.length === 2 && now.every((pod) => !before.includes(pod))
  })
}

test("the tunnel's credentials are replaced", async () => {
  const ID = '6ff42ae2-765d-4adf-8112-31c55c1551ef'
  // cloudflared asks Cloudflare, and writes what it got.
  await runner.addProgram('cloudflared', `printf '{"TunnelID":"%s"}' "$5" >"$4"`)
  await runner.run('cloudflared tunnel token --cred-file credentials.json ID', { values: { ID } })
  await runner.run(
    'kubectl -n skerry create secret generic SECRET --from-file=credentials.json --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -',
    { values: { SECRET: 'tunnel' } },
  )
  assert.deepEqual(JSON.parse((await installed.secret('tunnel'))['credentials.json'] ?? ''), { TunnelID: ID })
  await restarts('cloudflared', 'kubectl -n skerry rollout restart deployment cloudflared')
  await restarts('skerry-monitor', 'kubectl -n skerry rollout restart deployment skerry-monitor')
})

test('Grafana is exposed, and what was asked for is forgotten again', async () => {
  const { 'ca.crt': ca = '' } = await installed.secret('skerry-agent-tls')
  await until('the certificate is served', async () => (await calls(ca)) === 200)
  const client = createClient({ url: installed.url, ca, token })
  const exposed = async () => (await client.call('GET', '/v1/tunnel')).body.expose.grafana === true
  try {
    await runner.run(
      `curl -X PATCH $url/v1/tunnel -H "Authorization: Bearer $token" -H 'content-type: application/merge-patch+json' -d '{"expose":{"grafana":true}}'`,
      { env: await installed.environment(ca) },
    )
    await until('it is exposed', exposed)
    await runner.run('kubectl --namespace skerry delete configmap skerry-tunnel')
    await until('it is exposed no more', async () => !(await exposed()))
  } finally {
    client.close()
  }
})

test('with the namespace the ledger is lost, as is said, and neither a database nor a volume', async () => {
  await installed.stop()
  const before = await runner.bytes()
  assert.ok((await list('/apis/skerry.dev/v1/namespaces/skerry/operations')).length > 0)
  await runner.run('kubectl delete namespace skerry')
  assert.deepEqual(await list('/apis/skerry.dev/v1/namespaces/skerry/operations'), [])
  assert.deepEqual(await runner.bytes(), before)
  assert.ok(await read('/apis/skerry.dev/v1/projects/harbour'))
})

test('every command of this story was run', () => assert.deepEqual(runner.notRun(), []))
