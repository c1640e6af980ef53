import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/*
 * The Crate Operator takes backups only with an image that is not public. Without it, `backups` of a database do nothing, and every text
 * about them says so.
 */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await answered('PUT', '/v1/projects/harbour', {})
  await setImage([])
})
after(() => scene?.close())

const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }
const gauge = '/v1/projects/harbour/databases/gauge'
const { id: _, ...given } = smallDatabase({ id: 'gauge', backups: { aws } } as never)

async function answered(method: string, path: string, body?: unknown) {
  const answer = await scene.api.call(method, path, { body, headers: { prefer: 'wait=60' } })
  assert.equal(answer.status, 200, answer.text)
  return answer.body
}

/** Has the operator's Deployment this image in its environment, and waits until the agent sees that. */
async function setImage(env: object[]): Promise<void> {
  const path = pathOf(kinds.Deployment, 'crate-operator', 'crate-operator')
  const contentType = 'application/json-patch+json'
  const body = [{ op: 'add', path: '/spec/template/spec/containers/0/env', value: env }]
  await scene.region.admin.request({ method: 'PATCH', path, contentType, body })
  const expected = env.length === 0 ? 'missing' : 'set'
  await until('the agent sees it', async () => (await answered('GET', '/v1/region')).operator.backupImage === expected)
}
const told = async (method: string, path: string, body: unknown): Promise<string[]> =>
  (await answered(method, `${path}?dryRun=true`, body)).steps.flatMap(({ consequences }: { consequences: string[] }) => consequences)

test('the plan of a creation says that nothing will take the backups, and the database that nothing does', async () => {
  const consequences = await told('PUT', gauge, given)
  assert.match(consequences.join('\n'), /nothing will take them: the Crate Operator has no CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE/)
  const operation = await answered('PUT', gauge, given)
  assert.equal(operation.phase, 'Succeeded', JSON.stringify(operation))
  const { status } = await answered('GET', gauge)
  assert.equal(status.phase, 'Running')
  const [blocker, ...others] = status.blockers
  assert.deepEqual([blocker.code, blocker.evidence, others], ['BackupsNotTaken', 'CrateDB project-harbour/gauge', []])
  assert.match(blocker.message, /nothing takes them: .* since it has no CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE/)
  assert.match(blocker.cure, /^Patch "snapshots" into the database/)
  const { databaseStates, backups } = await answered('GET', '/v1/region')
  assert.deepEqual(backups, { scheduled: 0, unscheduled: 1, failing: 0 })
  assert.deepEqual(databaseStates['harbour/gauge'].blockers, ['BackupsNotTaken'])
})

test('a change of them says it too, and the operator cannot restore into such a database', async () => {
  for (const change of [{ cron: '5 * * * *' }, { bucket: 'quay' }])
    assert.match((await told('PATCH', gauge, { backups: { aws: change } })).join('\n'), /nothing takes them/)
  const restore = await scene.api.call('POST', `${gauge}/actions/restore`, { body: { snapshot: 'x' } })
  assert.equal(restore.status, 422, restore.text)
  assert.match(restore.body.faults[0].message, /it has not set up those of this one: it had no CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE/)
})

test('an image that comes later helps only the databases that come later', async () => {
  await setImage([{ name: 'CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE', value: 'site.example/backup:1' }])
  const { status } = await answered('GET', gauge)
  assert.match(status.blockers[0].message, /It has CRATEDB_OPERATOR_CLUSTER_BACKUP_IMAGE now/)
  const tide = gauge.replace('gauge', 'tide')
  assert.doesNotMatch((await told('PUT', tide, given)).join('\n'), /nothing will take them/)
  assert.equal((await answered('PUT', tide, given)).phase, 'Succeeded')
  assert.deepEqual((await answered('GET', tide)).status.blockers, [])
})
