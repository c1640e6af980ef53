import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { createJournal } from '../../../agent/operations/journal.ts'
import { createCaches } from '../../../agent/region/caches.ts'
import { createOperatorCache } from '../../../agent/region/operator.ts'
import type { RegionContent } from '../../../agent/region-file/schema.ts'
import { type WrittenRegionFile, writeRegionFile } from '../../../agent/region-file/writing.ts'
import { desiredCrateDB } from '../../../agent/resources/cratedb.ts'
import { retainedDatabase } from '../../../agent/resources/retained-record.ts'
import type { VolumeManifest } from '../../../agent/resources/volume-manifest.ts'
import { systemClock } from '../../../shared/clock.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../shared/kubernetes/read.ts'
import { createLog } from '../../../shared/log.ts'
import { until } from '../../cluster/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { type Api, createApiOver, operatorAt } from '../api/region.ts'
import { exportOf } from '../export/export-of.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/*
 * A region is made, its file is written, and its control plane is thrown away. Another control plane gets the file: the claims of the databases
 * must be bound to the same volumes of the same storage.
 */

let old: ActionScene | undefined
let scene: ActionScene
/** The file with one database, and its volumes by claim. */
let file: WrittenRegionFile
let volumesBefore: Map<string, string>

const given = (id: string) => ({
  version: '5.10.1',
  nodes: nodes(2),
  users: [{ name: 'harbourmaster' }],
  allowedCIDRs: ['10.20.0.0/16'],
  id,
})
const nodes = (count: number) => ({ count, cpu: '500m', memory: '1Gi', disk: { size: '8Gi', storageClass: 'crate-premium' } })

before(async () => {
  old = await startActionScene(actions)
  await succeeds(old, 'PUT', '/v1/projects/harbour', { displayName: 'Harbour authority', quota: { databases: 20 } })
  await succeeds(old, 'PUT', '/v1/projects/harbour/databases/tide', { ...given('tide'), retainVolumes: true })
  file = await exportOf(old.region)
  volumesBefore = await handlesByClaim(old)
  await old.close()
  old = undefined
  scene = await startActionScene(actions)
})
after(async () => {
  await old?.close()
  await scene?.close()
})

async function succeeds({ api }: ActionScene, method: string, path: string, body?: unknown): Promise<Record<string, never>> {
  const answer = await api.call(method, path, { body, headers: { prefer: 'wait=80' } })
  assert.equal(answer.status, 200, `${method} ${path}: ${answer.text}`)
  return answer.body
}

/** What each data claim is bound to: the volume, and its place in the storage. */
async function handlesByClaim({ region }: ActionScene): Promise<Map<string, string>> {
  const claims = await listObjects(region.admin, kinds.PersistentVolumeClaim)
  const volumes = await listObjects(region.admin, kinds.PersistentVolume)
  const byName = new Map(volumes.map((volume) => [volume.metadata.name, volume]))
  const pairs = claims
    .filter(({ metadata, status }) => metadata.name.startsWith('data') && status?.phase === 'Bound')
    .map(({ metadata, spec }): [string, string] => [
      `${metadata.namespace}/${metadata.name}`,
      `${spec.volumeName} ${placeOf(byName.get(spec.volumeName))}`,
    ])
  return new Map(pairs.sort())
}

function placeOf(volume: KubernetesObject | undefined): string {
  const { csi, cinder, hostPath, local } = volume?.spec ?? {}
  return JSON.stringify(csi?.volumeHandle ?? cinder?.volumeID ?? hostPath?.path ?? local?.path)
}

/** A second replica, which accepts and never leads. */
async function openReplica(): Promise<{ api: Api; close(): Promise<void> }> {
  const cluster = connectTo(scene.region.cluster)
  const tools = { cluster, clock: systemClock, log: createLog({ level: 'silent', name: 'test' }) }
  const caches = createCaches({ namespace: 'skerry' }, tools)
  const journal = createJournal({ namespace: 'skerry' }, { ...tools, operations: caches.operations, ledger: caches.ledger })
  const operator = createOperatorCache({ namespace: operatorAt.namespace, name: operatorAt.deployment }, tools)
  const parts = [...Object.values(caches), operator, journal]
  for (const part of parts) await part.start(new AbortController().signal)
  return {
    api: createApiOver({ cluster, caches, journal, obstacles: { of: async () => [] }, actions }, operator),
    async close() {
      for (const part of parts.toReversed()) await part.stop(0)
      cluster.close()
    },
  }
}

const contentOf = (written: WrittenRegionFile): RegionContent => JSON.parse(written.bytes.toString()).document
const importing = (written: WrittenRegionFile, query = 'oldClusterIsGone=true', headers = {}) =>
  scene.api.call('POST', `/v1/region/import?${query}`, { body: written.bytes.toString(), headers: { prefer: 'wait=80', ...headers } })

/** The file with more databases like the first, on volumes that `change` makes of its own. */
async function fileWith(
  ids: string[],
  change: (spec: VolumeManifest['spec'], node: number, id: string) => void,
): Promise<WrittenRegionFile> {
  const content = contentOf(file)
  const [first] = content.databases
  assert.ok(first)
  const databases = ids.map((id) => {
    const volumes = structuredClone(first.volumes).map((volume, node) => {
      volume.metadata.name = `pv-${id}-${node}`
      volume.spec.claimRef.name = volume.spec.claimRef.name.replace('-tide-', `-${id}-`)
      change(volume.spec, node, id)
      return volume
    })
    return { ...first, body: { ...first.body, id }, volumes }
  })
  return writeRegionFile({ ...content, databases })
}

test('a region file is refused while the old cluster may be alive, and its plan says so with a verdict for each database', async () => {
  const refused = await importing(file, '')
  assert.equal(refused.status, 409, refused.text)
  assert.match(refused.body.detail, /is of another cluster .* oldClusterIsGone=true/)
  const plan = await importing(file, 'dryRun=true')
  assert.equal(plan.status, 200, plan.text)
  assert.deepEqual(plan.body.steps, [])
  assert.deepEqual(
    plan.body.import.refusals.map(({ code }: { code: string }) => code),
    ['old-cluster'],
  )
  assert.deepEqual(plan.body.import.counts, { ready: 1, 'volumes-found': 0, unchanged: 0, refused: 0 })
  assert.equal((await listObjects(scene.region.admin, kinds.PersistentVolume)).length, 0)
})

test('an import needs every scope of what it makes', async () => {
  const all = ['region:write', 'projects:write', 'databases:write'] as const
  for (const lacking of all) {
    const call = scene.api.as(['region:read', ...all.filter((scope) => scope !== lacking)])
    const refused = await call('POST', '/v1/region/import', { body: file.bytes.toString() })
    assert.deepEqual([refused.status, refused.body.scope], [403, lacking], refused.text)
  }
})

test('on a new control plane, the claims of a database are bound to the volumes that it had', async () => {
  const plan = await importing(file, 'oldClusterIsGone=true&dryRun=true')
  assert.deepEqual(plan.body.steps[0].consequences.slice(0, 2), [
    'Makes 1 project.',
    'Makes 1 database with 2 volumes that hold their data.',
  ])
  const done = await importing(file)
  assert.equal(done.status, 200, done.text)
  assert.deepEqual(done.body.result.import.databases, { made: 1, unchanged: 0, failed: 0 })
  assert.equal(volumesBefore.size, 2)
  assert.deepEqual(await handlesByClaim(scene), volumesBefore)
  const project = await scene.api.call('GET', '/v1/projects/harbour')
  assert.equal(project.body.displayName, 'Harbour authority')
  const database = await scene.api.call('GET', '/v1/projects/harbour/databases/tide')
  assert.equal(database.body.status.phase, 'Running', database.text)
  for (const volume of await listObjects(scene.region.admin, kinds.PersistentVolume)) {
    if (!volume.spec.claimRef.name.startsWith('data')) continue
    assert.equal(volume.spec.persistentVolumeReclaimPolicy, 'Retain')
    assert.equal(volume.metadata.annotations?.['skerry.dev/reclaim-policy'], 'Delete')
  }
})

test('imported again, everything stands already', async () => {
  const again = await importing(file)
  assert.equal(again.status, 200, again.text)
  assert.deepEqual(again.body.result.import.databases, { made: 0, unchanged: 1, failed: 0 })
  const plan = await importing(file, 'oldClusterIsGone=true&dryRun=true')
  assert.deepEqual(plan.body.import.counts, { ready: 0, 'volumes-found': 0, unchanged: 1, refused: 0 })
})

test('a schedule from an earlier version, that no request may set any more, comes back with its database', async () => {
  const content = contentOf(
    await fileWith(['often'], (spec, node) => {
      ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-often-${node}`
    }),
  )
  const snapshots = { s3: { bucket: 'harbour-snapshots', basePath: 'often' }, schedule: '* * * * *', keep: 7 }
  const databases = content.databases.map((each) => ({ ...each, body: { ...each.body, snapshots } }))
  const done = await importing(await writeRegionFile({ ...content, databases }), 'oldClusterIsGone=true&olderFile=true')
  assert.deepEqual([done.status, done.body.phase], [200, 'Succeeded'], done.text)
  const shown = await scene.api.call('GET', '/v1/projects/harbour/databases/often')
  assert.deepEqual(shown.body.snapshots, snapshots)
  await succeeds(scene, 'DELETE', '/v1/projects/harbour/databases/often?retainVolumes=false')
})

test('no Secret of an import is left once it has ended', async () => {
  // The executor deletes them itself, but only after the end is recorded: whoever waits for that may be earlier.
  await until('its Secrets are gone', async () => {
    const secrets = await listObjects(scene.region.admin, kinds.Secret, { namespace: 'skerry' })
    return secrets.every(({ metadata }) => !metadata.name.startsWith('operation-'))
  })
})

const kindsOfVolumes: { name: string; id: string; query?: string; change: (spec: VolumeManifest['spec'], node: number) => unknown }[] = [
  {
    name: 'OpenStack',
    id: 'cinder',
    change: (spec, node) => Object.assign(spec, { cinder: { volumeID: `5f0c-${node}`, fsType: 'ext4' } }),
  },
  {
    name: 'a folder of the host',
    id: 'folder',
    change: (spec, node) => Object.assign(spec, { hostPath: { path: `/srv/volumes/folder-${node}`, type: '' } }),
  },
  {
    name: 'a disk of a host that has another name now',
    id: 'local',
    query: '&hosts=edge-1=node-1,edge-2=node-2',
    change(spec, node) {
      spec.local = { path: `/srv/volumes/local-${node}` }
      const values = [`edge-${node + 1}`]
      spec.nodeAffinity = {
        required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values }] }] },
      }
    },
  },
]
for (const { name, id, query = '', change } of kindsOfVolumes)
  test(`the claims of a database are bound to its volumes: ${name}`, async () => {
    const written = await fileWith([id], (spec, node) => {
      delete spec.csi
      change(spec, node)
    })
    const done = await importing(written, `oldClusterIsGone=true${query}`)
    assert.equal(done.status, 200, done.text)
    const found = [...(await handlesByClaim(scene))].filter(([claim]) => claim.includes(`-${id}-`))
    const places = written.bytes.toString().match(/5f0c-\d|\/srv\/volumes\/\w+-\d/g)
    assert.deepEqual(
      found.map(([claim, volume]) => [claim, volume]),
      [0, 1].map((node) => [`project-harbour/data0-crate-data-hot-${id}-${node}`, `pv-${id}-${node} "${places?.[node]}"`]),
    )
  })

test('a database that fails does not stop the others, and the next import goes on with it', async () => {
  const written = await fileWith(['ebb', 'flood'], (spec, node, id) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-${id}-${node}`
  })
  const taken: KubernetesObject = {
    ...(contentOf(written).databases[0]?.volumes[1] as KubernetesObject),
    metadata: { name: 'of-somebody-else' },
  }
  const path = pathOf(kinds.PersistentVolume)
  await scene.region.admin.request({ method: 'POST', path, body: taken })
  const first = await importing(written)
  assert.equal(first.status, 202, first.text)
  assert.deepEqual([first.body.phase, first.body.reason], ['Failed', 'ImportIncomplete'])
  assert.deepEqual(first.body.result.import.databases, { made: 1, unchanged: 0, failed: 1 })
  const [failure] = first.body.result.import.failures
  assert.equal(failure.database, 'ebb')
  assert.match(failure.message, /vol-ebb-1\) is that of volume of-somebody-else here/)
  await scene.region.admin.request({ method: 'DELETE', path: `${path}/of-somebody-else` })
  const second = await importing(written)
  assert.equal(second.status, 200, second.text)
  assert.deepEqual(second.body.result.import.databases, { made: 1, unchanged: 1, failed: 0 })
})

test('secrets that were opened come with the file, and are in the Secrets of the database again', async () => {
  const written = await fileWith(['keys'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-keys-${node}`
  })
  const password = 'as it was before the fire'
  const databases = { 'harbour/keys': { 'users.0.password': password } }
  const secrets = { kind: 'SkerryRegionSecrets', version: 1, databases, retained: {} }
  const send = (given: object) =>
    scene.api.call('POST', '/v1/region/import?oldClusterIsGone=true', {
      body: { file: JSON.parse(written.bytes.toString()), secrets: given },
      headers: { prefer: 'wait=80' },
    })
  const wrong = await send({ ...secrets, version: 2 })
  assert.equal(wrong.status, 422, wrong.text)
  assert.deepEqual(
    wrong.body.faults.map(({ path }: { path: string }) => path),
    ['/secrets/version'],
  )
  const done = await send(secrets)
  assert.equal(done.status, 200, done.text)
  assert.ok(!done.text.includes(password))
  const path = pathOf(kinds.Secret, 'project-harbour', 'user-password-keys-0')
  const { data } = await scene.region.admin.request<KubernetesObject>({ method: 'GET', path })
  assert.equal(atob(data.password), password)
})

test('sent at two replicas with the same key it is one import, and with another key the second finds everything there', async () => {
  const other = await openReplica()
  try {
    const written = await fileWith(['spring'], (spec, node) => {
      ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-spring-${node}`
    })
    const send = (api: Api, key: string) =>
      api.call('POST', '/v1/region/import?oldClusterIsGone=true', {
        body: written.bytes.toString(),
        headers: { prefer: 'wait=80', 'idempotency-key': key },
      })
    const [one, two] = await Promise.all([send(scene.api, 'a'), send(other.api, 'a')])
    assert.deepEqual([one.status, two.status], [200, 200], one.text + two.text)
    assert.equal(one.body.id, two.body.id)
    const both = await Promise.all([send(scene.api, 'b'), send(other.api, 'c')])
    for (const { body, text } of both) assert.deepEqual(body.result?.import?.databases, { made: 0, unchanged: 1, failed: 0 }, text)
    assert.notEqual(both[0].body.id, both[1].body.id)
  } finally {
    await other.close()
  }
})

test('while a database comes back with its volumes, nobody creates it in its stead', async () => {
  const written = await fileWith(['slack'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-slack-${node}`
  })
  scene.region.lead(false)
  const [entry] = contentOf(written).databases
  const target = { kind: 'database' as const, project: 'harbour', database: 'slack' }
  const reattached = await scene.region.accept({ action: 'reattach', target, wanted: entry?.body })
  const put = await scene.api.call('PUT', '/v1/projects/harbour/databases/slack', { body: { ...given('slack'), id: undefined } })
  assert.equal(put.status, 409, put.text)
  assert.match(put.body.detail, /comes back with its volumes by operation op-/)
  scene.region.lead(true)
  await scene.region.ended(reattached)
})

test('a database that another tool made, and suspended, comes back as it had made it, and runs', async () => {
  const written = await fileWith(['lock'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-lock-${node}`
  })
  const content = contentOf(written)
  const [entry] = content.databases
  assert.ok(entry)
  const { spec } = desiredCrateDB({ kind: 'database', project: 'harbour', database: 'lock' }, entry.body, { imageRegistry: 'crate' })
  const [data] = spec.nodes.data
  const made = {
    ...spec,
    nodes: { ...spec.nodes, data: [{ ...data, replicas: 0, labels: { 'example.org/rack': 'quay' } }] },
    users: [{ name: 'keeper', password: { secretKeyRef: { name: 'made-by-hand', key: 'pw' } } }],
  }
  const cratedb = { labels: { team: 'tides' }, annotations: { 'example.org/by': 'hand' }, spec: made }
  const databases = [{ ...entry, body: { ...entry.body, suspended: true }, cratedb }]
  const done = await importing(await writeRegionFile({ ...content, databases }), 'oldClusterIsGone=true&olderFile=true')
  assert.equal(done.status, 200, done.text)
  const now = await scene.region.cratedb('harbour', 'lock')
  assert.deepEqual([now.metadata.labels?.team, now.metadata.annotations?.['example.org/by']], ['tides', 'hand'])
  assert.deepEqual([now.spec.nodes.data[0].labels, now.spec.nodes.data[0].replicas], [{ 'example.org/rack': 'quay' }, 2])
  const path = pathOf(kinds.Secret, 'project-harbour', 'made-by-hand')
  const { data: kept } = await scene.region.admin.request<KubernetesObject>({ method: 'GET', path })
  assert.deepEqual(Object.keys(kept), ['pw'])
  const claims = [...(await handlesByClaim(scene))].filter(([claim]) => claim.includes('-lock-'))
  assert.deepEqual(
    claims.map(([, volume]) => volume),
    ['pv-lock-0 "vol-lock-0"', 'pv-lock-1 "vol-lock-1"'],
  )
})

test('a deleted database of the file is kept, with its volumes, secrets and record, and can be had back', async () => {
  const content = contentOf(file)
  const [tide] = content.databases
  assert.ok(tide)
  const volumes = structuredClone(tide.volumes)
  for (const [node, { metadata, spec }] of volumes.entries()) {
    metadata.name = `pv-reef-${node}`
    spec.claimRef.name = spec.claimRef.name.replace('-tide-', '-reef-')
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-reef-${node}`
  }
  const record = {
    ...{ project: 'harbour', database: 'reef', origin: 'operation', deletedAt: '2026-01-30T12:00:00Z', deletedBy: 'token:cloud' },
    ...{ uid: '5d0b0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f10', expiresAt: '2026-02-06T12:00:00Z', wanted: { ...tide.body, id: 'reef' } },
    ...{ volumes: [], secrets: ['user-password-reef-0'] },
  }
  const written = await writeRegionFile({ ...content, databases: [], retained: [{ id: 'reef.0f3a9c1e', record, volumes }] })
  const kept = JSON.stringify({
    labels: { 'app.kubernetes.io/managed-by': 'skerry' },
    type: 'Opaque',
    data: { password: btoa('as before') },
  })
  const retained = { 'reef.0f3a9c1e': { 'user-password-reef-0': kept } }
  const send = () =>
    scene.api.call('POST', '/v1/region/import?oldClusterIsGone=true&olderFile=true', {
      body: { file: JSON.parse(written.bytes.toString()), secrets: { kind: 'SkerryRegionSecrets', version: 1, databases: {}, retained } },
      headers: { prefer: 'wait=80' },
    })
  const done = await send()
  assert.equal(done.status, 200, done.text)
  assert.deepEqual(done.body.result.import.deleted, { made: 1, unchanged: 0, failed: 0 })
  const { admin } = scene.region
  const [found] = (await listObjects(admin, kinds.RetainedDatabase, { namespace: 'skerry' })).filter(({ spec }) => spec.database === 'reef')
  assert.ok(found)
  assert.deepEqual([found.spec.deletedBy, found.spec.expiresAt, found.spec.secrets], ['token:cloud', undefined, ['user-password-reef-0']])
  for (const { volume, uid, handle } of found.spec.volumes) {
    const { metadata, spec, status } = await admin.request<KubernetesObject>({
      method: 'GET',
      path: pathOf(kinds.PersistentVolume, undefined, volume),
    })
    assert.deepEqual([metadata.uid, spec.csi.volumeHandle, status?.phase], [uid, handle, 'Released'])
  }
  const again = await send()
  assert.deepEqual(again.body.result.import.deleted, { made: 0, unchanged: 1, failed: 0 }, again.text)
  // Volumes alone are not what was kept: the file has the passwords too.
  await admin.request({ method: 'DELETE', path: pathOf(kinds.RetainedDatabase, 'skerry', found.metadata.name) })
  const anew = await send()
  assert.deepEqual(anew.body.result.import.deleted, { made: 1, unchanged: 0, failed: 0 }, anew.text)
  await succeeds(scene, 'POST', `/v1/projects/harbour/deleted-databases/${found.metadata.name}/actions/undelete`)
  const claims = [...(await handlesByClaim(scene))].filter(([claim]) => claim.includes('-reef-'))
  assert.deepEqual(
    claims.map(([, volume]) => volume),
    ['pv-reef-0 "vol-reef-0"', 'pv-reef-1 "vol-reef-1"'],
  )
  const { data } = await admin.request<KubernetesObject>({
    method: 'GET',
    path: pathOf(kinds.Secret, 'project-harbour', 'user-password-reef-0'),
  })
  assert.equal(atob(data.password), 'as before')
})

test('after it was deleted, a database comes back on the volumes that stand here, which count once', async () => {
  const { admin } = scene.region
  const before = [...(await handlesByClaim(scene))].filter(([claim]) => claim.includes('-ebb-'))
  const fresh = await exportOf(scene.region)
  await succeeds(scene, 'DELETE', '/v1/projects/harbour/databases/ebb')
  await until('its record is kept', async () =>
    (await listObjects(admin, kinds.RetainedDatabase, { namespace: 'skerry' })).some(({ spec }) => spec.database === 'ebb'),
  )
  const content = contentOf(fresh)
  const databases = content.databases.filter(({ body }) => body.id === 'ebb')
  const written = await writeRegionFile({ ...content, databases, retained: [] })
  const older = await importing(written, '')
  assert.match(older.body.detail, /is older than what is here/)
  const storage = content.databases.length * 2 * (8 + 64)
  await succeeds(scene, 'PUT', '/v1/projects/harbour', { displayName: 'Harbour authority', quota: { storage: `${storage}Gi` } })
  const plan = await importing(written, 'olderFile=true&dryRun=true')
  assert.deepEqual(plan.body.import.counts, { ready: 0, 'volumes-found': 1, unchanged: 0, refused: 0 }, plan.text)
  const done = await importing(written, 'olderFile=true')
  assert.equal(done.status, 200, done.text)
  assert.deepEqual(
    [...(await handlesByClaim(scene))].filter(([claim]) => claim.includes('-ebb-')),
    before,
  )
})

test('a label that this region does not allow is refused in the plan, before anything is made', async () => {
  const written = await fileWith(['eddy'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-eddy-${node}`
  })
  const content = contentOf(written)
  const databases = content.databases.map((each) => ({ ...each, body: { ...each.body, labels: { 'policies.example/exempt': 'true' } } }))
  const plan = await importing(await writeRegionFile({ ...content, databases }), 'oldClusterIsGone=true&olderFile=true&dryRun=true')
  const [verdict] = plan.body.import.databases
  assert.equal(verdict.verdict, 'refused', plan.text)
  const [{ code, message }] = verdict.obstacles
  assert.equal(code, 'not-allowed')
  assert.match(message, /^\/labels\/policies.example~1exempt is not allowed: this region allows/)
})

test('a quota without room refuses a database, and says so', async () => {
  await succeeds(scene, 'PUT', '/v1/projects/harbour', { displayName: 'Harbour authority', quota: { databases: 1 } })
  const written = await fileWith(['neap'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-neap-${node}`
  })
  const plan = await importing(written, 'oldClusterIsGone=true&olderFile=true&dryRun=true')
  const [{ verdict, obstacles }] = plan.body.import.databases
  assert.deepEqual([verdict, obstacles[0]?.code], ['refused', 'quota-exceeded'], plan.text)
  assert.match(obstacles[0].message, /^1 database wanted, \d+ databases used by the project's other databases, 1 database allowed$/)
  const done = await importing(written, 'oldClusterIsGone=true&olderFile=true')
  assert.equal(done.body.phase, 'Failed', done.text)
  const [failure] = done.body.result.import.failures
  assert.equal(failure.reason, 'quota-exceeded')
  assert.match(failure.message, /databases/)
  assert.doesNotMatch(failure.message, /The request/)
})

test('a database of another tool counts against the quota as its CrateDB says', async () => {
  await succeeds(scene, 'PUT', '/v1/projects/harbour', { displayName: 'Harbour authority', quota: { databases: 30, cpu: 40 } })
  const written = await fileWith(['bore'], (spec, node) => {
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-bore-${node}`
  })
  const content = contentOf(written)
  const [entry] = content.databases
  assert.ok(entry)
  const large = { ...entry.body, nodes: { ...entry.body.nodes, cpu: 32 } }
  const { spec } = desiredCrateDB({ kind: 'database', project: 'harbour', database: 'bore' }, large, { imageRegistry: 'crate' })
  const databases = [{ ...entry, cratedb: { labels: {}, annotations: {}, spec } }]
  const done = await importing(await writeRegionFile({ ...content, databases }), 'oldClusterIsGone=true&olderFile=true')
  const [failure] = done.body.result.import.failures
  assert.equal(failure.reason, 'quota-exceeded', done.text)
  assert.match(failure.message, /64/)
})

test('a deleted database of a file takes no record away from another project', async () => {
  const content = contentOf(file)
  const [tide] = content.databases
  assert.ok(tide)
  const volumes = structuredClone(tide.volumes)
  for (const [node, { metadata, spec }] of volumes.entries()) {
    metadata.name = `pv-kelp-${node}`
    spec.claimRef.name = spec.claimRef.name.replace('-tide-', '-kelp-')
    ;(spec.csi as { volumeHandle: string }).volumeHandle = `vol-kelp-${node}`
  }
  const facts = { origin: 'operation', deletedAt: '2026-01-30T12:00:00Z', deletedBy: 'token:cloud' } as const
  const known = { uid: '7d0b0c9e-6f4e-4f0f-9d0b-3d1f6d7c1f17', volumes: [], secrets: [] }
  const theirs = retainedDatabase('skerry', { kind: 'database', project: 'pier', database: 'kelp' }, known, { ...facts, uid: known.uid })
  const { admin } = scene.region
  await admin.request({ method: 'POST', path: pathOf(kinds.RetainedDatabase, 'skerry'), body: theirs })
  const record = { ...known, ...facts, project: 'harbour', database: 'kelp' }
  const written = await writeRegionFile({ ...content, databases: [], retained: [{ id: 'kelp.0f3a9c1e', record, volumes }] })
  const done = await importing(written, 'oldClusterIsGone=true&olderFile=true')
  const { deleted, failures } = done.body.result.import
  assert.deepEqual(deleted, { made: 0, unchanged: 0, failed: 1 }, done.text)
  assert.match(failures[0].message, /is that of a database of project pier/)
  const after = await admin.request<KubernetesObject>({
    method: 'GET',
    path: pathOf(kinds.RetainedDatabase, 'skerry', theirs.metadata.name),
  })
  assert.equal(after.spec.project, 'pier')
})
