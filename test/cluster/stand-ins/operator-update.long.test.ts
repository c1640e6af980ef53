import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KubernetesObject } from '../client/objects.ts'
import { lastHandled } from './crate-operator/traces.ts'
import { type Fixture, hasEnded, messagesOf, progressIn, type Subject, startFixture } from './fixture.ts'
import { parseQuantity } from './quantity.ts'

describe('the operator stand-in updates a database', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture({ nodes: 4 })
  })
  after(() => fixture.stop())

  const refOf = (object: KubernetesObject): string | undefined => object.status?.cluster_update?.ref
  const result = (subject: Subject, id: string) =>
    subject.now().status?.[`cluster_update/${id}`] as { success: boolean; ref: string } | undefined

  /** The latest run has this result, under its own ref. */
  function assertSucceeded(subject: Subject, id: string, before?: string): void {
    const ref = refOf(subject.now())
    assert.match(ref ?? '', /^[0-9a-f]{32}$/)
    assert.notEqual(ref, before)
    assert.deepEqual(result(subject, id), { success: true, ref })
  }

  const imagesOf = async (subject: Subject): Promise<string[]> =>
    (await fixture.pods(subject.namespace, 2)).map(({ spec }) => spec.containers[0].image as string)

  test('scales up: the steps wait for each other, the nodes come, the result bears the ref of the run', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const added = `${subject.namespace}/crate-data-hot-gauge-2`
    fixture.standIns.kubelet.setFaults(added, { neverReady: true })
    const waiting = 'Waiting for nodes data-hot-2 to be present.'
    const seen = await subject.run(async () => {
      await subject.editGroup((group) => Object.assign(group, { replicas: 3 }))
      await subject.until((object) => progressIn(object)['cluster_update.scale']?.message === waiting)
      fixture.standIns.kubelet.clearFaults(added)
    })
    assertSucceeded(subject, 'scale')
    assertSucceeded(subject, 'before_cluster_update')
    assertSucceeded(subject, 'after_cluster_update')
    await fixture.pods(subject.namespace, 3)
    const messages = messagesOf(seen, 'cluster_update.scale')
    assert.equal(messages[0], "Waiting for 'cluster_update/before_cluster_update'.")
    assert.ok(messages.includes(waiting), messages.join('\n'))
    const first = seen.find((object) => progressIn(object).cluster_update)
    assert.equal(refOf(first as never), refOf(subject.now()))
    assert.ok(progressIn(first as never)['cluster_update.before_cluster_update.set_cluster_routing-etH0aA'], 'a long id is cut and hashed')
  })

  test('scales down, and keeps the volumes of the nodes that go', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 1 })))
    assertSucceeded(subject, 'scale')
    await fixture.pods(subject.namespace, 1)
    await fixture.until('PersistentVolumeClaim', `${subject.namespace}/data0-crate-data-hot-gauge-1`, () => true)
  })

  /*
   * crate-operator 2.63.0 (commit 6f47c86) with Kopf 1.37.1: `scale.py`, `handlers/handle_update_cratedb.py`, `utils/kopf.py`; Kopf's
   * `_core/intents/causes.py` (NOOP) and `_core/reactor/processing.py`.
   */
  test('each run has a ref of its own, also for the same change again', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const refs: (string | undefined)[] = []
    // Suspended at the end, so that its nodes take no room from later tests.
    for (const replicas of [0, 2, 0]) {
      await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas })))
      refs.push(refOf(subject.now()))
    }
    assert.equal(new Set(refs).size, 3, `${refs}`)
  })

  describe('with a node that no host takes', () => {
    const present = 'Waiting for nodes data-hot-2, data-hot-3, data-hot-4 to be present.'
    /** It has two nodes, and waits for three more on four hosts. */
    async function waiting(): Promise<Subject> {
      const subject = await fixture.created(await fixture.project(), 'gauge')
      await subject.editGroup((group) => Object.assign(group, { replicas: 5 }))
      await subject.until((object) => progressIn(object)['cluster_update.scale']?.message === present)
      return subject
    }
    const setOf = (subject: Subject) => fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-gauge`)

    test('does nothing when the spec is put back: the records and the replicas stay', async () => {
      const subject = await waiting()
      const before = progressIn(subject.now())
      await subject.editGroup((group) => Object.assign(group, { replicas: 2 }))
      await subject.until(({ spec, status }) => spec.nodes.data[0].replicas === 2 && status.crateDBStatus.health === 'YELLOW')
      assert.deepEqual(progressIn(subject.now()), before)
      assert.equal((await setOf(subject)).spec.replicas, 5)
    })

    test('waits for a result that never comes when the spec changes again', async () => {
      const subject = await waiting()
      await subject.editGroup((group) => Object.assign(group, { replicas: 4 }))
      await subject.until(
        (object) => progressIn(object)['cluster_update.scale']?.message === "Waiting for 'cluster_update/before_cluster_update'.",
      )
      assert.equal((await setOf(subject)).spec.replicas, 5)
    })

    test('does not scale down from there, and sets what it scales up to', async () => {
      const subject = await waiting()
      const progress = Object.keys(progressIn(subject.now())).map((id) => [`operator.cloud.crate.io/${id}`, null])
      const { data } = subject.now().spec.nodes
      const from = async (handled: number) => {
        const spec = { ...subject.now().spec, nodes: { data: [{ ...data[0], replicas: handled }] } }
        const last = { 'operator.cloud.crate.io/last': JSON.stringify({ spec }) }
        const annotations = { ...Object.fromEntries(progress), ...last }
        await subject.edit({ metadata: { annotations }, spec: { nodes: { data: [{ ...data[0], replicas: 3 }] } } })
      }
      await from(5)
      await subject.until((object) => progressIn(object)['cluster_update.scale']?.message === 'Waiting for cluster to be healthy.')
      assert.equal((await setOf(subject)).spec.replicas, 5)
      await subject.run(() => from(2))
      const { spec } = await setOf(subject)
      assert.equal(spec.replicas, 3)
      assert.ok(spec.template.spec.containers[0].command.includes('-Cgateway.expected_data_nodes=3'))
      await fixture.pods(subject.namespace, 3)
    })
  })

  test('suspends and resumes: the Service goes and comes back with another address', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const service = `${subject.namespace}/crate-gauge`
    const addressed = (object: KubernetesObject) => object.status?.loadBalancer?.ingress?.length > 0
    const before = await fixture.until('Service', service, addressed)
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 0 })))
    assertSucceeded(subject, 'scale')
    assert.equal(result(subject, 'after_cluster_update'), undefined)
    await fixture.untilGone('Service', service)
    await subject.until(({ status }) => status.crateDBStatus.health === 'SUSPENDED')
    const cronJob = `${subject.namespace}/create-snapshot-gauge`
    assert.equal((await fixture.read('CronJob', cronJob)).spec.suspend, true)

    const suspended = refOf(subject.now())
    await subject.run(() => subject.editGroup((group) => Object.assign(group, { replicas: 2 })))
    assertSucceeded(subject, 'scale', suspended)
    const now = await fixture.until('Service', service, addressed)
    assert.notEqual(now.status.loadBalancer.ingress[0].ip, before.status.loadBalancer.ingress[0].ip)
    await subject.until(({ status }) => status.crateDBStatus.health === 'GREEN')
    const { delay_cronjob: delayed, delay_cronjob_start: since } = subject.now().status
    assert.equal(delayed, true)
    assert.ok(Math.abs(since - Date.now() / 1000) < 60)
    assert.equal((await fixture.read('CronJob', cronJob)).spec.suspend, true, 'for an hour still')
  })

  test('upgrades node by node, counting down the pods that are left', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const seen = await subject.run(() => subject.edit({ spec: { cluster: { version: '5.10.2' } } }))
    assertSucceeded(subject, 'after_upgrade')
    assert.deepEqual(await imagesOf(subject), ['crate:5.10.2', 'crate:5.10.2'])
    const pending = seen.map(({ status }) => status?.pendingPods?.length as number | undefined)
    const counts = pending.filter((count, index) => count !== pending[index - 1])
    assert.deepEqual(counts, [2, 1, undefined])
    const { pendingPods, pendingPodsTotal } = seen.find(({ status }) => status?.pendingPods)?.status ?? {}
    assert.equal(pendingPodsTotal, 2)
    assert.deepEqual(Object.keys(pendingPods[0]).sort(), ['name', 'uid'])
    assert.match(
      messagesOf(seen, 'cluster_update.restart').join('\n'),
      /Waiting for pod crate-data-hot-gauge-0 \([0-9a-f-]+\) to be terminated\./,
    )
    assert.equal(subject.now().status.delay_cronjob, true)
    const { persistent } = fixture.standIns.database.state(subject.namespace, 'gauge').settings
    assert.deepEqual([...persistent], [], 'shards are free to move again')
  })

  test('changes compute: the pods have the new resources and heap', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    await subject.run(() => subject.editGroup((group) => Object.assign(group.resources.limits, { cpu: 3, memory: '8Gi' })))
    assertSucceeded(subject, 'after_change_compute')
    for (const { spec } of await fixture.pods(subject.namespace, 2)) {
      assert.deepEqual(spec.containers[0].resources.limits, { cpu: '3', memory: '8Gi' })
      assert.ok(spec.containers[0].command.includes('-Cprocessors=3'))
    }
  })

  test('expands disks: suspended, larger, started again', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    await subject.run(() => subject.editGroup((group) => Object.assign(group.resources.disk, { size: '128GiB' })))
    for (const id of ['suspend_cluster', 'expand_volume', 'start_cluster']) assertSucceeded(subject, id)
    const claims = await fixture.list('PersistentVolumeClaim', subject.namespace)
    const data = claims.filter(({ metadata }) => metadata.name.startsWith('data0'))
    assert.deepEqual(
      data.map(({ status }) => parseQuantity(status.capacity.storage)),
      [128 * 2 ** 30, 128 * 2 ** 30],
    )
    await subject.until(({ status }) => status.crateDBStatus.health === 'GREEN')
  })

  test('suspends for nothing when a disk cannot grow: the API server refuses, and it keeps trying', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge', ({ nodes }) => {
      nodes.data[0].resources.disk.storageClass = 'crate-local'
    })
    await subject.editGroup((group) => Object.assign(group.resources.disk, { size: '128GiB' }))
    const stuck = await subject.until((object) =>
      (progressIn(object)['cluster_update.expand_volume']?.message ?? '').includes('must support resize'),
    )
    assert.deepEqual(await fixture.pods(subject.namespace, 0), [])
    assert.equal(progressIn(stuck)['cluster_update.expand_volume']?.failure, false)
  })

  test('changes the exposure of the Service, and refuses Traefik without a DNS name', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const key = `${subject.namespace}/crate-gauge`
    const seen = await subject.run(() => subject.edit({ spec: { cluster: { exposure: 'traefik' } } }))
    assert.equal(result(subject, 'change_exposure'), undefined)
    const failed = seen.map((object) => progressIn(object)['cluster_update.change_exposure']).find((progress) => progress?.failure)
    assert.equal(failed?.message, 'externalDNS is required when exposure=traefik')
    const refused = refOf(subject.now())
    await subject.run(() => subject.edit({ spec: { cluster: { exposure: 'loadbalancer', externalDNS: 'gauge.example' } } }))
    await subject.run(() => subject.edit({ spec: { cluster: { exposure: 'traefik' } } }))
    assertSucceeded(subject, 'change_exposure', refused)
    assert.equal((await fixture.read('Service', key)).spec.type, 'ClusterIP')
  })

  test('applies an allow list and a backup time without a run of their own', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const seen = await subject.run(() => subject.edit({ spec: { cluster: { allowedCIDRs: ['10.1.0.0/16'] } } }))
    assert.equal(refOf(subject.now()), undefined)
    assert.ok(hasEnded(seen.at(-1) as never))
    const service = await fixture.until(
      'Service',
      `${subject.namespace}/crate-gauge`,
      ({ spec }) => spec.loadBalancerSourceRanges?.[0] === '10.1.0.0/16',
    )
    assert.deepEqual(service.spec.loadBalancerSourceRanges, ['10.1.0.0/16'])
    await subject.run(() => subject.edit({ spec: { backups: { aws: { cron: '5 4 * * *' } } } }))
    await fixture.until('CronJob', `${subject.namespace}/create-snapshot-gauge`, ({ spec }) => spec.schedule === '5 4 * * *')
    assert.equal(refOf(subject.now()), undefined)
  })

  // biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
  const ignored: { name: string; change(group: any): void }[] = [
    { name: 'the heap ratio alone', change: ({ resources }) => Object.assign(resources, { heapRatio: 0.5 }) },
    { name: 'the number of disks', change: ({ resources }) => Object.assign(resources.disk, { count: 2 }) },
    { name: 'the storage class', change: ({ resources }) => Object.assign(resources.disk, { storageClass: 'crate-standard' }) },
    { name: 'labels of the pods', change: (group) => Object.assign(group, { labels: { a: 'b' } }) },
    { name: 'settings of a group', change: (group) => Object.assign(group, { settings: { 'node.attr.x': 'y' } }) },
  ]
  for (const { name, change } of ignored) {
    test(`notes ${name} as handled, and does nothing`, async () => {
      const subject = await fixture.created(await fixture.project(), 'gauge')
      const set = () => fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-gauge`)
      const { generation } = (await set()).metadata
      const seen = await subject.run(() => subject.editGroup(change))
      assert.equal(refOf(subject.now()), undefined)
      assert.ok(seen.every((object) => Object.keys(progressIn(object)).length === 0))
      assert.equal((await set()).metadata.generation, generation)
    })
  }

  test('does only the first of two changes in a group, and never the other', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    await subject.run(() =>
      subject.editGroup((group) => {
        group.replicas = 3
        group.resources.disk.size = '128GiB'
      }),
    )
    assertSucceeded(subject, 'scale')
    assert.equal(result(subject, 'expand_volume'), undefined)
    assert.equal(lastHandled(subject.now())?.spec.nodes.data[0].resources.disk.size, '128GiB')
    const claims = await fixture.list('PersistentVolumeClaim', subject.namespace)
    assert.ok(claims.every(({ spec }) => spec.resources.requests.storage === '64Gi'))
  })

  // biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
  const refused: { name: string; message: RegExp; change(nodes: any): void }[] = [
    {
      name: 'another data group',
      message: /went from 1 to 2 groups/,
      change: (nodes) => nodes.data.push({ ...nodes.data[0], name: 'cold' }),
    },
    {
      name: 'masters to nothing',
      message: /Scaling master nodes to or from zero/,
      change: (nodes) => Object.assign(nodes.master, { replicas: 0 }),
    },
    { name: 'an even number of masters', message: /odd number >= 3/, change: (nodes) => Object.assign(nodes.master, { replicas: 4 }) },
  ]
  for (const { name, message, change } of refused) {
    test(`refuses ${name}: the cycle ends without a new ref`, async (t) => {
      const subject = await fixture.created(await fixture.project(), 'gauge', ({ nodes }) => {
        if (name.includes('masters')) nodes.master = { replicas: 3, resources: nodes.data[0].resources }
        nodes.data[0].replicas = 1
      })
      const nodes = structuredClone(subject.now().spec.nodes)
      change(nodes)
      // If the API server checks it, the CRD itself refuses fewer than three masters.
      const edited = subject.run(() => subject.edit({ spec: { nodes } }))
      if (name === 'masters to nothing') {
        await assert.rejects(edited, /minimum|should be greater than or equal to 3/)
        return t.diagnostic('the API server refuses it already')
      }
      await edited
      assert.equal(refOf(subject.now()), undefined)
      await fixture.event(subject.namespace, message)
    })
  }

  test('refuses an upgrade whose Lucene version it does not know, and takes it back', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const seen = await subject.run(async () => {
      await subject.edit({ spec: { cluster: { version: '9.0.0' } } })
      await subject.until(({ spec }) => spec.cluster.version === '5.10.1')
    })
    const failed = seen.map((object) => progressIn(object)['cluster_update.before_upgrade']).find((progress) => progress?.failure)
    assert.equal(failed?.message, 'No Lucene version mapping found for target CrateDB 9. ')
    assert.equal(result(subject, 'after_upgrade'), undefined)
  })

  test('is stuck after an edit during a run: what comes later waits for a result with the new ref', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    fixture.standIns.kubelet.setFaults(`${subject.namespace}/crate-data-hot-gauge-2`, { neverReady: true })
    await subject.editGroup((group) => Object.assign(group, { replicas: 3 }))
    await subject.until((object) => progressIn(object)['cluster_update.scale']?.message === 'Waiting for nodes data-hot-2 to be present.')
    const first = refOf(subject.now())
    await subject.editGroup((group) => Object.assign(group, { replicas: 4 }))
    await subject.until((object) => refOf(object) !== first)
    fixture.standIns.kubelet.clearFaults()
    await fixture.until('Pod', `${subject.namespace}/crate-data-hot-gauge-2`, ({ status }) =>
      status.conditions?.some(({ type, status }: Json) => type === 'Ready' && status === 'True'),
    )
    const stuck = await subject.until(
      (object) => progressIn(object)['cluster_update.scale']?.message === "Waiting for 'cluster_update/before_cluster_update'.",
    )
    assert.equal(hasEnded(stuck), false)
    assert.equal((await fixture.read('StatefulSet', `${subject.namespace}/crate-data-hot-gauge`)).spec.replicas, 3)
  })

  test('is stuck after a mere label changes during a run', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    fixture.standIns.kubelet.setFaults(`${subject.namespace}/crate-data-hot-gauge-2`, { neverReady: true })
    await subject.editGroup((group) => Object.assign(group, { replicas: 3 }))
    await subject.until((object) => progressIn(object)['cluster_update.scale']?.message === 'Waiting for nodes data-hot-2 to be present.')
    await subject.edit({ metadata: { labels: { a: 'b' } } })
    await subject.until(
      (object) => progressIn(object)['cluster_update.scale']?.message === "Waiting for 'cluster_update/before_cluster_update'.",
    )
    fixture.standIns.kubelet.clearFaults()
    await subject.edit({ metadata: { labels: { a: null } } })
    await subject.until(hasEnded)
    assertSucceeded(subject, 'scale')
  })

  test('waits for a snapshot before any update', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const state = fixture.standIns.database.state(subject.namespace, 'gauge')
    state.snapshotStatement = 'CREATE SNAPSHOT system_backup.now ALL'
    await subject.editGroup((group) => Object.assign(group, { replicas: 3 }))
    await subject.until((object) =>
      Object.values(progressIn(object)).some(({ message }) => message?.startsWith('A snapshot is currently in progress')),
    )
    state.snapshotStatement = undefined
    await subject.until(hasEnded)
    assertSucceeded(subject, 'scale')
  })

  test('changes a password when its Secret does, and keeps a copy of the data in the annotation', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const key = `${subject.namespace}/user-password-gauge-0`
    const encoded = (text: string) => Buffer.from(text).toString('base64')
    const handled = (object: KubernetesObject, text: string) => lastHandled(object)?.data?.password === encoded(text)
    await fixture.until('Secret', key, (object) => handled(object, 'first-password'))
    const [namespace, name] = key.split('/') as [string, string]
    await fixture.observer.patch(
      'Secret',
      { namespace, name },
      { data: { password: encoded('second-password') } },
      { fieldManager: 'test' },
    )
    await fixture.until('Secret', key, (object) => handled(object, 'second-password') && Object.keys(progressIn(object)).length === 0)
    assert.equal(fixture.standIns.database.state(namespace, 'gauge').users.get('harbourmaster')?.password, 'second-password')
  })
})

// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, which is what it's for
type Json = any
