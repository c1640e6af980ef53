import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createWorkCluster, type WorkCluster } from '../../../../agent/operations/work/cluster.ts'
import { keepRecord } from '../../../../agent/operations/work/retaining.ts'
import type { Caches } from '../../../../agent/region/caches.ts'
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

function post(kind: 'Namespace' | 'Secret', body: object, at?: string): Promise<KubernetesObject> {
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
