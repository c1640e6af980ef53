import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { startCluster, type TestCluster } from '../../cluster/index.ts'
import { connectTo } from './connected.ts'

let cluster: TestCluster
let admin: Cluster

before(async () => {
  cluster = await startCluster()
  admin = connectTo(cluster)
})
after(async () => {
  admin?.close()
  await cluster?.stop()
})

const nowhere = pathOf(kinds.ConfigMap, 'nowhere')
const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tide' } }

for (const [what, type, request] of [
  ['an object that is not there', 'not-found', { method: 'GET', path: pathOf(kinds.Secret, 'default', 'absent') }],
  ['an object in a namespace that is not there', 'not-found', { method: 'POST', path: nowhere, body }],
  ['an object of a kind that nobody defined', 'not-served', { method: 'GET', path: pathOf(kinds.CrateDB, 'default', 'absent') }],
  ['a list of a kind that nobody defined', 'not-served', { method: 'GET', path: pathOf(kinds.CrateDB) }],
] as const)
  test(`${what} is ${type}`, async () => {
    await assert.rejects(admin.request(request), { type })
  })
