import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { smallDatabase } from '../operations/acting-region.ts'
import { namespace, type QuietRegion, startQuietRegion, storageClasses } from './region.ts'

/* Skerry's own backups as members of a database: what a request for them is answered. */

let region: QuietRegion
const databases = '/v1/projects/harbour/databases'
const keys = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'a-secret-key' }
const s3 = { bucket: 'harbour-snapshots', endpointUrl: 'https://s3.harbour.example' }

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour' })
  await region.standDatabase('harbour', { id: 'plain' })
  await region.standDatabase('harbour', { id: 'saved', snapshots: { s3: { ...s3, basePath: 'x/y', ...keys }, keep: 7 } })
  await region.standDatabase('harbour', {
    ...{ id: 'often', snapshots: { s3: { ...s3, basePath: 'often', ...keys }, keep: 7, schedule: '* * * * *', rehearse: '0/5 * * * *' } },
  })
})
afterEach(async () => {
  for (const { metadata, status } of region.journal.all())
    if (!status?.endedAt) await region.end(metadata.name, { phase: 'Cancelled', reason: 'Cancelled', message: 'Cancelled by the test.' })
})
after(() => region?.close())

const patch = (id: string, snapshots: unknown) => region.call('PATCH', `${databases}/${id}`, { body: { snapshots } })

async function secretOf(name: string): Promise<Record<string, string>> {
  const secret = await region.admin.request<KubernetesObject>({ method: 'GET', path: pathOf(kinds.Secret, namespace, name) })
  const values = Object.entries(secret.data as Record<string, string>)
  return Object.fromEntries(values.map(([place, value]) => [place, Buffer.from(value, 'base64').toString()]))
}

test('own backups are added to a database that stands, with a folder of their own, and their keys are in no answer', async () => {
  const added = await patch('plain', { s3: { ...s3, ...keys }, schedule: '30 3 * * *' })
  assert.equal(added.status, 202, added.text)
  assert.deepEqual(await secretOf(added.body.secretName), {
    'snapshots.s3.accessKeyId': 'AKIAEXAMPLE',
    'snapshots.s3.secretAccessKey': 'a-secret-key',
  })
  const shown = await region.call('GET', `${databases}/plain`)
  const folder = 'harbour-1/harbour/plain'
  assert.deepEqual(shown.body.snapshots, { s3: { ...s3, basePath: folder }, schedule: '30 3 * * *', keep: 7 })
  const written = JSON.stringify(await region.journal.find(added.body.id))
  for (const text of [added.text, shown.text, written]) assert.ok(!text.includes('secret-key') && !text.includes('AKIA'), text)
})

test('they are refused without their keys, with each that is missing', async () => {
  for (const [given, missing] of [
    [{}, ['/snapshots/s3/accessKeyId', '/snapshots/s3/secretAccessKey']],
    [{ accessKeyId: 'AKIAEXAMPLE' }, ['/snapshots/s3/secretAccessKey']],
  ] as const) {
    const refused = await patch('plain', { s3: { ...s3, ...given } })
    assert.equal(refused.status, 422, refused.text)
    const faults: { path: string; message: string }[] = refused.body.faults
    assert.deepEqual(
      faults.map(({ path }) => path),
      missing,
    )
    assert.equal(faults[0]?.message, 'is required when snapshots are set up')
  }
})

test('one new key takes the other along, and no key at all changes none', async () => {
  const one = await patch('saved', { s3: { secretAccessKey: 'another' } })
  assert.equal(one.status, 202, one.text)
  assert.deepEqual(await secretOf(one.body.secretName), {
    'snapshots.s3.accessKeyId': 'AKIAEXAMPLE',
    'snapshots.s3.secretAccessKey': 'another',
  })
  const none = await patch('saved', { keep: 9 })
  assert.equal(none.status, 202, none.text)
  assert.equal(none.body.secretName, undefined)
  const same = await patch('saved', { keep: 9, s3: { accessKeyId: 'AKIAEXAMPLE', basePath: 'x/y' } })
  assert.equal(same.status, 200, same.text)
})

test('the folder of another database is refused: two writers destroy what is in it', async () => {
  const refused = await patch('plain', { s3: { ...s3, basePath: 'x/y', ...keys } })
  assert.equal(refused.status, 422, refused.text)
  assert.deepEqual(refused.body.faults, [
    { path: '/snapshots/s3/basePath', message: 'is the folder of another database of this region; each needs its own' },
  ])
})

test('so is one that was only asked for, and one whose store is written in another way', async () => {
  const asked = await region.call('PUT', `${databases}/wanted`, {
    body: { ...smallDatabase({ id: 'wanted' }), snapshots: { s3: { ...s3, basePath: 'y/z', ...keys } } },
  })
  assert.equal(asked.status, 202, asked.text)
  for (const place of [
    { ...s3, basePath: 'y/z' },
    { ...s3, basePath: 'x/y', endpointUrl: 'https://S3.harbour.example:443/' },
  ]) {
    const refused = await patch('plain', { s3: { ...place, ...keys } })
    assert.equal(refused.status, 422, refused.text)
    assert.equal(refused.body.faults[0].path, '/snapshots/s3/basePath')
  }
})

test('a plan shows what becomes of them, and the keys only as masked', async () => {
  const planned = await region.call('PATCH', `${databases}/plain?dryRun=true`, { body: { snapshots: { s3: { ...s3, ...keys } } } })
  assert.equal(planned.status, 200, planned.text)
  assert.ok(!planned.text.includes('secret-key') && !planned.text.includes(Buffer.from('a-secret-key').toString('base64')), planned.text)
  const steps: { name: string; consequences: string[] }[] = planned.body.steps
  assert.deepEqual(
    steps.map(({ name }) => name),
    ['credentials', 'snapshots'],
  )
  const removed = await region.call('PATCH', `${databases}/saved?dryRun=true`, { body: { snapshots: null } })
  assert.deepEqual(
    removed.body.steps[0].objects.map(({ kind, name, change }: Record<string, string>) => [kind, name, change]),
    [
      ['CrateDB', 'saved', 'change'],
      ['Secret', 'snapshots-saved', 'delete'],
    ],
  )
})

test('a schedule that comes more often than every 15 minutes is refused: each run is an entry of the ledger', async () => {
  const says = (apart: string) => `must not fall due more often than every 15 minutes, as "0/15 * * * *" does: it has times ${apart} apart`
  const { id: _, ...body } = smallDatabase({ id: 'new' })
  const refused = [
    await patch('saved', { schedule: '* * * * *', rehearse: '0/25 * * * *' }),
    await region.call('PUT', `${databases}/new`, {
      body: { ...body, snapshots: { s3: { ...s3, ...keys }, schedule: '* * * * *', rehearse: '0/25 * * * *' } },
    }),
  ]
  for (const { status, body, text } of refused) {
    assert.equal(status, 422, text)
    assert.deepEqual(body.faults, [
      { path: '/snapshots/schedule', message: says('one minute') },
      { path: '/snapshots/rehearse', message: says('10 minutes') },
    ])
  }
  const accepted = await patch('saved', { schedule: '0/15 * * * *', rehearse: '5,20,35,50 * * * *' })
  assert.equal(accepted.status, 202, accepted.text)
})

test('one that a database has from before stays as long as it is not changed', async () => {
  const other = await patch('often', { keep: 3 })
  assert.equal(other.status, 202, other.text)
  const { body: shown } = await region.call('GET', `${databases}/often`)
  assert.deepEqual([shown.snapshots.schedule, shown.snapshots.rehearse], ['* * * * *', '0/5 * * * *'])
  const again = await region.call('PUT', `${databases}/often`, { body: { ...shown, deletionProtection: true } })
  assert.equal(again.status, 202, again.text)
  const changed = await patch('often', { schedule: '0/5 * * * *', rehearse: '30 5 * * 0' })
  assert.equal(changed.status, 422, changed.text)
  assert.deepEqual(
    changed.body.faults.map(({ path }: { path: string }) => path),
    ['/snapshots/schedule'],
  )
})
