import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createServingCertificate, until } from '../cluster/index.ts'
import { createClient } from '../region/client.ts'
import { buildPrograms, callerOf, type Installed, newToken, putDatabase, startInstalled, upgradeWith, valuesFor } from './installed.ts'
import { openScene } from './scene.ts'

// One story: a region that runs is looked after as docs/operating.md says. What it tells to run is run from there, word by word.

const scene = await openScene('keeping')
const { runner, read, list, make, change, settled } = scene
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

const database = '/apis/cloud.crate.io/v1/namespaces/project-harbour/cratedbs/tide'
const release = `kubectl patch persistentvolume NAME --type=merge -p '{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'`

/** Takes the volumes back as the page says, and puts the database again: its claims have these volumes then. */
async function takeBack(volumes: string[]): Promise<void> {
  assert.ok(volumes.length > 0)
  for (const NAME of volumes) await runner.run(release, { values: { NAME } })
  await putDatabase(installed)
  await settled('project-harbour')
  for (const name of volumes) assert.equal((await read(`/api/v1/persistentvolumes/${name}`))?.status.phase, 'Bound', name)
}
const namesIn = (shown: string) => [...shown.matchAll(/^(pvc-\S+)/gm)].map(([, name = '']) => name).sort()

test('a deleted database is taken back with its volumes', async () => {
  const deleted = await installed.done('DELETE', '/v1/projects/harbour/databases/tide')
  await settled('project-harbour', 0)
  const kept = deleted.result.retainedVolumes.map(({ volume }: { volume: string }) => volume).sort()
  const shown = await runner.run('kubectl get persistentvolumes -l skerry.dev/project=harbour,skerry.dev/database=tide')
  assert.deepEqual(namesIn(shown.out), kept)
  await takeBack(kept)
})

test('a database that somebody deletes leaves an event and its volumes', async () => {
  await runner.runAny('kubectl -n project-harbour delete cratedb tide')
  const events = 'kubectl --namespace skerry get events --field-selector reason=DeletedOutside'
  await until('it is recorded', async () => /tide/.test((await runner.runAny(events)).out))
  await until('it is gone', async () => (await read(database)) === undefined)
  await settled('project-harbour', 0)
  assert.match((await runner.run(events)).out, /tide/)
  const shown = await runner.run('kubectl get persistentvolumes -l skerry.dev/database -L skerry.dev/project,skerry.dev/database')
  assert.match(shown.out, /harbour +tide/)
  await takeBack(namesIn(shown.out))
})

test('a project that somebody deletes, and says why, is kept by taking its finalizer off: its database runs on', async () => {
  const before = await read(database)
  await runner.run(`kubectl annotate project harbour skerry.dev/allow-deletion='moved to another site'`)
  await runner.runAny('kubectl delete project harbour --wait=false')
  assert.ok((await read('/apis/skerry.dev/v1/projects/harbour'))?.metadata.deletionTimestamp)
  await runner.run(`kubectl patch project harbour --type merge --patch '{"metadata":{"finalizers":null}}'`)
  await until('the project is gone', async () => (await read('/apis/skerry.dev/v1/projects/harbour')) === undefined)
  await until('the agent has heard of it', async () => (await installed.client.call('GET', '/v1/projects/harbour')).status === 404)
  await putDatabase(installed)
  const after = await read(database)
  assert.deepEqual([after?.metadata.uid, after?.metadata.deletionTimestamp], [before?.metadata.uid, undefined])
})

const records = '/apis/skerry.dev/v1/namespaces/skerry/retaineddatabases'

async function recordOfTide(): Promise<string> {
  const shown = 'kubectl --namespace skerry get retaineddatabases'
  await until('it is recorded', async () => /harbour +tide +Kept/.test((await runner.runAny(shown)).out), 60_000)
  const [, name = ''] = /^(tide\.\S+)/m.exec((await runner.run(shown)).out) ?? []
  return name
}

async function keepLonger(NAME: string): Promise<void> {
  const message = async () => (await read(`${records}/${NAME}`))?.status.message
  const patch = 'kubectl --namespace skerry patch retaineddatabase NAME --type merge --patch'
  await runner.run(`${patch} '{"spec":{"expiresAt":"2027-12-24T18:00:00Z"}}'`, { values: { NAME } })
  await until('its status has the date', async () => (await message())?.startsWith('Its data is deleted on 2027-12-24 18:00 UTC.'))
  await runner.run(`${patch} '{"spec":{"expiresAt":null}}'`, { values: { NAME } })
  await until('it never goes', async () => (await message())?.startsWith('Kept until somebody purges it.'))
}

test('a volume that nobody takes back is let go, which loses its data', async () => {
  const deleted = await installed.done('DELETE', '/v1/projects/harbour/databases/tide')
  await settled('project-harbour', 0)
  const [{ volume: NAME }, ...more] = deleted.result.retainedVolumes
  assert.deepEqual(more, [])
  const record = await recordOfTide()
  await keepLonger(record)
  await runner.run(`kubectl patch persistentvolume NAME --type=merge -p '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'`, {
    values: { NAME },
  })
  await until('its storage has deleted it', async () => (await read(`/api/v1/persistentvolumes/${NAME}`)) === undefined)
  await until('its record is gone', async () => (await read(`${records}/${record}`)) === undefined)
  const events = 'kubectl --namespace skerry get events --field-selector reason=VolumesGone'
  await until('an event says so', async () => (await runner.runAny(events)).out.includes(record))
  assert.match((await runner.run(events)).out, /None of its volumes exists any more/)
  await putDatabase(installed)
  await settled('project-harbour')
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
