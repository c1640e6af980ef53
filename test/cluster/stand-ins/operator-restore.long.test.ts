import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { crateDbDefinition, crateDbDefinition264 } from '../crds/index.ts'
import { type Fixture, hasEnded, progressIn, type Subject, startFixture } from './fixture.ts'

const id = 'cluster_restore/spec.cluster.restoreSnapshot'

describe('the operator stand-in restores a snapshot', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture({ nodes: 3 })
  })
  after(() => fixture.stop())

  const keys = ['accessKeyId', 'secretAccessKey', 'bucket', 'basePath']
  const request = (secret: string) => ({
    snapshot: 'before-the-storm',
    type: 'tables',
    tables: ['doc.readings'],
    ...Object.fromEntries(keys.map((key) => [key, { secretKeyRef: { name: secret, key } }])),
  })

  async function withSecret(subject: Subject): Promise<string> {
    const name = `restore-from-backup-${subject.name}`
    const data = Object.fromEntries(keys.map((key) => [key, Buffer.from('x').toString('base64')]))
    await fixture.observer.create('Secret', { metadata: { name, namespace: subject.namespace }, data }, { fieldManager: 'test' })
    return name
  }

  /** Requests a restore; resolves once it was tried and the request was removed from the spec. */
  async function restore(subject: Subject, secret: string) {
    return subject.run(async () => {
      await subject.edit({ spec: { cluster: { restoreSnapshot: request(secret) } } })
      await subject.until(({ spec }) => spec.cluster.restoreSnapshot?.snapshot === '')
    })
  }

  test('ends with a result, an empty name, and no credentials left', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const secret = await withSecret(subject)
    await restore(subject, secret)
    const { status, spec } = subject.now()
    assert.match(status[id].ref, /^[0-9a-f]{32}$/)
    assert.deepEqual(status[`${id}/send_success_notification`], { success: true, ref: status[id].ref })
    assert.deepEqual(Object.keys(spec.cluster.restoreSnapshot).sort(), [...keys, 'snapshot'].sort())
    await fixture.untilGone('Secret', `${subject.namespace}/${secret}`)
    const deployment = await fixture.read('Deployment', `${subject.namespace}/backup-metrics-gauge`)
    assert.equal(deployment.spec.replicas, 1)
  })

  const failures = [
    { name: 'a Secret that is missing', message: 'Secret no-such-secret could not be found.', secret: 'no-such-secret' },
    { name: 'a snapshot that does not exist', message: /^Snapshot before-the-storm does not exist in repository restore_backup_\d+\.$/ },
  ]
  for (const { name, message, secret } of failures) {
    test(`resets the request although it has failed over ${name}`, async () => {
      const subject = await fixture.created(await fixture.project(), 'gauge')
      fixture.standIns.database.state(subject.namespace, 'gauge').snapshots = new Set(['another'])
      const seen = await restore(subject, secret ?? (await withSecret(subject)))
      const failed = seen
        .map((object) => Object.entries(progressIn(object)).find(([, { failure }]) => failure)?.[1])
        .find((progress) => progress !== undefined)
      if (typeof message === 'string') assert.equal(failed?.message, message)
      else assert.match(failed?.message ?? '', message)
      const { status, spec } = subject.now()
      assert.equal(status[`${id}/send_success_notification`], undefined)
      assert.deepEqual(status[`${id}/reset_snapshot`], { success: true, ref: status[id].ref })
      assert.equal(spec.cluster.restoreSnapshot.snapshot, '')
    })
  }

  test('does not get past the preparations in a database without backups', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge', (spec) => {
      delete spec.backups
    })
    await subject.edit({ spec: { cluster: { restoreSnapshot: request(await withSecret(subject)) } } })
    const stuck = await subject.until((object) =>
      Object.values(progressIn(object)).some(({ message }) => message?.includes('backup-metrics-gauge')),
    )
    assert.equal(hasEnded(stuck), false)
    assert.equal(stuck.status[`${id}/before_restore_backup`], undefined)
  })
})

const stores = [
  { version: '2.63.0', crd: crateDbDefinition, endpoint: undefined },
  { version: '2.64.0', crd: crateDbDefinition, endpoint: undefined },
  { version: '2.64.0', crd: crateDbDefinition264, endpoint: 'https://s3.quay.example' },
]
for (const { version, crd, endpoint } of stores) {
  const has = crd === crateDbDefinition264
  test(`the operator stand-in ${version}, with a CRD that ${has ? 'has' : 'lacks'} endpointUrl, restores from ${endpoint ?? 'S3'}`, async (t) => {
    const fixture = await startFixture({ nodes: 1, crds: [crd], operator: { version } })
    t.after(() => fixture.stop())
    const subject = await fixture.created(await fixture.project(), 'gauge', (spec) => {
      spec.nodes.data[0].replicas = 1
    })
    const fields = { accessKeyId: 'a', secretAccessKey: 's', bucket: 'b', basePath: 'p', endpointUrl: 'https://s3.quay.example' }
    const data = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
    await fixture.observer.create('Secret', { metadata: { name: 'kept', namespace: subject.namespace }, data }, { fieldManager: 'test' })
    const refs = Object.fromEntries(Object.keys(fields).map((key) => [key, { secretKeyRef: { name: 'kept', key } }]))
    await subject.run(async () => {
      await subject.edit({ spec: { cluster: { restoreSnapshot: { snapshot: 'before-the-storm', ...refs } } } })
      await subject.until(({ spec }) => spec.cluster.restoreSnapshot?.snapshot === '')
    })
    const [repository] = fixture.standIns.database.state(subject.namespace, subject.name).repositories
    const without = { access_key: 'a', base_path: 'p', bucket: 'b', secret_key: 's' }
    assert.deepEqual(repository, endpoint === undefined ? without : { ...without, endpoint })
  })
}
