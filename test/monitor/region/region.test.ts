import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cratedb } from '../../../monitor/checks/cratedb.ts'
import { createMonitorCaches, followRegion } from '../../../monitor/region/caches.ts'
import { RegionModel } from '../../../monitor/region/model.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Secret } from '../../../shared/fields.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { parseMillicores } from '../../../shared/kubernetes/quantity.ts'
import type { Part } from '../../../shared/lifecycle.ts'
import { type Fixture, startFixture, until } from '../../cluster/index.ts'
import { regionDefinitions } from '../../region/definitions.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { components, type EdgeNodeInHand, edgeNodeInHand, proberInHand, silent } from './in-hand.ts'

let fixture: Fixture
let admin: Cluster
let edgeNode: EdgeNodeInHand
const parts: Part[] = []

before(async () => {
  fixture = await startFixture({ crds: regionDefinitions(), nodes: 4, kubelet: { readyMs: 60 } })
  admin = connectTo(fixture.cluster)
  const tools = { cluster: admin, clock: systemClock, log: silent }
  const caches = createMonitorCaches({ components }, tools)
  edgeNode = edgeNodeInHand(systemClock)
  const model = new RegionModel({ ...tools, caches, components, prober: proberInHand(), edgeNode, facts: { version: '0.1.0' } })
  parts.push(followRegion(caches, tools), model)
  for (const part of parts) await part.start(new AbortController().signal)
})
after(async () => {
  for (const part of parts.toReversed()) await part.stop(0)
  admin.close()
  await fixture.stop()
})

const list = async (kind: (typeof kinds)[keyof typeof kinds]) =>
  (await admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kind) })).items
const merge = (path: string, body: unknown) => admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })

/** What the pods on a host ask for, added up by somebody else from what the API server says. */
async function requestedOn(host?: string): Promise<{ cpu: number; pods: number }> {
  const placed = (await list(kinds.Pod)).filter(
    ({ spec, status }) =>
      (host === undefined ? spec.nodeName !== undefined : spec.nodeName === host) && !['Succeeded', 'Failed'].includes(status.phase),
  )
  const containers = placed.flatMap(({ spec }) => spec.containers as { resources?: { requests?: { cpu?: string } } }[])
  const cpu = containers.reduce((sum, { resources }) => sum + (parseMillicores(resources?.requests?.cpu ?? '0') ?? 0), 0)
  return { cpu: cpu / 1000, pods: placed.length }
}

test('the devices and the node agree with the cluster', async () => {
  const namespace = await fixture.project()
  const { name } = await fixture.created(namespace, 'gauge')
  const id = `database:${namespace.slice('project-'.length)}:${name}`
  await until('the database is told of', async () => edgeNode.value(id, 'Nodes/Ready') === 2 && edgeNode.value(id, 'Health') === 'GREEN')
  const values = ['Nodes/Desired', 'Version', 'Suspended', 'Disks/Count', 'Disks/Size', 'Requested/CPU'].map((each) =>
    edgeNode.value(id, each),
  )
  assert.deepEqual(values, [2, '5.10.1', false, 2, 2 * 64 * 2 ** 30, 2])
  await until('the operator has ended', async () => edgeNode.value(id, 'Changing') === false)

  const nodes = await list(kinds.Node)
  assert.deepEqual(
    edgeNode.devices().filter((device) => device.startsWith('host:')),
    nodes.map(({ metadata }) => `host:${metadata.name}`).sort(),
  )
  const { gitVersion } = await admin.request<{ gitVersion: string }>({ method: 'GET', path: '/version' })
  assert.equal(edgeNode.value(undefined, 'Properties/Kubernetes Version'), gitVersion)
  assert.equal(edgeNode.value(undefined, 'Cluster/Hosts/Ready'), nodes.length)
  // Pods of the operator's own tools may still come, so the two are compared until they agree.
  await until('what is requested agrees', async () => {
    const all = await requestedOn()
    if (edgeNode.value(undefined, 'Cluster/Requested/CPU') !== all.cpu) return false
    if (edgeNode.value(undefined, 'Cluster/Requested/Pods') !== all.pods) return false
    for (const { metadata } of nodes) {
      const { cpu, pods } = await requestedOn(metadata.name)
      if (edgeNode.value(`host:${metadata.name}`, 'Requested/CPU') !== cpu) return false
      if (edgeNode.value(`host:${metadata.name}`, 'Requested/Pods') !== pods) return false
    }
    return true
  })
})

test('a database that is scaled, suspended and deleted is told of all along', async () => {
  const namespace = await fixture.project()
  const subject = await fixture.created(namespace, 'level')
  const id = `database:${namespace.slice('project-'.length)}:level`
  const replicas = (count: number) =>
    subject.run(() =>
      subject.editGroup((group) => {
        group.replicas = count
      }),
    )
  await replicas(3)
  await until('three nodes are ready', async () => edgeNode.value(id, 'Nodes/Desired') === 3 && edgeNode.value(id, 'Nodes/Ready') === 3)
  await replicas(0)
  await until('it is suspended', async () => edgeNode.value(id, 'Suspended') === true && edgeNode.value(id, 'Nodes/Ready') === 0)
  await admin.request({ method: 'DELETE', path: `/apis/cloud.crate.io/v1/namespaces/${namespace}/cratedbs/level` })
  await until('it is gone', async () => !edgeNode.devices().includes(id))
})

test('a host that is cordoned, fails and goes is told of', async () => {
  const path = pathOf(kinds.Node, undefined, 'node-4')
  await merge(path, { spec: { unschedulable: true } })
  await until('it takes no pods', async () => edgeNode.value('host:node-4', 'Schedulable') === false)
  // It falls silent: a kubelet that still lives would make it ready again within seconds.
  await fixture.standIns.kubelet.setNode('node-4', false)
  await until('it is not ready', async () => edgeNode.value('host:node-4', 'Ready') === false)
  await until('the node says so', async () => edgeNode.value(undefined, 'Cluster/Hosts/Ready') === 3)
  await admin.request({ method: 'DELETE', path })
  await until('it is gone', async () => !edgeNode.devices().includes('host:node-4'))
})

test('a component is told of by the replicas of its Deployment', async () => {
  const namespace = 'monitoring'
  await admin.request({
    method: 'POST',
    path: '/api/v1/namespaces',
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  })
  const labels = { 'app.kubernetes.io/name': 'grafana' }
  const body = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'dashboards', namespace, labels },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'grafana', image: 'grafana/grafana:12.1.0' }] } },
    },
  }
  await admin.request({ method: 'POST', path: pathOf(kinds.Deployment, namespace), body })
  await until('it is told of', async () => edgeNode.devices().includes('component:grafana'))
  const values = ['Replicas/Desired', 'Version', 'Properties/Deployments'].map((each) => edgeNode.value('component:grafana', each))
  assert.deepEqual(values, [2, '12.1.0', 'monitoring/dashboards'])
  await admin.request({ method: 'DELETE', path: pathOf(kinds.Deployment, namespace, 'dashboards') })
  await until('it is gone', async () => !edgeNode.devices().includes('component:grafana'))
})

test('the check of a CrateDB finds the database of a stand-in up, and down while tables are RED', async () => {
  const { namespace, until } = await fixture.created(await fixture.project(), 'sounding')
  const secret = await fixture.until('Secret', `${namespace}/user-system-sounding`, () => true)
  const { database } = fixture.standIns
  const options = {
    ...cratedb.options.parse({ url: database.urlOf(namespace, 'sounding'), username: 'system', expectNodes: 2 }),
    passwordFile: new Secret({ value: Buffer.from(secret.data.password, 'base64').toString() }),
  }
  const check = () => cratedb.check(options, { signal: AbortSignal.timeout(5_000) })
  const fine = await check()
  assert.equal(fine.detail, '2 nodes, all tables GREEN.')
  assert.equal(fine.measurements?.filter(({ name }) => name === 'skerry_cratedb_disk_size_bytes').length, 2)
  database.setHealth(namespace, 'sounding', 'RED')
  const sick = await check()
  assert.equal(sick.state, 'down')
  assert.match(sick.detail, /doc\.readings RED/)
  database.setHealth(namespace, 'sounding', undefined)
  await until(({ status }) => status.crateDBStatus.health === 'GREEN')
})
