import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Body } from './client/http.ts'
import { expectCode, expectFailure, fieldsOf, readYaml, startContract, withoutPlaces } from './contract.ts'

const contract = await startContract()
const { http } = contract
await contract.define(readYaml('./crds/cratedbs.yaml'))
const path = `/apis/cloud.crate.io/v1/namespaces/${await contract.namespace()}/cratedbs`

const secret = (name: string, key: string) => ({ secretKeyRef: { name, key } })

/** A typical database: three nodes, one user, hourly backups. */
const tidalGauge = (): Body => ({
  apiVersion: 'cloud.crate.io/v1',
  kind: 'CrateDB',
  metadata: { name: 'tidal-gauge', labels: { 'example.com/project': 'harbour' } },
  spec: {
    cluster: {
      name: 'tidal-gauge',
      imageRegistry: 'crate',
      version: '5.10.1',
      allowedCIDRs: ['10.20.0.0/16'],
      settings: { 'stats.jobs_log_size': '5000' },
    },
    nodes: {
      data: [
        {
          name: 'hot',
          replicas: 3,
          resources: {
            limits: { cpu: 2, memory: '4Gi' },
            requests: { cpu: 1, memory: '4Gi' },
            heapRatio: 0.25,
            disk: { count: 1, size: '64GiB', storageClass: 'crate-premium' },
          },
        },
      ],
    },
    users: [{ name: 'harbourmaster', password: secret('user-password-tidal-gauge-0', 'password') }],
    backups: {
      aws: {
        cron: '17 * * * *',
        basePath: 'tidal-gauge',
        accessKeyId: secret('backup-tidal-gauge', 'access-key-id'),
        secretAccessKey: secret('backup-tidal-gauge', 'secret-access-key'),
        region: secret('backup-tidal-gauge', 'region'),
        bucket: secret('backup-tidal-gauge', 'bucket'),
        endpointUrl: secret('backup-tidal-gauge', 'endpoint'),
      },
    },
  },
})

test('a complete CrateDB is accepted and comes back as it was sent', async () => {
  const created = expectCode(await http.post(path, tidalGauge()), 201)
  assert.deepEqual(created.spec, tidalGauge().spec)
  assert.equal(created.metadata.generation, 1)
})

test('there is no status subresource: a status is written with the object and raises the generation', async () => {
  const name = 'no-subresource'
  expectCode(await http.post(path, { ...tidalGauge(), metadata: { name } }), 201)
  const status = { crateDBStatus: { health: 'GREEN' }, 'cluster_create/bootstrap': { success: true, ref: 'x' } }
  const patched = expectCode(await http.patch('merge', `${path}/${name}`, { status }), 200)
  assert.deepEqual(patched.status, status)
  assert.equal(patched.metadata.generation, 2)
  expectFailure(await http.patch('merge', `${path}/${name}/status`, { status }), 404, 'NotFound')
})

test('a field that the definition does not know is pruned without a word', async () => {
  const order = tidalGauge()
  order.spec.ports = { exporter: 9399, http: 4200, jmx: 6666, postgres: 5432, prometheus: 7071, transport: 4300 }
  const created = expectCode(await http.post(path, { ...order, metadata: { name: 'pruned' } }), 201)
  assert.deepEqual(Object.keys(created.spec.ports).sort(), ['exporter', 'http', 'jmx', 'postgres', 'prometheus'])
})

const node = (spec: Body) => spec.nodes.data[0]
const faults: { what: string; change: (spec: Body) => unknown; field: string }[] = [
  { what: 'without a cluster', change: (spec) => delete spec.cluster, field: 'spec.cluster' },
  { what: 'without a version', change: (spec) => delete spec.cluster.version, field: 'spec.cluster.version' },
  { what: 'with a cluster name that has capitals', change: (spec) => (spec.cluster.name = 'Tidal'), field: 'spec.cluster.name' },
  { what: 'with an unknown exposure', change: (spec) => (spec.cluster.exposure = 'nodeport'), field: 'spec.cluster.exposure' },
  { what: 'without data nodes', change: (spec) => (spec.nodes.data = []), field: 'spec.nodes.data' },
  { what: 'with a text for replicas', change: (spec) => (node(spec).replicas = '3'), field: 'spec.nodes.data[0].replicas' },
  {
    what: 'with CPUs as a quantity',
    change: (spec) => (node(spec).resources.limits.cpu = '500m'),
    field: 'spec.nodes.data[0].resources.limits.cpu',
  },
  {
    what: 'with memory as a number',
    change: (spec) => (node(spec).resources.limits.memory = 4),
    field: 'spec.nodes.data[0].resources.limits.memory',
  },
  {
    what: 'without a heap ratio',
    change: (spec) => delete node(spec).resources.heapRatio,
    field: 'spec.nodes.data[0].resources.heapRatio',
  },
  {
    what: 'without a storage class',
    change: (spec) => delete node(spec).resources.disk.storageClass,
    field: 'spec.nodes.data[0].resources.disk.storageClass',
  },
  { what: 'with two masters', change: (spec) => (spec.nodes.master = { ...node(spec), replicas: 2 }), field: 'spec.nodes.master.replicas' },
  {
    what: 'with one port alone',
    change: (spec) => (spec.ports = { exporter: 1, http: 2, jmx: 3, postgres: 4 }),
    field: 'spec.ports.prometheus',
  },
  {
    what: 'with a port that does not exist',
    change: (spec) => (spec.ports = { exporter: 65536, http: 2, jmx: 3, postgres: 4, prometheus: 5 }),
    field: 'spec.ports.exporter',
  },
  {
    what: 'with a user whose password has no key',
    change: (spec) => delete spec.users[0].password.secretKeyRef.key,
    field: 'spec.users[0].password.secretKeyRef.key',
  },
  {
    what: 'with a schedule in steps of a star',
    change: (spec) => (spec.backups.aws.cron = '*/15 * * * *'),
    field: 'spec.backups.aws.cron',
  },
  { what: 'with a nickname for a schedule', change: (spec) => (spec.backups.aws.cron = '@daily'), field: 'spec.backups.aws.cron' },
  {
    what: 'with half of a keystore',
    change: (spec) => (spec.cluster.ssl = { keystore: secret('a', 'b'), keystorePassword: secret('a', 'b') }),
    field: 'spec.cluster.ssl.keystoreKeyPassword',
  },
  {
    what: 'with an unknown kind of restore',
    change: (spec) => (spec.cluster.restoreSnapshot = { snapshot: 's', basePath: secret('a', 'b'), type: 'some' }),
    field: 'spec.cluster.restoreSnapshot.type',
  },
]
for (const { what, change, field } of faults) {
  test(`a CrateDB ${what} is refused with the path`, async () => {
    const order = tidalGauge()
    change(order.spec)
    const status = expectFailure(
      await http.post(path, { ...order, metadata: { name: 'faulty' } }),
      422,
      'Invalid',
      /^CrateDB\.cloud\.crate\.io "faulty" is invalid: /,
    )
    assert.deepEqual(fieldsOf(status), [withoutPlaces(field)])
  })
}

test('a schedule of lists, ranges and steps of numbers is accepted', async () => {
  const order = tidalGauge()
  order.spec.backups.aws.cron = '0/15 1,2 3-4 * *'
  expectCode(await http.post(`${path}?dryRun=All`, { ...order, metadata: { name: 'scheduled' } }), 201)
})

test('a suspended database has no nodes', async () => {
  const order = tidalGauge()
  node(order.spec).replicas = 0
  expectCode(await http.post(`${path}?dryRun=All`, { ...order, metadata: { name: 'suspended' } }), 201)
})

test('the columns look at the group named hot', async () => {
  const order = tidalGauge()
  order.spec.nodes.data.unshift({ ...node(order.spec), name: 'cold', replicas: 1 })
  order.status = { crateDBStatus: { health: 'GREEN' } }
  expectCode(await http.post(path, { ...order, metadata: { name: 'columns' } }), 201)
  const table = expectCode(await http.get(`${path}/columns`, { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } }), 200)
  assert.deepEqual(
    table.columnDefinitions.map((column: Body) => column.name),
    ['Name', 'ClusterName', 'Version', 'Nodes', 'CPU_REQ', 'CPU_LIM', 'Age', 'Health'],
  )
  const { cells } = table.rows[0]
  assert.deepEqual([...cells.slice(0, 6), cells[7]], ['columns', 'tidal-gauge', '5.10.1', 3, 1, 2, 'GREEN'])
})
