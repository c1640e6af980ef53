import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operation } from '../../../agent/resources/operation.ts'
import type { RetainedDatabase } from '../../../agent/resources/retained-database.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { type ActingRegion, startActingRegion } from '../operations/acting-region.ts'
import { faultOfChain } from '../operations/chain.ts'

let region: ActingRegion
before(async () => {
  region = await startActingRegion()
  await region.ended(await region.putProject('harbour'))
})
after(() => region?.close())

const database = (id: string, project = 'harbour') => ({ kind: 'database' as const, project, database: id })
const pathOfDatabase = (id: string, project = 'harbour') => pathOf(kinds.CrateDB, `project-${project}`, id)
const read = (path: string) => region.admin.request<KubernetesObject>({ method: 'GET', path }).catch(() => undefined)
const remove = (path: string) => region.admin.request({ method: 'DELETE', path })
const untilGone = (path: string) => until(`${path} is gone`, async () => (await read(path)) === undefined)

async function put(id: string, project = 'harbour'): Promise<string> {
  const operation = await region.ended(await region.putDatabase(project, { id }))
  assert.equal(operation.status?.phase, 'Succeeded', JSON.stringify(operation.status))
  return (await region.cratedb(project, id)).metadata.uid as string
}

const records = () => region.journal.all().filter(({ spec }) => spec.action === 'record-deletion')
const recordOf = (uid: string) =>
  until(`${uid} is recorded`, async () => {
    const found = records().filter(({ spec }) => spec.parameters?.uid === uid)
    assert.ok(found.length < 2, 'once')
    return found[0]?.status?.phase === 'Succeeded' && (found[0] as Operation)
  })

test('a database that was deleted by hand is an entry of the ledger, an Event and a warning, and its volumes are in the entry', async () => {
  const uid = await put('tide')
  await remove(pathOfDatabase('tide'))
  const record = await recordOf(uid)
  assert.deepEqual(record.spec.target, database('tide'))
  assert.equal(record.spec.requestedBy, 'outside Skerry')
  assert.match(
    record.status?.message ?? '',
    /^Deleted by somebody outside Skerry; 1 volume is kept, see the result. POST .*actions.undelete brings it back with them.$/,
  )
  const [kept = { volume: '', claim: '' }] = (record.status?.result?.retainedVolumes ?? []) as { volume: string; claim: string }[]
  assert.equal(kept.claim, 'project-harbour/data0-crate-data-hot-tide-0')
  assert.equal((await read(pathOf(kinds.PersistentVolume, undefined, kept.volume)))?.spec.persistentVolumeReclaimPolicy, 'Retain')
  const event = await until('an Event tells of it', () => read(pathOf(kinds.Event, 'skerry', `skerry-deletion.${uid}`)))
  assert.equal(event.type, 'Warning')
  assert.equal(event.reason, 'DeletedOutside')
  assert.equal(event.involvedObject.name, record.metadata.name)
  assert.match(event.message, /deleted the database harbour\/tide without the API/)
  const [line] = region.logged.filter(({ msg, uid: its }) => msg === 'deleted outside Skerry' && its === uid)
  assert.equal(line?.level, 'warn')
  assert.equal(faultOfChain(region.journal.all()), undefined)
})

test('a database can be put anew at once, and the record does not stand in its way', async () => {
  const uid = await put('ebb')
  region.lead(false)
  await remove(pathOfDatabase('ebb'))
  const anew = await region.putDatabase('harbour', { id: 'ebb' })
  region.lead(true)
  assert.equal((await region.ended(anew)).status?.phase, 'Succeeded')
  await recordOf(uid)
  assert.notEqual((await region.cratedb('harbour', 'ebb')).metadata.uid, uid)
})

test('a deletion that nobody watched is found by the next leader', async () => {
  const uid = await put('swell')
  region.lead(false)
  await remove(pathOfDatabase('swell'))
  await untilGone(pathOfDatabase('swell'))
  await region.restart()
  await recordOf(uid)
})

test('a project that was deleted by hand is recorded at once, with the reason of whoever let it pass', async () => {
  await region.ended(await region.putProject('jetty'))
  const path = pathOf(kinds.Project, undefined, 'jetty')
  const metadata = { annotations: { 'skerry.dev/allow-deletion': 'moved to another site' } }
  const { metadata: project } = await region.admin.request<KubernetesObject>({
    method: 'PATCH',
    path,
    contentType: 'application/merge-patch+json',
    body: { metadata },
  })
  await remove(path)
  const record = await recordOf(project.uid as string)
  assert.deepEqual(record.spec.target, { kind: 'project', project: 'jetty' })
  assert.equal(record.spec.parameters?.allowedBy, 'moved to another site')
  await untilGone(path)
})

test('what an operation deletes is not recorded, neither alone nor with its project, also when another replica takes the lead', async () => {
  const alone = await put('surge')
  await region.ended(await region.accept({ action: 'delete', target: database('surge'), parameters: { retainVolumes: true } }))
  await region.ended(await region.putProject('mole'))
  const taken = await put('tide', 'mole')
  const project = (await read(pathOf(kinds.Project, undefined, 'mole')))?.metadata.uid as string
  await region.ended(await region.accept({ action: 'delete', target: { kind: 'project', project: 'mole' }, parameters: { cascade: true } }))
  await region.restart()
  // What is deleted after them is recorded after them.
  const last = await put('last')
  await remove(pathOfDatabase('last'))
  await recordOf(last)
  const recorded = records().map(({ spec }) => spec.parameters?.uid)
  for (const uid of [alone, taken, project]) assert.equal(recorded.includes(uid), false)
})

/** The deletion of a project that takes its databases along, accepted while nobody leads. */
async function deletionOf(project: string, meanwhile: () => Promise<unknown>): Promise<Operation> {
  region.lead(false)
  const target = { kind: 'project' as const, project }
  const parameters = { cascade: true, retainVolumes: true, keepDays: 7 }
  const deletion = await region.accept({ action: 'delete', target, parameters })
  await meanwhile()
  region.lead(true)
  return deletion
}
const secretsOf = async (id: string) => Object.keys((await read(pathOf(kinds.Secret, 'skerry', `retained-${id}`)))?.data ?? {})

test('a database that somebody deletes while its project is being deleted is kept as it was, with its Secrets', async () => {
  await region.ended(await region.putProject('lock'))
  const uid = await put('tide', 'lock')
  const deletion = await deletionOf('lock', async () => {
    await remove(pathOfDatabase('tide', 'lock'))
    await untilGone(pathOfDatabase('tide', 'lock'))
  })
  assert.equal((await region.ended(deletion)).status?.phase, 'Succeeded')
  const kept = await keptBy(await recordOf(uid))
  assert.deepEqual([kept.spec.origin, kept.spec.expiresAt, kept.spec.wanted?.version], ['outside', undefined, '5.10.1'])
  assert.deepEqual(await secretsOf(kept.metadata.name), ['user-password-tide-0'])
})

test('a database that somebody is deleting when its project is, is kept as it was, with its Secrets', async () => {
  await region.ended(await region.putProject('dock'))
  const uid = await put('tide', 'dock')
  const path = pathOfDatabase('tide', 'dock')
  const held = (finalizers: string[]) =>
    region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { metadata: { finalizers } } })
  await held(['example.org/hold'])
  const deletion = await deletionOf('dock', () => remove(path))
  const kept = await keptBy(await recordOf(uid))
  assert.notEqual(kept.spec.cratedb, undefined)
  await held([])
  assert.equal((await region.ended(deletion)).status?.phase, 'Succeeded')
  assert.deepEqual([kept.spec.origin, kept.spec.expiresAt, kept.spec.wanted?.version], ['outside', undefined, '5.10.1'])
  assert.deepEqual(await secretsOf(kept.metadata.name), ['user-password-tide-0'])
})

async function keptBy({ status }: Operation): Promise<RetainedDatabase> {
  const path = pathOf(kinds.RetainedDatabase, 'skerry', String(status?.result?.deletedDatabase))
  return region.admin.request<RetainedDatabase>({ method: 'GET', path })
}
