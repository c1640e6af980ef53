import assert from 'node:assert/strict'
import { test } from 'node:test'
import { databaseView, deploymentView, hostView, placeOf, podRequests, podView } from '../../../monitor/region/views.ts'
import { crateDB, deployment, node, pod } from './in-hand.ts'

const asks = (cpu: string, memory = '1Mi') => ({ resources: { requests: { cpu, memory } } })
const podCases: [name: string, spec: Parameters<typeof podRequests>[0], millicores: number][] = [
  ['its containers together', { containers: [asks('1'), asks('500m')] }, 1500],
  ['nothing where nothing is asked for', { containers: [{}] }, 0],
  ['its largest init container, if that is more', { containers: [asks('1')], initContainers: [asks('3'), asks('2')] }, 3000],
  ['its containers, if they are more than each init container', { containers: [asks('4')], initContainers: [asks('3'), asks('2')] }, 4000],
  ['its sidecars as well', { containers: [asks('1')], initContainers: [{ ...asks('2'), restartPolicy: 'Always' }] }, 3000],
  [
    'an init container beside the sidecars begun before',
    { containers: [asks('1')], initContainers: [{ ...asks('2'), restartPolicy: 'Always' }, asks('5')] },
    7000,
  ],
  ['its overhead', { containers: [asks('1')], overhead: { cpu: '250m' } }, 1250],
  ['what it asks for as a whole', { containers: [asks('1')], resources: { requests: { cpu: '6' } } }, 6000],
]
for (const [name, spec, millicores] of podCases) test(`a pod takes ${name}`, () => assert.equal(podRequests(spec).millicores, millicores))

test('a host is what its node says, in numbers', () => {
  const spec = {
    unschedulable: true,
    taints: [
      { key: 'b', effect: 'NoExecute' },
      { key: 'a', value: 'x', effect: 'NoSchedule' },
    ],
  }
  const view = hostView(node('pier', { spec, labels: { 'node-role.kubernetes.io/control-plane': '' } }))
  assert.deepEqual(view.allocatable, { millicores: 7500, memory: 30 * 2 ** 30, pods: 110, ephemeralStorage: 100 * 2 ** 30 })
  assert.deepEqual(view.conditions, { MemoryPressure: false, DiskPressure: null })
  assert.equal(view.taints, 'a=x:NoSchedule,b:NoExecute')
  assert.deepEqual([view.ready, view.schedulable, view.controlPlane], [true, false, true])
  assert.equal(view.readySince, Date.UTC(2026, 0, 1))
})

test('a database is what is specified, with what its nodes ask for together', () => {
  const view = databaseView(crateDB('project-shop', 'orders', { annotations: { 'operator.cloud.crate.io/last': '{}' } }))
  assert.deepEqual(view.requested, { millicores: 1500, memory: 12 * 2 ** 30 })
  assert.deepEqual(view.disks, { count: 6, bytes: 6 * 64 * 2 ** 30 })
  assert.deepEqual([view.nodes, view.suspended, view.changing, view.health, view.tls], [3, false, false, 'GREEN', false])
})

test('a suspended database has no nodes, and keeps its disks if it is known to how many nodes it comes back', () => {
  const known = databaseView(crateDB('project-shop', 'orders', { replicas: 0, annotations: { 'skerry.dev/nodes-when-resumed': '2' } }))
  assert.deepEqual([known.nodes, known.suspended, known.disks?.count, known.requested.memory], [0, true, 4, 0])
  assert.equal(databaseView(crateDB('project-shop', 'orders', { replicas: 0 })).disks, undefined)
})

test('a database is changing while the operator keeps notes on it', () => {
  const progress = { 'operator.cloud.crate.io/cluster_update.scale': '{"started": "2026-01-01T00:00:00+00:00"}' }
  const others = { 'operator.cloud.crate.io/kopf-managed': 'yes', 'operator.cloud.crate.io/rollback-upgrade': 'false' }
  assert.equal(databaseView(crateDB('project-shop', 'orders', { annotations: { ...others, ...progress } })).changing, true)
  assert.equal(databaseView(crateDB('project-shop', 'orders', { annotations: others })).changing, false)
})

test('a database with backups of its own says when their restore was rehearsed, whatever is in its annotations', () => {
  const view = (annotations: Record<string, string>) => databaseView(crateDB('project-shop', 'orders', { annotations })).rehearsal
  const backups = { 'skerry.dev/database': '{"snapshots":{"s3":{}}}' }
  const state =
    '{"rehearsal":{"lastSuccess":{"at":"2026-11-30T04:00:00Z"},"lastFailure":{"at":"2026-11-29T04:00:00Z","reason":"ShardsMissing"}}}'
  assert.deepEqual(view({ ...backups, 'skerry.dev/backups': state }), {
    succeededAt: Date.UTC(2026, 10, 30, 4),
    failedAt: Date.UTC(2026, 10, 29, 4),
    reason: 'ShardsMissing',
  })
  const none = { succeededAt: undefined, failedAt: undefined, reason: '' }
  for (const text of ['', 'null', '[]', '{"rehearsal":7}', '{"rehearsal":{"lastSuccess":{"at":7},"lastFailure":null}}', '{'])
    assert.deepEqual(view({ ...backups, 'skerry.dev/backups': text }), none, text)
  assert.equal(view({ 'skerry.dev/backups': state }), undefined)
  assert.equal(view({}), undefined)
})

test('a database of which everything is missing is still a database', () => {
  const view = databaseView({ apiVersion: '', kind: '', metadata: { name: 'a', namespace: 'b' } })
  assert.deepEqual([view.nodes, view.suspended, view.version, view.health], [0, false, '', undefined])
})

test('a pod that has ended takes nothing, and one that is on its way out is not ready', () => {
  assert.equal(podView(pod('a', 'job', { host: 'pier', phase: 'Succeeded' })).active, false)
  const going = pod('a', 'b', { host: 'pier', ready: true })
  assert.equal(podView(going).ready, true)
  assert.equal(podView({ ...going, metadata: { ...going.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }).ready, false)
})

test('the version of a component is its label, or else the tag of its image', () => {
  const plain = deployment('skerry', 'skerry-agent', 'skerry-agent')
  assert.equal(deploymentView(plain).version, '1.2.3')
  const labels = { 'app.kubernetes.io/version': '2.63.0' }
  assert.equal(deploymentView({ ...plain, metadata: { ...plain.metadata, labels } } as never).version, '2.63.0')
})

test('the place of a database is its project, or its namespace by a name that no project can have', () => {
  assert.equal(placeOf('project-shop'), 'shop')
  assert.equal(placeOf('shop'), 'namespace.shop')
})
