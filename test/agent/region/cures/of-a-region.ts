import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cures } from '../../../../agent/region/obstacles/cures.ts'
import { renderCures } from '../../../../agent/resources/cure.ts'
import type { Obstacle } from '../../../../agent/resources/operation.ts'
import { isNewer } from '../../../../shared/kubernetes/cache.ts'
import type { KubernetesObject } from '../../../../shared/kubernetes/objects.ts'
import { until } from '../../../cluster/index.ts'
import { smallDatabase } from '../../operations/acting-region.ts'
import { ofDatabase } from '../scene.ts'
import type { ActingScene } from './acting.ts'
import { operatorPod } from './of-the-operator.ts'

const running = { state: { running: {} } }
const saidByTheOperator = /said by operator of crate-operator\/crate-operator/

/** Projects and databases that an agent and an operator act on. */
export function curesOfARegion(acting: ActingScene): void {
  const { scene, standIns, trial, call, read, putProject, putDatabase, told, volumesOf, areKept } = acting
  const { faults } = standIns.operator
  const { admin } = scene

  const isReady = (project: string) =>
    until(`project ${project} is ready`, async () => readyOf(await read('Project', project))?.status === 'True')
  const isGone = (project: string) => until(`project ${project} is gone`, async () => (await read('Project', project)) === undefined)
  const projectTarget = (project: string) => ({ kind: 'project', project }) as const
  const databaseTarget = (project: string, database: string) => ({ kind: 'database', project, database }) as const

  /** What the agent has written into the status of a project: the cures as they stand in etcd. */
  const toldByTheAgent = (project: string, code: string): Promise<Obstacle> =>
    until(`${code} is told`, async () => {
      const blockers: Obstacle[] = (await read('Project', project))?.status?.blockers ?? []
      return blockers.find((blocker) => blocker.code === code)
    })

  test('a namespace of somebody else is handed over, with what is in it', async () => {
    const labels = { 'app.kubernetes.io/managed-by': 'Helm' }
    await scene.make({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'project-heron', labels } })
    const content: KubernetesObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'theirs', namespace: 'project-heron' } }
    await scene.make(content)
    await call('PUT', '/v1/projects/heron', {})
    const refused = await until('it is refused', async () => {
      const ready = readyOf(await read('Project', 'heron'))
      return ready?.reason === 'NamespaceNotOwned' && ready
    })
    const handOver = renderCures([cures.NamespaceNotOwned.handOver({ namespace: 'project-heron', project: 'heron' })])
    assert.ok(refused.message.endsWith(handOver), 'the condition ends with the same command')
    await trial.cure(await told(projectTarget('heron'), 'ProjectNotReady'), {
      'ProjectNotReady.describe': /NamespaceNotOwned/,
      'NamespaceNotOwned.handOver': async () => void (await isReady('heron')),
    })
    assert.ok(await scene.read(content))
  })

  /** The note in an operation that nobody works on. */
  const noted = (operation: string, code: string): Promise<Obstacle> =>
    until(`${code} is noted`, async () => {
      const { body } = await call('GET', `/v1/operations/${operation}`)
      return body.blockers?.find((blocker: Obstacle) => blocker.code === code)
    })
  const hasEnded = (operation: string, phase: string) =>
    until(`${operation} is ${phase}`, async () => (await call('GET', `/v1/operations/${operation}`)).body.phase === phase)

  test('without a leader, the holder of the Lease is looked at and cleared', async () => {
    const path = '/apis/coordination.k8s.io/v1/namespaces/skerry/leases/skerry-agent'
    const spec = { holderIdentity: 'agent-0_dead', leaseDurationSeconds: 86_400, renewTime: '2099-01-01T00:00:00.000000Z' }
    await admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body: { spec } })
    // The agent leads until it renews the Lease the next time.
    await until('another holds it', async () => (await call('GET', '/v1/region')).body.leader.holder === spec.holderIdentity)
    const { body } = await call('PUT', '/v1/projects/murre', {})
    await trial.cure(await noted(body.id, 'NoLeader'), {
      'NoLeader.holder': /agent-0_dead/,
      'NoLeader.free': async () => void (await hasEnded(body.id, 'Succeeded')),
    })
  })

  test('an operation that another one keeps waiting shows that one, which can be cancelled', async () => {
    await putProject('dunlin')
    faults.set('wave', { fail: { bootstrap: { message: 'never reached', retries: 1_000_000 } } })
    const { body: ahead } = await call('PUT', '/v1/projects/dunlin/databases/wave', smallDatabase({ id: 'wave' }))
    const { body } = await call('PATCH', '/v1/projects/dunlin/databases/wave', { allowedCIDRs: ['10.30.0.0/16'] })
    await trial.cure(await noted(body.id, 'OperationAhead'), {
      'OperationAhead.see': new RegExp(`name: ${ahead.id}`),
      'OperationAhead.cancel': async () => void (await hasEnded(ahead.id, 'Cancelled')),
    })
    faults.clear('wave')
    await hasEnded(body.id, 'Succeeded')
    const { see, raise } = cures.NoFreeWorker
    const crowded = [see({ namespace: 'skerry' }), raise()]
    await trial.cure({ code: 'NoFreeWorker', cures: crowded, cure: renderCures(crowded) }, { 'NoFreeWorker.see': new RegExp(ahead.id) })
  })

  test('the condition of a project without its pull secret says how to create it', async () => {
    await call('PUT', '/v1/projects/ibis', { imagePullSecrets: ['mirror'] })
    const found = await toldByTheAgent('ibis', 'SecretMissing')
    // The obstacle is told from the first look on, at which the agent may still wait for its rights in the namespace.
    await until('its condition ends with the same command', async () =>
      readyOf(await read('Project', 'ibis'))?.message.endsWith(found.cure),
    )
    await trial.cure(found, { 'SecretMissing.pull': async () => void (await isReady('ibis')) })
  })

  test('a protected project that somebody deleted goes by the API, and all volumes are kept', async () => {
    await putProject('harbour', { deletionProtection: true })
    for (const id of ['tide', 'ebb']) await putDatabase('harbour', id, { deletionProtection: id === 'tide' })
    const volumes = await dataOf('project-harbour', 2)
    await admin.request({ method: 'DELETE', path: '/apis/skerry.dev/v1/projects/harbour' })
    await trial.cure(await toldByTheAgent('harbour', 'DatabasesRemain'), {
      'DatabasesRemain.unprotectDatabase': /"action":"put"/,
      'DatabasesRemain.unprotectProject': /"action":"put"/,
      'DatabasesRemain.cascade': async () => void (await isGone('harbour')),
    })
    await areKept(volumes)
  })

  test('beside a protected database that hangs, the others of a deleted project go by the API, and their volumes are kept', async () => {
    await putProject('skua')
    for (const id of ['tide', 'ebb']) await putDatabase('skua', id, { deletionProtection: true, retainVolumes: false })
    const volumes = await dataOf('project-skua', 2)
    faults.set('project-skua/tide', { holdFinalizer: true })
    await admin.request({ method: 'DELETE', path: '/apis/skerry.dev/v1/projects/skua' })
    await admin.request({ method: 'DELETE', path: '/apis/cloud.crate.io/v1/namespaces/project-skua/cratedbs/tide' })
    const found = await until('only one remains', async () => {
      const [blocker] = (await scene.obstacles(projectTarget('skua'))).filter(({ code }) => code === 'DatabasesRemain')
      return blocker?.message.includes('database ebb') && blocker
    })
    await trial.cure(found, {
      'DatabasesRemain.unprotectDatabase': /"action":"put"/,
      async 'DatabasesRemain.remove'() {
        await until('ebb is gone', async () => (await read('CrateDB', 'ebb', 'project-skua')) === undefined)
        await areKept(volumes.filter(({ spec }) => spec?.claimRef.name.includes('ebb')))
      },
    })
    faults.clear('project-skua/tide')
    await isGone('skua')
  })

  /** Volumes with data in that namespace, once there are that many. */
  const dataOf = (namespace: string, count: number) =>
    until('the volumes are there', async () => {
      const data = (await volumesOf(namespace)).filter(({ spec }) => spec?.claimRef.name.startsWith('data'))
      return data.length === count && data
    })

  test('an operator that gave up a step is looked into, and one that waits', async () => {
    await operatorPod(scene, 'node-1', running)
    await putProject('gull')
    const bootstrap = { message: 'never reached', retries: 1_000_000 }
    faults.set('surge', { fail: { sql_exporter_config: 'quota of 3 exceeded', bootstrap } })
    faults.set('swell', { fail: { bootstrap } })
    for (const id of ['surge', 'swell']) await call('PUT', `/v1/projects/gull/databases/${id}`, smallDatabase({ id }))
    await trial.cure(await told(databaseTarget('gull', 'surge'), 'OperatorStepFailed'), { 'OperatorStepFailed.log': saidByTheOperator })
    await trial.cure(await told(databaseTarget('gull', 'swell'), 'OperatorStepDelayed'), { 'OperatorStepDelayed.log': saidByTheOperator })
    for (const id of ['surge', 'swell']) faults.clear(id)
  })

  test('a database that was never set up goes by the API, and its volumes are kept', async () => {
    await putProject('tern')
    faults.set('neap', { fail: { bootstrap: 'the password file is empty' } })
    await call('PUT', '/v1/projects/tern/databases/neap', { ...smallDatabase({ id: 'neap' }), deletionProtection: true })
    const target = databaseTarget('tern', 'neap')
    const found = await until('it is told', async () =>
      (await scene.obstacles(target)).find(({ message }) => message.includes('ended the creation')),
    )
    const volumes = await dataOf('project-tern', 1)
    await until(
      'its operation has ended',
      async () => (await call('GET', '/v1/projects/tern/databases/neap')).body.status.operation === null,
    )
    await trial.cure(found, {
      'OperatorStepFailed.why': saidByTheOperator,
      'OperatorStepFailed.unprotect': /"action":"put"/,
      async 'OperatorStepFailed.remove'() {
        await until('it is gone', async () => (await read('CrateDB', 'neap', 'project-tern')) === undefined)
        await areKept(volumes)
      },
    })
    faults.clear('neap')
    await putDatabase('tern', 'neap')
  })

  test('a database that waits for a host does without it, by the API', async () => {
    await putProject('plover')
    const nodes = { ...(smallDatabase({ id: 'rill' }).nodes as object), count: 3 }
    await putDatabase('plover', 'rill', { nodes })
    const target = databaseTarget('plover', 'rill')
    const isBack = () =>
      until('it is as it was, and nothing is left to do', async () => {
        const { body } = await call('GET', '/v1/projects/plover/databases/rill')
        return body.nodes.count === 3 && body.nodes.cpu === 0.5 && body.status.operation === null
      })
    const path = '/v1/projects/plover/databases/rill'
    // For a moment, a new pod waits for its claims to be bound, and that is what is said to stand in the way.
    const withoutHost = (pod: string) =>
      until('a host is missing', async () =>
        (await scene.obstacles(target)).find(
          ({ code, message, evidence, cures }) =>
            code === 'PodUnschedulable' &&
            evidence.includes(pod) &&
            !message.includes('volume') &&
            cures.some(({ command }) => command?.includes('PATCH')),
        ),
      )
    await call('PATCH', path, { nodes: { count: 4 } })
    await trial.cure(await withoutHost('crate-data-hot-rill-3'), {
      'PodUnschedulable.describe': /crate-data-hot-rill-3/,
      'PodUnschedulable.fewer': async () => void (await isBack()),
    })
    await call('PATCH', path, { nodes: { cpu: 100 } })
    await trial.cure(await withoutHost('crate-data-hot-rill-0'), {
      'PodUnschedulable.describe': /crate-data-hot-rill-0/,
      'PodUnschedulable.less': async () => void (await isBack()),
    })
  })

  test('an upgrade that was rolled back is looked into', async () => {
    await putProject('fulmar')
    await putDatabase('fulmar', 'bore')
    faults.set('bore', { fail: { restart: 'pod 0 does not come back' } })
    const answer = await call('PATCH', '/v1/projects/fulmar/databases/bore', { version: '5.10.2' })
    assert.equal(answer.status, 202, answer.text)
    await trial.cure(await told(databaseTarget('fulmar', 'bore'), 'UpgradeRolledBack'), { 'UpgradeRolledBack.events': /bore/ })
    faults.clear('bore')
  })

  test('an operator that stands still is restarted', async () => {
    await putProject('petrel')
    faults.set('rip', { neverStart: true })
    await call('PUT', '/v1/projects/petrel/databases/rip', smallDatabase({ id: 'rip' }))
    await until('there is a CrateDB', () => read('CrateDB', 'rip', 'project-petrel'))
    const target = databaseTarget('petrel', 'rip')
    const found = await told(target, 'OperatorStalled', { laterMs: 70_000 })
    await trial.cure(found, {
      'OperatorStalled.log': saidByTheOperator,
      async 'OperatorStalled.restart'() {
        const restarted = (await read('Deployment', 'crate-operator', 'crate-operator'))?.spec.template.metadata.annotations
        assert.ok(restarted['kubectl.kubernetes.io/restartedAt'])
        faults.clear('rip')
        await until('nothing stands in the way', async () => (await scene.obstacles(target)).length === 0)
      },
    })
  })

  test('an operator that is scaled to 0 is started', async () => {
    const deployment: KubernetesObject = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'crate-operator', namespace: 'crate-operator' },
    }
    await scene.make({ ...deployment, spec: { replicas: 0 } })
    await until(
      'its pod has ended',
      async () => scene.world.plane === 'embedded' || ((await scene.read(deployment))?.status?.replicas ?? 0) === 0,
    )
    const target = databaseTarget('petrel', 'rip')
    await trial.cure(await told(target, 'OperatorNotRunning'), {
      async 'OperatorNotRunning.start'() {
        await until('nothing stands in the way', async () => (await scene.obstacles(target)).length === 0)
      },
    })
  })

  /** A pod of a database that nobody made, which no node takes for that reason. */
  async function refused(spec: object = {}): Promise<{ target: ReturnType<typeof databaseTarget>; pod: KubernetesObject }> {
    const { project, namespace } = await scene.project()
    const metadata = { name: 'crate-data-hot-tide-0', namespace, labels: ofDatabase('tide') }
    const pod = await scene.make({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { containers: [{ name: 'crate', image: 'crate:1' }], ...spec },
    })
    return { target: databaseTarget(project, 'tide'), pod }
  }

  const isPlaced = ({ metadata }: KubernetesObject) =>
    until('it is placed', async () => (await read('Pod', metadata.name, metadata.namespace))?.spec.nodeName)
  const nodes = ['node-1', 'node-2', 'node-3']
  /** Changes all nodes, and waits until the scheduler has heard of it: it hears of pods by another watch. */
  async function patchNodes(spec: object): Promise<void> {
    const known = await standIns.world.follow('Node')
    for (const name of nodes) {
      const path = `/api/v1/nodes/${name}`
      const contentType = 'application/merge-patch+json'
      const { metadata } = await admin.request<KubernetesObject>({ method: 'PATCH', path, contentType, body: { spec } })
      await until(`${name} is known`, async () => !isNewer(metadata.resourceVersion, known.get(name)?.metadata.resourceVersion))
    }
  }

  test('a node is untainted, and takes the pod', async () => {
    await patchNodes({ taints: [{ key: 'dedicated', value: 'harbour', effect: 'NoSchedule' }] })
    const { target, pod } = await refused()
    const found = await until('its cure is known', async () => {
      const obstacle = await told(target, 'PodUnschedulable')
      return obstacle.cures.some(({ command }) => command?.includes('taint nodes')) && obstacle
    })
    await trial.cure(found, {
      'PodUnschedulable.taints': /node-1 .*dedicated/,
      'PodUnschedulable.untaint': async () => void (await isPlaced(pod)),
      'PodUnschedulable.describe': /crate-data-hot-tide-0/,
    })
    await patchNodes({ taints: null })
  })

  test('cordoned nodes are uncordoned, and take the pod', async () => {
    await patchNodes({ unschedulable: true })
    const { target, pod } = await refused()
    const found = await until('all are known to be cordoned', async () => {
      const obstacle = await told(target, 'PodUnschedulable')
      return nodes.every((node) => obstacle.cure.includes(node)) && obstacle
    })
    await trial.cure(found, {
      'PodUnschedulable.cordoned': /node-1 .*SchedulingDisabled/,
      'PodUnschedulable.uncordon': async () => void (await isPlaced(pod)),
      'PodUnschedulable.describe': /crate-data-hot-tide-0/,
    })
  })

  test('a node is labelled, and takes the pod', async () => {
    const { target, pod } = await refused({ nodeSelector: { cratedb: 'shared' } })
    await trial.cure(await told(target, 'PodUnschedulable'), {
      'PodUnschedulable.labels': /node-2 .*kubernetes\.io\/hostname=node-2/,
      'PodUnschedulable.label': async () => assert.equal(await isPlaced(pod), 'node-2'),
      'PodUnschedulable.describe': /crate-data-hot-tide-0/,
    })
  })

  // The last one: nothing is set up any more after it.
  test('a database whose operator is gone for good is let go, and every volume is kept', async () => {
    await putProject('auk')
    await putDatabase('auk', 'tide')
    const volumes = await until('it has its volumes', async () => {
      const all = await volumesOf('project-auk')
      return all.length === 2 && all
    })
    assert.ok(
      volumes.some(({ spec }) => spec?.persistentVolumeReclaimPolicy === 'Delete'),
      'one for heap dumps would go with its claim',
    )
    await standIns.operator.pause()
    await admin.request({ method: 'DELETE', path: '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator' })
    await admin.request({ method: 'DELETE', path: '/apis/cloud.crate.io/v1/namespaces/project-auk/cratedbs/tide' })
    const found = await until('the operator is known to be gone', async () => {
      const obstacle = await told(databaseTarget('auk', 'tide'), 'FinalizerHeld')
      return obstacle.cure.startsWith('Install') && obstacle
    })
    await trial.cure(found, {
      'FinalizerHeld.keepVolumes': /patched/,
      async 'FinalizerHeld.withoutOperator'() {
        const path = '/api/v1/namespaces/project-auk/persistentvolumeclaims'
        await until(
          'its claims are gone',
          async () => (await admin.request<{ items: unknown[] }>({ method: 'GET', path })).items.length === 0,
        )
        await areKept(volumes)
      },
    })
  })
}

type Condition = { type: string; status: string; reason: string; message: string }

function readyOf(project: KubernetesObject | undefined): Condition | undefined {
  return (project?.status?.conditions as Condition[] | undefined)?.find(({ type }) => type === 'Ready')
}
