import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { KubernetesObject } from '../client/objects.ts'
import { lastHandled } from './crate-operator/traces.ts'
import { type Fixture, hasEnded, progressIn, startFixture } from './fixture.ts'

// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, which is what it's for
type Json = any

describe('the operator stand-in goes wrong', () => {
  let fixture: Fixture
  const posted: Json[] = []
  let arrived = () => {}
  const receiver = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      const { authorization, 'user-agent': agent } = request.headers
      posted.push({ ...JSON.parse(text), authorization, agent })
      arrived()
      response.writeHead(204).end()
    })
  })
  before(async () => {
    receiver.listen(0, '127.0.0.1')
    await once(receiver, 'listening')
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/operator`
    fixture = await startFixture({
      nodes: 3,
      operator: { webhook: { url, username: 'operator', password: 'webhook-password' }, cronJobDelayMs: 300 },
    })
  })
  after(async () => {
    await fixture.stop()
    receiver.closeAllConnections()
    receiver.close()
  })

  const faults = () => fixture.standIns.operator.faults
  const ref = ({ status }: KubernetesObject): string | undefined => status?.cluster_update?.ref
  const grow = (group: Json) => Object.assign(group, { replicas: group.replicas + 1 })

  /** Resolves with the matching webhooks of a database once there are enough. */
  async function webhooks(
    cluster: { namespace: string; name: string },
    count: number,
    fits: (body: Json) => boolean = () => true,
  ): Promise<Json[]> {
    const found = () => posted.filter((body) => body.namespace === cluster.namespace && body.cluster === cluster.name && fits(body))
    const deadline = AbortSignal.timeout(60_000)
    while (found().length < count) {
      await new Promise<void>((resolve, reject) => {
        arrived = resolve
        deadline.addEventListener('abort', () => reject(new Error(`only ${found().length} of ${count} webhooks came`)), { once: true })
      })
    }
    return found()
  }

  test('fails a step: the failure stands with its message, then all progress is gone and no result is left', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { fail: { 'cluster_update/scale': 'Shards would not move.' } })
    const seen = await subject.run(() => subject.editGroup(grow))
    const failures = seen.map((object) => progressIn(object)['cluster_update.scale']).filter((progress) => progress?.failure)
    assert.equal(failures[0]?.message, 'Shards would not move.')
    assert.equal(failures[0]?.success, false)
    assert.equal(typeof failures[0]?.stopped, 'string')
    const end = subject.now()
    assert.equal(end.status['cluster_update/scale'], undefined)
    assert.deepEqual(
      end.status['cluster_update/after_cluster_update'],
      { success: true, ref: ref(end) },
      'what cleans up runs all the same',
    )
    const [webhook] = await webhooks(subject, 1, ({ status }) => status === 'failure')
    assert.deepEqual(webhook.feedback_data, { message: 'Shards would not move.', operation: 'update', action: 'scale' })
    await fixture.event(subject.namespace, /Handler 'cluster_update\/scale' failed permanently: Shards would not move\./)
  })

  test('fails a step after some tries, and what depends on it too', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { fail: { before_cluster_update: { message: 'No connection.', retries: 2 } } })
    const seen = await subject.run(() => subject.editGroup(grow))
    const tries = seen
      .map((object) => progressIn(object)['cluster_update.before_cluster_update'])
      .filter((progress) => progress !== undefined)
    assert.ok(tries.some(({ retries, failure, message }) => retries === 2 && !failure && message === 'No connection.'))
    assert.ok(tries.some(({ retries, failure }) => retries === 3 && failure))
    const dependent = seen.map((object) => progressIn(object)['cluster_update.scale']).find((progress) => progress?.failure)
    assert.equal(dependent?.message, 'A dependency (cluster_update/before_cluster_update) has failed. Giving up.')
    assert.equal((await fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-gauge`)).spec.replicas, 2)
  })

  test('fails a step that takes longer than its limit', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const added = `${subject.namespace}/crate-data-hot-gauge-2`
    fixture.standIns.kubelet.setFaults(added, { neverReady: true })
    const seen = await subject.run(async () => {
      await subject.editGroup(grow)
      await subject.until((object) => progressIn(object)['cluster_update.scale']?.message?.startsWith('Waiting for nodes') ?? false)
      faults().set(subject.key, { timeOut: 'cluster_update/scale' })
    })
    const failed = seen.map((object) => progressIn(object)['cluster_update.scale']).find((progress) => progress?.failure)
    assert.match(failed?.message ?? '', /^ScaleSubHandler\.handle has timed out after \d+ s\.$/)
    assert.equal(subject.now().status['cluster_update/scale'], undefined)
    faults().clear(subject.key)
    fixture.standIns.kubelet.clearFaults(added)
  })

  test('fails the bootstrap of a new database', async () => {
    faults().set('doomed', { fail: { bootstrap: "Couldn't create system user" } })
    const subject = await fixture.create(await fixture.project(), 'doomed')
    await subject.until(hasEnded)
    assert.equal(subject.now().status['cluster_create/bootstrap'], undefined)
    assert.equal(subject.now().status['cluster_create/services'].success, true)
    faults().clear('doomed')
  })

  test('rolls an upgrade back in the spec alone, and remembers that the edit is its own', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { rollBackUpgrade: 'The new node does not start.' })
    const seen = await subject.run(async () => {
      await subject.edit({ spec: { cluster: { version: '5.10.2' } } })
      await subject.until(
        ({ spec, metadata }) =>
          spec.cluster.version === '5.10.1' && metadata.annotations?.['operator.cloud.crate.io/rollback-upgrade'] === 'false',
      )
    })
    const back = seen.find(({ spec }, index) => spec.cluster.version === '5.10.1' && seen[index - 1]?.spec.cluster.version === '5.10.2')
    assert.equal(back?.metadata.annotations?.['operator.cloud.crate.io/rollback-upgrade'], 'true')
    assert.deepEqual(progressIn(back as never), {}, 'the run ends in the same write')
    assert.equal(lastHandled(back as never)?.spec.cluster.version, '5.10.2', 'which is what it handled')
    const end = subject.now()
    assert.equal(end.status['cluster_update/after_upgrade'], undefined)
    assert.equal(end.metadata.annotations?.['operator.cloud.crate.io/RollbackUpgradeSubHandler'], '{"success": true, "failure": false}')
    assert.equal(end.status.RollbackUpgradeSubHandler.success, true)
    const set = await fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-gauge`)
    assert.equal(set.spec.template.spec.containers[0].image, 'crate:5.10.2')
  })

  test('stops in the middle: its progress stays, nothing moves, and it goes on when let', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { stopAt: 'after_cluster_update' })
    await subject.editGroup(grow)
    const frozen = await subject.until(
      ({ status }) => status['cluster_update/scale']?.ref === status.cluster_update?.ref && status.cluster_update !== undefined,
    )
    await fixture.observer.patch('CrateDB', subject, { status: { poked: true } }, { fieldManager: 'test' })
    const poked = await subject.until(({ status }) => status.poked)
    assert.deepEqual(progressIn(poked), progressIn(frozen))
    faults().clear(subject.key)
    await subject.until(({ status }) => status['cluster_update/after_cluster_update']?.success)
  })

  test('never starts on a new database, nor touches it', async () => {
    faults().set('unseen', { neverStart: true })
    const subject = await fixture.create(await fixture.project(), 'unseen')
    await fixture.created(subject.namespace, 'seen')
    assert.equal(subject.history.length, 1)
    assert.equal(subject.now().metadata.finalizers, undefined)
    faults().clear('unseen')
    await subject.until(hasEnded)
  })

  test('holds the finalizer of a deleted database', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { holdFinalizer: true })
    await fixture.observer.remove('CrateDB', subject)
    const held = await subject.until(({ metadata }) => metadata.deletionTimestamp !== undefined)
    assert.deepEqual(held.metadata.finalizers, ['operator.cloud.crate.io/finalizer'])
    faults().clear(subject.key)
    await fixture.untilGone('CrateDB', subject.key)
  })

  test('leaves a stale health behind', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().set(subject.key, { staleHealth: 'YELLOW' })
    await subject.until(({ status }) => status.crateDBStatus.health === 'YELLOW')
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 0 })))
    assert.equal(subject.now().status.crateDBStatus.health, 'YELLOW')
    faults().clear(subject.key)
    await subject.until(({ status }) => status.crateDBStatus.health === 'SUSPENDED')
  })

  test('is gone and comes back: its Deployment shows it, and it goes on from what it finds', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const deployment = (ready: number) =>
      fixture.until('Deployment', 'crate-operator/crate-operator', ({ status }) => (status.readyReplicas ?? 0) === ready)
    fixture.standIns.kubelet.setFaults(`${subject.namespace}/crate-data-hot-gauge-2`, { neverReady: true })
    await subject.editGroup(grow)
    await subject.until((object) => progressIn(object)['cluster_update.scale']?.message?.startsWith('Waiting for nodes') ?? false)
    await fixture.standIns.operator.pause()
    await deployment(0)
    const paused = await fixture.read('CrateDB', subject.key)
    fixture.standIns.kubelet.clearFaults()
    const unseen = await fixture.create(subject.namespace, 'unseen')
    await fixture.until('Pod', `${subject.namespace}/crate-data-hot-gauge-2`, ({ status }) =>
      (status.conditions ?? []).some(({ type, status }: Json) => type === 'Ready' && status === 'True'),
    )
    assert.deepEqual(progressIn(await fixture.read('CrateDB', subject.key)), progressIn(paused))
    assert.equal(unseen.now().metadata.finalizers, undefined)

    await fixture.standIns.operator.resume()
    await deployment(1)
    await subject.until(hasEnded)
    assert.equal(ref(subject.now()), ref(paused), 'it is the same run')
    assert.equal(subject.now().status['cluster_update/scale'].ref, ref(paused))
    await unseen.until(hasEnded)
  })

  test('runs while its Deployment has replicas, and says so there', async () => {
    const at = { namespace: 'crate-operator', name: 'crate-operator' }
    const scale = (replicas: number) => fixture.standIns.world.patch('Deployment', at, { spec: { replicas } }, { fieldManager: 'test' })
    const shows = (replicas: number) =>
      fixture.until(
        'Deployment',
        'crate-operator/crate-operator',
        ({ metadata, status }) =>
          status.observedGeneration === metadata.generation &&
          (status.replicas ?? 0) === replicas &&
          (status.readyReplicas ?? 0) === replicas,
      )
    await scale(0)
    await shows(0)
    const unseen = await fixture.create(await fixture.project(), 'unseen')
    await fixture.standIns.operator.pause()
    await scale(1)
    await fixture.until('Deployment', 'crate-operator/crate-operator', ({ spec }) => spec.replicas === 1)
    assert.equal(unseen.now().metadata.finalizers, undefined, 'its process has not come up again')
    await scale(0)
    await fixture.standIns.operator.resume()
    await shows(0)
    assert.equal(unseen.now().metadata.finalizers, undefined)
    await scale(1)
    await shows(1)
    await unseen.until(hasEnded)
  })

  test('sends webhooks as documented', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const [created] = await webhooks(subject, 1, ({ feedback_data }) => feedback_data?.action === 'create')
    const { authorization, agent, ...body } = created
    assert.equal(authorization, `Basic ${Buffer.from('operator:webhook-password').toString('base64')}`)
    assert.equal(agent, 'cratedb-operator/2.63.0')
    assert.deepEqual(body, {
      event: 'feedback',
      status: 'success',
      namespace: subject.namespace,
      cluster: 'gauge',
      scale_data: null,
      upgrade_data: null,
      compute_changed_data: null,
      temporary_failure_data: null,
      info_data: null,
      health_data: null,
      feedback_data: { message: 'The cluster has been created successfully.', operation: 'create', action: 'create' },
      backup_schedule_data: null,
      admin_username_changed_data: null,
    })
    const [address] = await webhooks(subject, 1, ({ event }) => event === 'info_changed')
    assert.match(address.info_data.external_ip, /^192\.0\.2\./)
    await subject.run(() => subject.editGroup(grow))
    const [scaled] = await webhooks(subject, 1, ({ event }) => event === 'scale')
    // They passed through the status, and Kubernetes 1.20 drops nulls inside a list.
    const masters = { old_master_replicas: null, new_master_replicas: null }
    assert.deepEqual(
      { ...masters, ...scaled.scale_data },
      {
        ...masters,
        old_data_replicas: [{ name: 'hot', replicas: 2 }],
        new_data_replicas: [{ name: 'hot', replicas: 3 }],
      },
    )
  })

  test('sends webhooks twice and out of order', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    // Only what the edit sends is to be reversed.
    await webhooks(subject, 1, ({ health_data }) => health_data?.status === 'GREEN')
    await webhooks(subject, 1, ({ event }) => event === 'info_changed')
    const isOfAllowList = ({ feedback_data }: Json) => feedback_data?.action === 'allowed_cidr_update'
    const before = await webhooks(subject, 2, isOfAllowList)
    faults().webhooks({ copies: 2, reverseEvery: 2 })
    await subject.run(() => subject.edit({ spec: { cluster: { allowedCIDRs: ['10.9.0.0/16'] } } }))
    const sent = (await webhooks(subject, before.length + 4, isOfAllowList)).slice(before.length)
    assert.deepEqual(
      sent.map(({ status }) => status),
      ['success', 'success', 'in_progress', 'in_progress'],
    )
    faults().webhooks({})
  })

  test('sends webhooks late: the operation is over by then', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    faults().webhooks({ late: true })
    await subject.run(() => subject.editGroup(grow))
    assert.deepEqual(
      posted.filter(({ namespace, event }) => namespace === subject.namespace && event === 'scale'),
      [],
    )
    faults().webhooks({})
    await webhooks(subject, 1, ({ event }) => event === 'scale')
  })

  test('brings the CronJob back a while after an upgrade, not with its end', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    await subject.run(() => subject.edit({ spec: { cluster: { version: '5.10.2' } } }))
    const cronJob = `${subject.namespace}/create-snapshot-gauge`
    await fixture.until('CronJob', cronJob, ({ spec }) => spec.suspend === false)
    await subject.until(({ status }) => status.delay_cronjob === false)
  })
})

// Only the embedded API server can be made to fail.
if (process.env.SKERRY_CLUSTER !== 'real')
  test('the stand-ins go on while the API server fails now and then', async (t) => {
    const fixture = await startFixture()
    t.after(() => fixture.stop())
    const namespace = await fixture.project()
    const subject = await fixture.create(namespace, 'gauge', () => {
      fixture.cluster.faults?.set({ errorRate: 0.1, lostAnswerRate: 0.1, conflictRate: 0.1 })
    })
    t.after(() => fixture.cluster.faults?.clear())
    await subject.until((object) => hasEnded(object) && object.status?.crateDBStatus?.health === 'GREEN')
    fixture.cluster.faults?.dropWatches()
    fixture.cluster.faults?.clear()
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 3 })))
    assert.equal(subject.now().status['cluster_update/scale'].success, true)
  })
