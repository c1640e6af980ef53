import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { readOperatorRun } from '../../../agent/resources/cratedb-run.ts'
import type { Obstacle } from '../../../agent/resources/operation.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { startStandIns, until } from '../../cluster/index.ts'
import { crateDB, ofDatabase, only, operatorName, startScene, whenOperatorIsReady } from './scene.ts'

const scene = await startScene({ withOperator: false })
const { make, obstacles } = scene
const standIns = await startStandIns(scene.testCluster)
const standIn = standIns.operator
after(() => standIns.stop())
await whenOperatorIsReady(scene.admin)

/** A database that the operator has not seen yet, in a project of its own, with its password. */
async function fresh(name: string) {
  const { project, namespace } = await scene.project()
  await make({ apiVersion: 'v1', kind: 'Secret', metadata: { name: `user-password-${name}-0`, namespace }, stringData: { password: 'x' } })
  const { status: _, ...database } = crateDB(namespace, name, { traces: {} })
  return { namespace, database: database as KubernetesObject, target: { kind: 'database', project, database: name } as const }
}

type Target = Awaited<ReturnType<typeof fresh>>['target']

/** Asks until the obstacle is among what is told. */
function told(
  target: Target,
  code: string,
  fits: (obstacle: Obstacle) => boolean = () => true,
  options: Parameters<typeof obstacles>[1] = {},
) {
  return until(`${code} is told`, async () =>
    (await obstacles(target, options)).find((obstacle) => obstacle.code === code && fits(obstacle)),
  )
}

/** Waits until the database stands and nothing is left to be done: the operator has noted what it has handled, so the next change is another. */
async function created(database: KubernetesObject, target: Target): Promise<KubernetesObject> {
  return until('nothing stands in the way', async () => {
    const now = await scene.read(database)
    const isSetUp = now?.status?.['cluster_create/bootstrap']?.success === true && readOperatorRun(now).state === 'ended'
    return isSetUp && (await obstacles(target)).length === 0 && now
  })
}

/** Sets what the operator gives each node for heap dumps, as `kubectl set env` does. */
async function setHeapDumpClass(storageClass: string): Promise<void> {
  const env = [{ name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS', value: storageClass }]
  const containers = [{ name: 'operator', image: 'crate/crate-operator:2.63.0', env }]
  await standIns.world.patch('Deployment', operatorName, { spec: { template: { spec: { containers } } } }, { fieldManager: 'test' })
  await whenOperatorIsReady(scene.admin)
}

test('a database waits for heap-dump volumes of a class that is not there, and starts where the operator has one that is', async () => {
  await setHeapDumpClass('nowhere')
  const waiting = await fresh('slack')
  await make(waiting.database)
  const { message, evidence } = await told(waiting.target, 'VolumeNotBound', ({ message }) => message.includes('nowhere'))
  assert.match(message, /^There is no storage class nowhere; the cluster has /)
  assert.match(evidence, /PersistentVolumeClaim \S+\/debug-crate-data-hot-slack-\d/)
  // The claims of a pod are made before the pod.
  const pods = await until('there are pods', async () => {
    const path = `/api/v1/namespaces/${waiting.namespace}/pods`
    const { items } = await scene.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path })
    return items.length > 0 && items
  })
  assert.ok(pods.every(({ status, spec }) => status?.phase === 'Pending' && spec.nodeName === undefined))

  await setHeapDumpClass('default')
  const { database, target } = await fresh('flood')
  await created(await make(database), target)
})

test('an operator that gave up a step is quoted while the step stands', async () => {
  const { database, target } = await fresh('surge')
  const others = { bootstrap: { message: 'never', retries: 1_000_000 } }
  standIn.faults.set('surge', { fail: { sql_exporter_config: 'quota of 3 exceeded', ...others } })
  await make(database)
  const { message, cure } = await told(target, 'OperatorStepFailed')
  assert.equal(message, 'The Crate Operator gave up on a step: quota of 3 exceeded')
  assert.match(cure, /kubectl --namespace crate-operator logs deployment\/crate-operator/)
})

test('an operator that waits is quoted', async () => {
  const { database, target } = await fresh('ebb')
  standIn.faults.set('ebb', { fail: { bootstrap: { message: 'never reached', retries: 1_000_000 } } })
  await make(database)
  const { message } = await told(target, 'OperatorStepDelayed')
  assert.match(message, /^The Crate Operator waits: ./)
})

test('a creation that the operator ended without success is told from what is left of it', async () => {
  const { database, target } = await fresh('neap')
  standIn.faults.set('neap', { fail: { bootstrap: 'the password file is empty' } })
  await make(database)
  const { message, cure } = await told(target, 'OperatorStepFailed', ({ message }) => message.includes('ended the creation'))
  assert.match(message, /^The Crate Operator ended the creation without having set up the database/)
  assert.match(cure, /^It does not retry\. Its log says why: kubectl .* logs deployment\/crate-operator\n.*with the API/)
})

test('an operator that stops in the middle is told once its last sign of life is old', async () => {
  const { database, target } = await fresh('slack')
  standIn.faults.set('slack', { fail: { bootstrap: { message: 'never', retries: 1_000_000 } } })
  await make(database)
  await until('the operator has begun', async () =>
    Object.keys((await scene.read(database))?.metadata.annotations ?? {}).some((key) => key.includes('cluster_create')),
  )
  standIn.faults.set('slack', { stopAt: 'bootstrap' })
  const isStalled = ({ code }: Obstacle) => code === 'OperatorStalled'
  assert.equal((await obstacles(target)).some(isStalled), false)
  const { message, cure } = await told(target, 'OperatorStalled', () => true, { laterMs: 10 * 60_000 })
  assert.match(message, /^The Crate Operator began on this, but has shown no progress since 20/)
  assert.match(cure, /rollout restart deployment crate-operator/)
})

test('an operator that runs and does not see a database is told after a minute', async () => {
  const { database, target } = await fresh('rip')
  standIn.faults.set('rip', { neverStart: true })
  await make(database)
  only(await obstacles(target))
  const { message } = only(await obstacles(target, { laterMs: 70_000 }), 'OperatorStalled')
  assert.match(message, /^The Crate Operator has not begun on the change of 20\S+, though it runs/)
})

test('an operator that does not see a change is told after a minute from that change', async () => {
  const { database, target } = await fresh('swell')
  await make(database)
  const settled = await created(database, target)
  standIn.faults.set('swell', { neverStart: true })
  const spec = structuredClone(database.spec)
  spec.nodes.data[0].replicas = 5
  await make({ ...database, spec })
  only(await obstacles(target))
  const { message } = only(await obstacles(target, { laterMs: 70_000 }), 'OperatorStalled')
  const changedAt = /the change of (\S+),/.exec(message)?.[1] ?? ''
  assert.ok(Date.parse(changedAt) >= Date.parse(settled.metadata.creationTimestamp ?? ''), message)
})

test('an upgrade that was rolled back is told, with what it left half done', async () => {
  const { namespace, database, target } = await fresh('bore')
  await make(database)
  await created(database, target)
  const labels = ofDatabase('bore')
  const image = (version: string): KubernetesObject => ({
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'crate-data-hot-bore', namespace, labels },
    spec: { template: { spec: { containers: [{ name: 'crate', image: `crate:${version}` }] } } },
  })
  const found = await scene.read(image(''))
  assert.ok(found, 'the operator has made the StatefulSet')
  standIn.faults.set('bore', { fail: { restart: 'pod 0 does not come back' } })
  await make({ ...database, spec: { ...database.spec, cluster: { ...database.spec.cluster, version: '5.10.2' } } })
  const { message, evidence, cure } = await told(target, 'UpgradeRolledBack')
  assert.match(message, /^The Crate Operator rolled the upgrade back/)
  assert.match(evidence, /crate-data-hot-bore|CrateDB/)
  assert.match(cure, /kubectl --namespace \S+ describe cratedb bore/)
})

test('a finalizer that the operator keeps is told after a moment, with what to do', async () => {
  const { database, target } = await fresh('wake')
  await make(database)
  await created(database, target)
  standIn.faults.set('wake', { holdFinalizer: true })
  await scene.remove(database)
  only(await obstacles(target))
  const { message, cure } = only(await obstacles(target, { laterMs: 20_000 }), 'FinalizerHeld')
  assert.match(message, /held by the finalizer operator\.cloud\.crate\.io\/finalizer\. It is removed by the Crate Operator\.$/)
  assert.match(cure, /Check that it runs: kubectl --namespace crate-operator get deployment crate-operator/)
})

test('an operator that is not there is told by what is wrong with its Deployment', async () => {
  const { database, target } = await fresh('tide')
  await make(database)
  await created(database, target)

  const elsewhere = { namespace: 'crate-operator', name: 'crate-operator-2' }
  const missing = only(await obstacles(target, { operator: elsewhere }), 'OperatorNotRunning')
  assert.equal(missing.message, 'The Crate Operator is not installed: there is no Deployment crate-operator/crate-operator-2.')

  await standIn.pause()
  const notReady = await told(target, 'OperatorNotRunning')
  assert.match(notReady.message, /^The Crate Operator is not ready: Deployment crate-operator\/crate-operator has no ready pod/)

  // What follows from it is told with it, not as a riddle of its own.
  await scene.remove(database)
  const held = only(await obstacles(target), 'OperatorNotRunning', 'FinalizerHeld')
  assert.equal(held.code, 'OperatorNotRunning')
  assert.match((await told(target, 'FinalizerHeld')).message, /by the Crate Operator, which is not running\.$/)

  const scaled = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'crate-operator', namespace: 'crate-operator' },
    spec: { replicas: 0 },
  }
  await make(scaled)
  const down = await told(target, 'OperatorNotRunning', ({ message }) => message.includes('scaled'))
  assert.equal(down.cure, 'Start it: kubectl --namespace crate-operator scale deployment crate-operator --replicas=1')
  await make({ ...scaled, spec: { replicas: 1 } })
  await standIn.resume()
  await until('the database is gone', async () => (await scene.read(database)) === undefined)
})
