import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createWorkCluster, type WorkCluster } from '../../../../agent/operations/work/cluster.ts'
import type { WorkContext } from '../../../../agent/operations/work/context.ts'
import { keepRecord } from '../../../../agent/operations/work/retaining.ts'
import { seeToVanished } from '../../../../agent/operations/work/vanished-databases.ts'
import type { Caches } from '../../../../agent/region/caches.ts'
import type { ProjectTarget } from '../../../../agent/resources/kind.ts'
import type { Operation } from '../../../../agent/resources/operation.ts'
import { secretsIn } from '../../../../agent/resources/retained-record.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../../shared/kubernetes/objects.ts'
import { listObjects } from '../../../../shared/kubernetes/read.ts'
import { openWorld, startCluster } from '../../../cluster/index.ts'
import { regionDefinitions } from '../../../region/definitions.ts'
import { connectTo } from '../../../shared/kubernetes/connected.ts'

const cluster = await startCluster({ crds: regionDefinitions() })
const admin = connectTo(cluster)
const world = await openWorld(cluster)
after(async () => {
  await world.close()
  admin.close()
  await cluster.stop()
})

const namespace = 'project-harbour'
const home = 'skerry'
for (const name of [namespace, home]) await post('Namespace', { metadata: { name } })

function post(kind: 'Namespace' | 'Secret' | 'PersistentVolume', body: object, at?: string): Promise<KubernetesObject> {
  return admin.request<KubernetesObject>({ method: 'POST', path: pathOf(kinds[kind], at), body })
}

/** The cluster of a process that dies at its n-th write: it was done, and its answer never came. */
function dyingAt(n: number): WorkCluster {
  const caches = { retained: { put: () => {} } } as unknown as Caches
  const whole = createWorkCluster(admin, { mustLead: () => {}, caches })
  let writes = 0
  const counted = <Arguments extends unknown[], Result>(write: (...given: Arguments) => Promise<Result>) => {
    return async (...given: Arguments) => {
      const result = await write(...given)
      if (++writes >= n) throw new Error('the process is dead')
      return result
    }
  }
  return { ...whole, create: counted(whole.create), apply: counted(whole.apply), remove: counted(whole.remove) }
}

const password = (database: string, user: number, data: string) => ({
  metadata: {
    name: `user-password-${database}-${user}`,
    labels: { 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'harbour', 'skerry.dev/database': database },
  },
  data: { password: Buffer.from(data).toString('base64') },
})

function keep(database: string, cluster: WorkCluster): Promise<string | undefined> {
  const operation = { metadata: { name: 'op-1' }, spec: {}, status: { attempts: 1 } } as unknown as Operation
  const volumes = [{ volume: `pv-${database}`, uid: 'u-1', claim: `${namespace}/data0-crate-data-hot-${database}-0` }]
  return keepRecord(
    { cluster, operation, options: { namespace: home, imageRegistry: '' } },
    { kind: 'database', project: 'harbour', database },
    { volumes },
    { origin: 'operation', deletedAt: '2026-01-10T12:00:00Z', deletedBy: 'pilot', uid: `uid-of-${database}` },
  )
}

/** The passwords that a database is kept with, by the Secret that has them now, and then by the former one. */
async function keptOf(database: string): Promise<Map<string, Record<string, string>>> {
  const secrets = await listObjects(admin, kinds.Secret, { namespace: home, query: { labelSelector: `skerry.dev/database=${database}` } })
  const passwords = (secret: KubernetesObject) =>
    secretsIn(secret, 'harbour').map(({ metadata, data }) => [metadata.name, Buffer.from(data.password, 'base64').toString()])
  return new Map(secrets.map((secret) => [secret.metadata.name, Object.fromEntries(passwords(secret))]))
}

test('a process that dies at any write keeps the passwords that are nowhere else, and the next one brings them together', async () => {
  let isThrough = false
  let deaths = 0
  for (let n = 1; !isThrough; n++) {
    const database = `tide-${n}`
    const [gone, changed] = [`user-password-${database}-0`, `user-password-${database}-1`]
    for (const user of [0, 1]) await post('Secret', password(database, user, `former ${user}`), namespace)
    const id = await keep(database, dyingAt(Number.POSITIVE_INFINITY))
    await admin.request({ method: 'DELETE', path: `${pathOf(kinds.Secret, namespace)}/${gone}` })
    await admin.request({ method: 'DELETE', path: `${pathOf(kinds.Secret, namespace)}/${changed}` })
    await post('Secret', password(database, 1, 'later 1'), namespace)

    isThrough = await keep(database, dyingAt(n)).then(
      () => true,
      () => false,
    )
    if (!isThrough) deaths++
    const left = [...(await keptOf(database)).values()]
    assert.ok(
      left.some((passwords) => passwords[gone] === 'former 0'),
      `write ${n}: ${JSON.stringify(left)}`,
    )
    await keep(database, dyingAt(Number.POSITIVE_INFINITY))
    const together = { [gone]: 'former 0', [changed]: 'later 1' }
    assert.deepEqual([...(await keptOf(database))], [[`retained-${id}`, together]], `write ${n}`)
  }
  // The record, the coming Secret, the former one, the Secret, the coming one.
  assert.equal(deaths, 5)
})

test('a Secret that goes with an earlier record of that name is replaced by that of the record', async () => {
  const id = await keep('ebb', dyingAt(Number.POSITIVE_INFINITY))
  await admin.request({ method: 'DELETE', path: `${pathOf(kinds.Secret, home)}/retained-${id}` })
  const ownerReferences = [{ apiVersion: 'skerry.dev/v1', kind: 'RetainedDatabase', name: id, uid: 'that-of-an-earlier-one' }]
  const labels = { 'skerry.dev/database': 'ebb' }
  for (const name of [`retained-${id}`, `retained-${id}-next`]) await post('Secret', { metadata: { name, labels, ownerReferences } }, home)
  await post('Secret', password('ebb', 0, 'the password'), namespace)
  await keep('ebb', dyingAt(Number.POSITIVE_INFINITY))
  assert.deepEqual([...(await keptOf('ebb'))], [[`retained-${id}`, { 'user-password-ebb-0': 'the password' }]])
})

test('of a database that vanished with its project, and that nobody recorded, the volumes and the Secrets are kept until somebody purges them', async () => {
  const labels = { 'skerry.dev/project': 'harbour', 'skerry.dev/database': 'swell' }
  const claimRef = { namespace, name: 'data0-crate-data-hot-swell-0', uid: 'gone' }
  const spec = { claimRef, persistentVolumeReclaimPolicy: 'Retain', capacity: { storage: '8Gi' }, accessModes: ['ReadWriteOnce'] }
  const annotations = { 'skerry.dev/retained-from': `${namespace}/${claimRef.name}` }
  await post('PersistentVolume', { metadata: { name: 'pv-swell', labels, annotations }, spec: { ...spec, hostPath: { path: '/srv' } } })
  await post('Secret', password('swell', 0, 'the password'), namespace)
  const seen: unknown[] = []
  const contextAfter = (looked: number, result: object = {}) =>
    ({
      ...{ cluster: dyingAt(Number.POSITIVE_INFINITY), options: { namespace: home, imageRegistry: '' } },
      target: { kind: 'project', project: 'harbour' },
      begin: async (name: string, note: unknown) => seen.push([name, note]),
      operation: {
        metadata: { name: 'op-2' },
        spec: {},
        status: { attempts: 1, startedAt: '2026-01-10T12:00:00Z', step: { name: 'databases', note: { looked } }, result },
      },
    }) as unknown as WorkContext<ProjectTarget>

  assert.equal(await seeToVanished(contextAfter(0, { databases: [{ id: 'swell', uid: 'u' }] })), undefined, 'the deletion took it along')
  const waiting = await seeToVanished(contextAfter(19))
  assert.equal(waiting?.next === 'wait' && waiting.message, 'The deletion of swell by hand is being recorded.')
  assert.deepEqual(seen, [['databases', { looked: 20 }]])
  assert.equal(await seeToVanished(contextAfter(20)), undefined)
  const records = await listObjects(admin, kinds.RetainedDatabase, {
    namespace: home,
    query: { labelSelector: 'skerry.dev/database=swell' },
  })
  assert.deepEqual(
    records.map(({ spec }) => [spec.origin, spec.expiresAt, spec.volumes[0].volume]),
    [['found', undefined, 'pv-swell']],
  )
  assert.deepEqual([...(await keptOf('swell')).values()], [{ 'user-password-swell-0': 'the password' }])
  assert.equal(await seeToVanished(contextAfter(0)), undefined, 'it is recorded')
})
