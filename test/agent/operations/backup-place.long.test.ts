import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { Problem } from '../../../shared/errors.ts'
import { type KindName, type KubernetesObject, kinds, pathOf, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/*
 * The backups of the Crate Operator go to another bucket: the variables of its job refer to the Secret of the database, so that the next
 * snapshot takes what is in there.
 */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await done('PUT', '/v1/projects/harbour', {})
})
after(() => scene?.close())

const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }
const at = (id: string) => `/v1/projects/harbour/databases/${id}`
const waits = { prefer: 'wait=60' }

async function answered(method: string, path: string, body: unknown) {
  const answer = await scene.api.call(method, path, { body, headers: waits })
  assert.equal(answer.status, 200, answer.text)
  return answer.body
}
async function done(method: string, path: string, body: unknown) {
  const operation = await answered(method, path, body)
  assert.equal(operation.phase ?? 'Succeeded', 'Succeeded', JSON.stringify(operation))
  return operation
}
async function standing(id: string, given: object = {}) {
  const { id: _, ...body } = smallDatabase({ id, backups: { aws: { ...aws, ...given } } } as never)
  await done('PUT', at(id), body)
  return body
}
const read = (kind: KindName, name: string): Promise<KubernetesObject> =>
  scene.region.admin.request({ method: 'GET', path: pathOf(kinds[kind], 'project-harbour', name) })

/** The job of the operator, in the version that the API server serves: Kubernetes 1.20 has it as v1beta1. */
const jobOf = (id: string): Promise<KubernetesObject> => {
  const { world } = scene.region.standIns
  return scene.region.admin.request({ method: 'GET', path: pathOf(world.kinds.CronJob, 'project-harbour', `create-snapshot-${id}`) })
}

/** The texts in the Secret of a database's backups. */
async function textsOf(id: string): Promise<Record<string, string>> {
  const { data } = await read('Secret', `backup-${id}`)
  return Object.fromEntries(Object.entries<string>(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]))
}

test('a put names another bucket, and the next job has it, with the credentials that stay', async () => {
  const body = await standing('gauge')
  const before = [await jobOf('gauge'), (await read('CrateDB', 'gauge')).spec]
  const { accessKeyId: _, secretAccessKey: __, ...place } = { ...aws, bucket: 'quay', region: 'eu-north-1' }
  const put = { ...body, users: [{ name: 'harbourmaster' }], backups: { aws: place } }
  const plan = await answered('PUT', `${at('gauge')}?dryRun=true`, put)
  assert.deepEqual(
    plan.steps.map(({ name, objects }: { name: string; objects: { kind: string; change: string }[] }) => [
      name,
      ...objects.map(({ kind, change }) => `${change} ${kind}`),
    ]),
    [['backup-place', 'change Secret', 'change CrateDB']],
  )
  assert.doesNotMatch(JSON.stringify(plan), /AKIAOLD|old-secret/)
  const operation = await done('PUT', at('gauge'), put)
  assert.deepEqual(operation.planned, ['backup-place'])
  const kept = { 'access-key-id': 'AKIAOLD', 'secret-access-key': 'old-secret' }
  assert.deepEqual(await textsOf('gauge'), { ...kept, bucket: 'quay', region: 'eu-north-1' })
  assert.deepEqual([await jobOf('gauge'), (await read('CrateDB', 'gauge')).spec], before)
  assert.deepEqual((await scene.api.call('GET', at('gauge'))).body.backups.aws, place)
  assert.equal((await scene.api.call('PUT', at('gauge'), { body: put })).body.phase, undefined, 'the same again is no change')
})

test('with new credentials too, nothing of the old place is left in the Secret', async () => {
  await standing('tide', { endpointUrl: 'https://s3.harbour.example' })
  const change = { bucket: 'quay', endpointUrl: null, accessKeyId: 'AKIANEW', secretAccessKey: 'new-secret' }
  const { planned } = await done('PATCH', at('tide'), { backups: { aws: change } })
  assert.deepEqual(planned, ['credentials', 'backup-place'])
  const fresh = { 'access-key-id': 'AKIANEW', 'secret-access-key': 'new-secret' }
  assert.deepEqual(await textsOf('tide'), { ...fresh, bucket: 'quay', region: 'eu-west-1' })
  // The job still has a variable for the address, so that there can be one again.
  await done('PATCH', at('tide'), { backups: { aws: { endpointUrl: 'https://s3.quay.example' } } })
  assert.deepEqual(await textsOf('tide'), { ...fresh, bucket: 'quay', region: 'eu-west-1', endpoint: 'https://s3.quay.example' })
})

test('without their Secret the backups keep their place, and both answers say why', async () => {
  await standing('gyre')
  const { region, api } = scene
  region.lead(false)
  const accepted = await api.call('PATCH', at('gyre'), { body: { backups: { aws: { bucket: 'quay' } } } })
  assert.equal(accepted.status, 202, accepted.text)
  await region.admin.request({ method: 'DELETE', path: pathOfObject(await read('Secret', 'backup-gyre')) })
  region.lead(true)
  const { status } = await region.journal.whenEnded(accepted.body.id, 60_000, new AbortController().signal)
  assert.deepEqual(
    [status?.phase, status?.reason, status?.message],
    [
      'Failed',
      'SecretMissing',
      'The backups keep their place: their Secret no longer has backups.aws.accessKeyId and backups.aws.secretAccessKey.',
    ],
  )
  const again = await api.call('PATCH', at('gyre'), { body: { backups: { aws: { bucket: 'quay' } } } })
  assert.equal(again.status, 422, again.text)
  assert.deepEqual(
    again.body.faults.map(({ path }: { path: string }) => path),
    ['/backups/aws/accessKeyId', '/backups/aws/secretAccessKey'],
  )
})

test('an agent that dies between the Secret and the note of it goes on from there', async () => {
  await standing('eddy')
  const { region } = scene
  const cratedb = pathOf(kinds.CrateDB, 'project-harbour', 'eddy')
  const died = Promise.withResolvers<void>()
  region.intercept((request, send) => {
    if (request.method !== 'PATCH' || request.path !== cratedb || request.query?.dryRun) return send()
    died.resolve()
    throw new Problem('cluster-unreachable', 'its writes do not arrive any more')
  })
  const accepted = await scene.api.call('PATCH', at('eddy'), { body: { backups: { aws: { bucket: 'quay' } } } })
  assert.equal(accepted.status, 202, accepted.text)
  await died.promise
  assert.equal((await textsOf('eddy')).bucket, 'quay')
  await region.restart() // the API of the scene stays with the former one: this test is the last
  const ended = await region.whenOperation(region.caches.operations.get(`skerry/${accepted.body.id}`) as never, ({ status }) =>
    ['Succeeded', 'Failed'].includes(status?.phase ?? ''),
  )
  assert.equal(ended.status?.phase, 'Succeeded', JSON.stringify(ended.status))
  assert.match((await read('CrateDB', 'eddy')).metadata.annotations?.['skerry.dev/database'] ?? '', /"bucket":"quay"/)
})
