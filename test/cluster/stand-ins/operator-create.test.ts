import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { StandInKind } from '../client/kinds.ts'
import type { KubernetesObject } from '../client/objects.ts'
import { type Fixture, hasEnded, progressIn, type Subject, startFixture } from './fixture.ts'

describe('the operator stand-in creates a database', () => {
  let fixture: Fixture
  before(async () => {
    fixture = await startFixture({ nodes: 6 })
  })
  after(() => fixture.stop())

  /** Creates a database whose pods become ready only once the condition holds; resolves once it is GREEN. */
  async function createdAfter(seen: (object: KubernetesObject) => boolean): Promise<Subject> {
    const namespace = await fixture.project()
    fixture.standIns.kubelet.setFaults(`${namespace}/*`, { neverReady: true })
    const subject = await fixture.create(namespace, 'gauge')
    await subject.until(seen)
    fixture.standIns.kubelet.clearFaults(`${namespace}/*`)
    await subject.until((object) => hasEnded(object) && object.status?.crateDBStatus?.health === 'GREEN')
    return subject
  }
  const waits = (object: KubernetesObject) => progressIn(object)['cluster_create.bootstrap'] !== undefined
  const isUnreachable = ({ status }: KubernetesObject) => status?.crateDBStatus?.health === 'UNREACHABLE'

  test('adds its finalizer before anything else', async () => {
    const subject = await fixture.created(await fixture.project(), 'gauge')
    const [first, second] = subject.history
    assert.equal(first?.metadata.finalizers, undefined)
    assert.deepEqual(second?.metadata.finalizers, ['operator.cloud.crate.io/finalizer'])
    assert.deepEqual(progressIn(second as never), {})
    assert.equal(second?.status, undefined)
  })

  test('shows progress in the shape of Kopf while it waits for the pods', async () => {
    const subject = await createdAfter(waits)
    const working = subject.history.find((object) => progressIn(object)['cluster_create.bootstrap'])
    const progress = progressIn(working as never)
    const { started, delayed, ...bootstrap } = progress['cluster_create.bootstrap'] as never as Record<string, string>
    assert.deepEqual(bootstrap, { purpose: 'create', retries: 1, success: false, failure: false, message: 'None' })
    assert.match(started ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/)
    assert.ok((delayed ?? '') > (started ?? ''))
    assert.equal(progress['cluster_create.services']?.success, true)
    assert.deepEqual(progress.cluster_create?.subrefs, [
      ...['backup', 'bootstrap', 'services', 'sql_exporter_config', 'statefulset_data_hot', 'system_user'].map(
        (id) => `cluster_create/${id}`,
      ),
    ])
    assert.equal(working?.metadata.annotations?.['operator.cloud.crate.io/kopf-managed'], 'yes')
    assert.equal(working?.metadata.annotations?.['operator.cloud.crate.io/last'], undefined)
    assert.equal(typeof working?.status.subhandlerStartedAt.CreateUsersSubHandler.started, 'number')
  })

  test('ends in one write: the result, what it handled, and no progress left', async () => {
    const subject = await createdAfter(waits)
    const index = subject.history.findIndex(hasEnded)
    const [before, end] = [subject.history[index - 1], subject.history[index]]
    assert.equal(before?.status['cluster_create/bootstrap'], undefined)
    assert.notDeepEqual(progressIn(before as never), {})
    assert.equal(end?.status['cluster_create/bootstrap'].success, true)
    assert.match(end?.status['cluster_create/bootstrap'].ref, /^[0-9a-f]{32}$/)
    assert.deepEqual(end?.status.cluster_create, {})
    const last = end?.metadata.annotations?.['operator.cloud.crate.io/last'] ?? ''
    assert.deepEqual(JSON.parse(last), { spec: end?.spec, metadata: { labels: end?.metadata.labels } })
    assert.ok(last.endsWith('}\n'))
  })

  test('writes health by itself: unreachable while the pods start, green after the end', async () => {
    const subject = await createdAfter(isUnreachable)
    const all = subject.history.map(({ status }) => status?.crateDBStatus?.health)
    const changes = all.filter((health, index) => index > 0 && health !== all[index - 1])
    assert.equal(changes[0], 'UNREACHABLE')
    assert.equal(changes.at(-1), 'GREEN')
    const ended = subject.history.findIndex(hasEnded)
    assert.equal(subject.history[ended]?.status.crateDBStatus.health, subject.history[ended - 1]?.status.crateDBStatus.health)
  })

  test('makes the objects of a database, owned by it and labelled as it is', async () => {
    const namespace = await fixture.project()
    const subject = await fixture.created(namespace, 'gauge', ({ nodes }) => {
      const { name: _, ...masters } = structuredClone(nodes.data[0])
      nodes.master = { ...masters, replicas: 3 }
      nodes.data.push({ ...structuredClone(nodes.data[0]), name: 'cold', replicas: 1 })
    })
    const expected: Partial<Record<StandInKind, string[]>> = {
      StatefulSet: ['crate-data-cold-gauge', 'crate-data-hot-gauge', 'crate-master-gauge'],
      PodDisruptionBudget: ['crate-data-cold-gauge', 'crate-data-hot-gauge', 'crate-master-gauge'],
      Service: ['crate-discovery-gauge', 'crate-gauge'],
      ConfigMap: ['crate-sql-exporter-gauge'],
      Role: ['crate-gauge'],
      RoleBinding: ['crate-gauge'],
      CronJob: ['create-snapshot-gauge'],
      Deployment: ['backup-metrics-gauge'],
    }
    for (const [kind, names] of Object.entries(expected) as [StandInKind, string[]][]) {
      const owned = (await fixture.list(kind, namespace)).filter(
        ({ metadata }) => metadata.ownerReferences?.[0]?.uid === subject.now().metadata.uid,
      )
      assert.deepEqual(owned.map(({ metadata }) => metadata.name).sort(), names, kind)
    }
    const secrets = (await fixture.list('Secret', namespace)).filter(({ metadata }) => metadata.ownerReferences?.[0]?.kind === 'CrateDB')
    assert.deepEqual(secrets.map(({ metadata }) => metadata.name).sort(), ['user-gc-gauge', 'user-system-gauge'])
    assert.ok(secrets.every(({ data }) => Buffer.from(data.password, 'base64').length === 50))

    const [set] = (await fixture.list('StatefulSet', namespace)).filter(({ metadata }) => metadata.name === 'crate-data-hot-gauge')
    assert.deepEqual(set?.metadata.labels, {
      'example.com/project': namespace,
      'app.kubernetes.io/managed-by': 'crate-operator',
      'app.kubernetes.io/part-of': 'cratedb',
      'app.kubernetes.io/component': 'cratedb',
      'app.kubernetes.io/name': 'gauge',
      'cloud.crate.io/node-name': 'hot',
      'cloud.crate.io/node-data': 'true',
    })
    const { updateStrategy, podManagementPolicy, serviceName, template, volumeClaimTemplates } = set?.spec ?? {}
    assert.deepEqual(
      { ...updateStrategy, podManagementPolicy, serviceName },
      { type: 'OnDelete', podManagementPolicy: 'Parallel', serviceName: 'cratedb' },
    )
    const [crate] = template.spec.containers
    assert.equal(crate.image, 'crate:5.10.1')
    assert.deepEqual(crate.resources, { limits: { cpu: '2', memory: '4Gi' }, requests: { cpu: '1', memory: '4Gi' } })
    assert.equal(crate.env.find(({ name }: { name: string }) => name === 'CRATE_HEAP_SIZE').value, String(2 ** 30))
    const storage = volumeClaimTemplates.map(({ metadata, spec }: Json) => [
      metadata.name,
      spec.resources.requests.storage,
      spec.storageClassName,
    ])
    assert.deepEqual(storage, [
      ['data0', '64Gi', 'crate-premium'],
      ['debug', '64Gi', 'crate-standard'],
    ])

    const claims = await fixture.list('PersistentVolumeClaim', namespace)
    const names = claims.map(({ metadata }) => metadata.name)
    assert.equal(names.length, 12)
    assert.ok(names.includes('data0-crate-data-hot-gauge-1') && names.includes('debug-crate-master-gauge-2'))
    assert.ok(claims.every(({ metadata, status }) => metadata.ownerReferences?.[0]?.kind === 'CrateDB' && status.phase === 'Bound'))
    assert.deepEqual(Object.keys(claims[0]?.metadata.labels ?? {}).sort(), [
      'app.kubernetes.io/component',
      'app.kubernetes.io/name',
      'cloud.crate.io/node-name',
    ])
    const hasAddress = ({ status }: KubernetesObject) => status?.loadBalancer?.ingress?.length > 0
    const service = await fixture.until('Service', `${namespace}/crate-gauge`, hasAddress)
    assert.equal(service.spec.type, 'LoadBalancer')
    assert.deepEqual(service.spec.loadBalancerSourceRanges, ['10.20.0.0/16'])
    assert.match(service.status.loadBalancer.ingress[0].ip, /^192\.0\.2\.\d+$/)
  })

  test('goes on once the Secret of a user is there', async () => {
    const subject = await fixture.create(await fixture.project(), 'gauge', ({ users }) => {
      users[0].password.secretKeyRef.name = 'user-password-gauge-1'
    })
    await subject.until((object) => (progressIn(object)['cluster_create.bootstrap']?.message ?? '').includes('user-password-gauge-1'))
    const secret = { metadata: { name: 'user-password-gauge-1', namespace: subject.namespace }, data: { password: 'b3BlbiBzZXNhbWU=' } }
    await fixture.observer.create('Secret', secret, { fieldManager: 'test' })
    await subject.until(hasEnded)
    assert.equal(subject.now().status['cluster_create/bootstrap'].success, true)
  })

  test('deletes a database with its volumes, and leaves the Secrets of its users', async () => {
    const namespace = await fixture.project()
    const subject = await fixture.created(namespace, 'gauge')
    await fixture.observer.remove('CrateDB', subject)
    await fixture.untilGone('CrateDB', subject.key)
    await fixture.untilGone('StatefulSet', `${namespace}/crate-data-hot-gauge`)
    for (const pod of ['0', '1']) {
      await fixture.untilGone('Pod', `${namespace}/crate-data-hot-gauge-${pod}`)
      await fixture.untilGone('PersistentVolumeClaim', `${namespace}/data0-crate-data-hot-gauge-${pod}`)
    }
    await fixture.untilGone('Secret', `${namespace}/user-system-gauge`)
    await fixture.until('Secret', `${namespace}/user-password-gauge-0`, () => true)
  })

  test('gives heap-dump volumes the size and the class that its environment names at that moment, else those of its own', async () => {
    const volumes = async (env: { name: string; value: string }[]) => {
      const containers = [{ name: 'operator', image: 'crate/crate-operator:2.63.0', env }]
      const at = { namespace: 'crate-operator', name: 'crate-operator' }
      await fixture.standIns.world.patch('Deployment', at, { spec: { template: { spec: { containers } } } }, { fieldManager: 'test' })
      const { namespace } = await fixture.created(await fixture.project(), 'gauge')
      const claims = (await fixture.list('PersistentVolumeClaim', namespace)).filter(({ metadata }) => metadata.name.startsWith('debug-'))
      return [...new Set(claims.map(({ spec }) => `${spec.resources.requests.storage} ${spec.storageClassName}`))]
    }
    const named = (name: string, value: string) => ({ name: `CRATEDB_OPERATOR_DEBUG_VOLUME_${name}`, value })
    assert.deepEqual(await volumes([named('SIZE', '128GiB'), named('STORAGE_CLASS', 'default')]), ['128Gi default'])
    assert.deepEqual(await volumes([]), ['64Gi crate-standard'])
  })

  // biome-ignore lint/suspicious/noExplicitAny: the CRD's own shape
  const refused: { name: string; message: string; change(spec: any): void }[] = [
    {
      name: 'an even number of masters',
      message: 'Dedicated master nodes (spec.nodes.master.replicas) must be an odd number >= 3 to form a quorum, got 4.',
      change: ({ nodes }) => {
        nodes.master = { replicas: 4, resources: nodes.data[0].resources }
      },
    },
    {
      name: 'a group with the name of the masters',
      message: 'must not use the reserved name',
      change: ({ nodes }) => {
        nodes.data[0].name = 'master'
      },
    },
    {
      name: 'two groups of one name',
      message: 'Duplicated: hot.',
      change: ({ nodes }) => nodes.data.push(nodes.data[0]),
    },
    {
      name: 'a group with a name that Kubernetes would refuse',
      message: "Invalid: 'Hot'.",
      change: ({ nodes }) => {
        nodes.data[0].name = 'Hot'
      },
    },
  ]
  for (const { name, message, change } of refused) {
    test(`refuses ${name}: the cycle ends without a result, the reason is in an Event`, async () => {
      const namespace = await fixture.project()
      const subject = await fixture.create(namespace, 'gauge', change)
      await subject.until(hasEnded)
      assert.equal(subject.now().status?.['cluster_create/bootstrap'], undefined)
      assert.deepEqual(await fixture.list('StatefulSet', namespace), [])
      const event = await fixture.event(namespace, /Handler 'cluster_create' failed permanently/)
      assert.ok(event.message.includes(message), event.message)
      assert.deepEqual([event.reason, event.involvedObject.kind, event.involvedObject.name], ['Logging', 'CrateDB', 'gauge'])
    })
  }
})

// biome-ignore lint/suspicious/noExplicitAny: an assertion on a missing field fails the test, which is what it's for
type Json = any
