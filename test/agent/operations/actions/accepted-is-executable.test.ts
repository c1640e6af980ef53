import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { type Action, actionNames } from '../../../../agent/operations/actions/action.ts'
import { actions } from '../../../../agent/operations/actions/index.ts'
import { deletionRecordOf } from '../../../../agent/operations/actions/record-deletion.ts'
import { isKnownKind, type Target, type TargetInProject, targetKinds } from '../../../../agent/resources/kind.ts'
import { runSnapshots, type SnapshotStandIn } from '../../../cluster/index.ts'
import { operationsFile } from '../../../deploy/rendered.ts'
import { smallDatabase } from '../acting-region.ts'
import { keepSnapshots, withSnapshots } from '../snapshot-scene.ts'
import { installSnapshotKinds, makeSnapshotClass } from '../snapshot-storage.ts'
import { type ActionScene, startActionScene } from './scene.ts'

/*
 * Whatever is accepted can be planned and carried out: every request of every action in the table is sent to a standing target of every
 * kind, and every operation that comes of it succeeds.
 */

let scene: ActionScene
let storage: SnapshotStandIn
before(async () => {
  scene = await startActionScene(actions)
  await installSnapshotKinds(scene.region.admin)
  await makeSnapshotClass(scene.region.admin, 'VolumeSnapshotClass', 'disks')
  storage = await runSnapshots(scene.region.standIns.world)
})
after(async () => {
  await storage?.stop()
  await scene?.close()
})

const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }

/** What is sent where the example of a request asks for more than the test cluster has: it has three hosts. */
const bodies: { [operationId: string]: unknown } = {
  putDatabase: { ...smallDatabase({ id: 'gauge' }), id: undefined, backups: { aws }, deletionProtection: false, retainVolumes: false },
  patchDatabase: { allowedCIDRs: ['10.30.0.0/16'], nodes: { count: 2 } },
  restoreDatabase: { snapshot: '20260131120000', type: 'tables', tables: ['doc.readings'] },
}

const paths = { region: '/v1/region', project: '/v1/projects/harbour', database: '/v1/projects/harbour/databases/gauge' }

/** The target as it must be before an action can be asked for: a database with backups, suspended for what needs it so. */
async function standing(kind: keyof typeof paths, operationId: string): Promise<void> {
  if (kind === 'region') return
  const ensure = async (method: string, path: string, body?: unknown) => {
    const { status, text } = await scene.api.call(method, path, { body, headers: { prefer: 'wait=60' } })
    assert.equal(status, 200, `${method} ${path}: ${text}`)
  }
  await ensure('PUT', paths.project, { quota: { cpu: 24, memory: '96Gi', storage: '2Ti', databases: 5 } })
  if (kind === 'project') return
  await ensure('PUT', paths.database, { ...(bodies.putDatabase as object), nodes: smallDatabase({ id: 'gauge' }).nodes })
  const place = { bucket: 'snaps', accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
  if (operationId === 'backupDatabase') await ensure('PATCH', paths.database, { snapshots: { s3: place } })
  if (operationId === 'rehearseRestore') {
    await ensure('PATCH', paths.database, { snapshots: withSnapshots({ id: 'gauge' }).snapshots })
    keepSnapshots(scene, 'gauge')
  }
  if (operationId === 'resumeDatabase') await ensure('POST', `${paths.database}/actions/suspend`)
}

/** The path of a deleted database: the standing one is deleted. */
async function pathOfDeleted(): Promise<string> {
  const there = await scene.api.call('GET', paths.database)
  if (there.status === 404) await standing('database', 'undeleteDatabase')
  const deletion = await scene.api.call('DELETE', `${paths.database}?retainVolumes=true`, { headers: { prefer: 'wait=60' } })
  assert.equal(deletion.status, 200, deletion.text)
  return `${paths.project}/deleted-databases/${deletion.body.result.deletedDatabase}`
}

const everyAction: { kind: string; action: Action }[] = Object.entries(actions).flatMap(([kind, all]) =>
  all.map((action) => ({ kind, action: action as Action })),
)

for (const { kind, action } of everyAction) {
  assert.ok(isKnownKind(kind))
  // An import brings a file, and what it asks for brings a part of that: import.long.test.ts.
  for (const { method, operationId, example, at } of action.requests.filter(({ file, isOwn }) => !file && !isOwn)) {
    test(`${operationId}: what a dry run plans is accepted, and what is accepted is carried out`, async () => {
      if (!at) await standing(kind, operationId)
      const { call } = scene.api
      const base = at ? await pathOfDeleted() : paths[kind]
      const path = method === 'POST' ? `${base}/actions/${action.name}` : base
      const body =
        method === 'PUT' && kind === 'database'
          ? { ...(bodies.putDatabase as object), retainVolumes: true }
          : (bodies[operationId] ?? example)
      const plan = await call(method, `${path}?dryRun=true`, { body })
      assert.equal(plan.status, 200, plan.text)
      const accepted = await call(method, path, { body, headers: { prefer: 'wait=60' } })
      assert.equal(accepted.status, 200, accepted.text)
      assert.equal(accepted.body.phase, 'Succeeded', accepted.text)
      const planned = plan.body.steps.map(({ name }: { name: string }) => name)
      assert.ok(planned.length > 0)
      assert.deepEqual([accepted.body.action, accepted.body.planned], [action.name, planned])
      const columns = await scene.columnsOf(accepted.body.id)
      assert.deepEqual([columns.Action, columns.Request], [planned.join(','), action.name])
    })
  }
  for (const other of Object.keys(targetKinds).filter((other) => other !== kind)) {
    assert.ok(isKnownKind(other))
    const ofOther: readonly Action[] = actions[other]
    const has = ofOther.some(({ name, requests }) => name === action.name && requests.some(({ method }) => method === 'POST'))
    if (has || action.requests.every(({ method }) => method !== 'POST')) continue
    test(`${action.name} of a ${other} is accepted by nothing`, async () => {
      assert.equal((await scene.api.call('POST', `${paths[other]}/actions/${action.name}`, { body: {} })).status, 404)
    })
  }
}

test('what the leader itself writes down is carried out, of each kind of target', async () => {
  const { region } = scene
  const targets: { [Kind in TargetInProject['kind']]: Target } = {
    project: { kind: 'project', project: 'lost' },
    database: { kind: 'database', project: 'lost', database: 'gauge' },
  }
  for (const [kind, target] of Object.entries(targets)) {
    const operation = await region.accept(deletionRecordOf(target, { uid: `uid-of-${kind}`, resourceVersion: '1' }))
    const { status, spec } = await region.ended(operation)
    assert.deepEqual([status?.phase, status?.observed?.uid, spec.planned], ['Succeeded', `uid-of-${kind}`, 'record-deletion'])
  }
})

test('the table has each action once, and the CRD takes just what is in it', () => {
  for (const all of Object.values(actions)) {
    const names = all.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
  }
  assert.ok(actionNames(actions).every((name) => /^[a-z][a-z-]*$/.test(name)))
  assert.equal(readFileSync(operationsFile.path, 'utf8'), operationsFile.text(), 'rewrite it with: npm run render')
})
