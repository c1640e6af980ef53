import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type QuietRegion, startQuietRegion, storageClasses, usualDatabase, usualNodes } from './region.ts'

/* Bodies that were written for another API: the answer says what they are, and what to send instead. */

let region: QuietRegion
before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour' })
  await region.standDatabase('harbour', { id: 'tidal-gauge' })
})
after(() => region?.close())

const path = '/v1/projects/harbour/databases/tidal-gauge'
const resources = { limits: { cpu: 4, memory: '4Gi' }, disk: { count: 1, size: '128GiB', storageClass: 'default' }, heapRatio: 0.5 }
const manifest = {
  apiVersion: 'cloud.crate.io/v1',
  kind: 'CrateDB',
  metadata: { name: 'north' },
  spec: {
    cluster: { imageRegistry: 'crate', name: 'quay-dev', version: '5.7.3' },
    nodes: { data: [{ name: 'hot', replicas: 3, resources }] },
  },
}
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec: { containers: [] } }
const project = { apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name: 'harbour' }, spec: { quota: { cpu: 1 } } }

type Whole = { name: string; method?: string; path?: string; body: unknown; says: RegExp[] }
const wholes: Whole[] = [
  {
    name: 'a manifest of a CrateDB',
    body: manifest,
    says: [
      /^is a CrateDB manifest of the Crate Operator; send the fields of this API instead\. /,
      /spec\.cluster\.version → version, spec\.nodes\.data\[\]\.replicas → nodes\.count, spec\.nodes\.data\[\]\.resources\.limits\.cpu → nodes\.cpu/,
      /spec\.cluster\.name → id/,
      /Without a field here: spec\.cluster\.imageRegistry \(the site chooses it .*databases\.imageRegistry/,
      /docs\/cratedb-fields\.md/,
    ],
  },
  { name: 'the same as a patch', method: 'PATCH', body: manifest, says: [/^is a CrateDB manifest/] },
  {
    name: 'a manifest with two data groups',
    body: { ...manifest, spec: { ...manifest.spec, nodes: { data: [1, 2].map((n) => ({ name: `g${n}`, replicas: 1, resources })) } } },
    says: [/more than one data group/],
  },
  { name: 'a manifest without a spec', body: { apiVersion: 'cloud.crate.io/v1', kind: 'CrateDB' }, says: [/^is a CrateDB manifest/] },
  { name: 'another object of Kubernetes', body: pod, says: [/^is a Kubernetes object, Pod \(v1\); this API has fields of its own/] },
  {
    name: 'a Project for a project',
    path: '/v1/projects/harbour',
    body: project,
    says: [/Project \(skerry\.dev\/v1\).*send the members of its spec instead/],
  },
  { name: 'a Pod for an action', method: 'POST', path: `${path}/actions/restart`, body: pod, says: [/^is a Kubernetes object/] },
]
for (const { name, method = 'PUT', path: to = path, body, says } of wholes) {
  test(`${name} is one fault`, async () => {
    const { status, body: problem } = await region.call(method, to, { body })
    assert.equal(status, 422)
    assert.equal(problem.faults.length, 1, JSON.stringify(problem.faults))
    assert.equal(problem.faults[0].path, '')
    for (const each of says) assert.match(problem.faults[0].message, each)
    assert.ok(problem.faults[0].message.length < 1000)
  })
}

test('the largest manifest is answered within the limit of a message', async () => {
  const refs = (names: string[]) => Object.fromEntries(names.map((name) => [name, { secretKeyRef: { name: 'x', key: 'y' } }]))
  const group = { ...manifest.spec.nodes.data[0], nodepool: 'shared', labels: {}, annotations: {}, settings: {} }
  const spec = {
    cluster: {
      ...manifest.spec.cluster,
      ...{ settings: {}, allowedCIDRs: ['0.0.0.0/0'], exposure: 'traefik', externalDNS: 'x', service: { annotations: {} } },
      ...refs(['license']),
      ssl: refs(['keystore', 'keystorePassword', 'keystoreKeyPassword']),
    },
    nodes: { data: [group], master: group },
    ports: { exporter: 1, http: 2, jmx: 3, postgres: 4, prometheus: 5 },
    users: [{ name: 'a', password: refs(['secretKeyRef']) }],
    backups: { aws: { cron: '', ...refs(['bucket', 'region', 'accessKeyId', 'secretAccessKey']) } },
    grandCentral: { apiUrl: 'x' },
  }
  const { body: problem } = await region.call('PUT', path, { body: { ...manifest, spec } })
  const [{ message }] = problem.faults
  assert.ok(message.length < 1000, String(message.length))
  assert.match(message, /and \d+ more\..*and \d+ more\. docs\/cratedb-fields\.md/)
})

const fields: { name: string; body: object; pointer: string; says: RegExp }[] = [
  {
    name: 'requests below the limits',
    body: { nodes: { ...usualNodes, requests: { cpu: 1 } } },
    pointer: '/nodes/requests',
    says: /here it is nodes\.cpu, nodes\.memory: requests always equal the limits/,
  },
  {
    name: 'a node pool',
    body: { nodes: { ...usualNodes, nodepool: 'shared' } },
    pointer: '/nodes/nodepool',
    says: /does not have: each node has a host/,
  },
  { name: 'a license', body: { license: {} }, pointer: '/license', says: /does not have: the operator ignores it/ },
  { name: 'ports', body: { ports: { http: 4201 } }, pointer: '/ports', says: /does not have: the operator's Services keep 4200/ },
  { name: 'Grand Central', body: { grandCentral: {} }, pointer: '/grandCentral', says: /does not have: the console of CrateDB Cloud/ },
  { name: 'the registry', body: { imageRegistry: 'crate' }, pointer: '/imageRegistry', says: /databases\.imageRegistry/ },
  { name: 'heapRatio in the wrong place', body: { heapRatio: 0.5 }, pointer: '/heapRatio', says: /here it is nodes\.heapRatio/ },
  { name: 'replicas', body: { nodes: { ...usualNodes, replicas: 3 } }, pointer: '/nodes/replicas', says: /here it is nodes\.count/ },
  {
    name: 'replicas of masters',
    body: { master: { ...usualNodes, replicas: 3 } },
    pointer: '/master/replicas',
    says: /here it is master\.count/,
  },
  {
    name: 'resources',
    body: { nodes: { ...usualNodes, resources } },
    pointer: '/nodes/resources',
    says: /here it is nodes\.cpu, nodes\.memory, nodes\.heapRatio, nodes\.disk\.count/,
  },
  {
    name: 'data groups',
    body: { nodes: { data: [] } },
    pointer: '/nodes/data',
    says: /: nodes is the one data group, with count, cpu, memory/,
  },
  { name: 'the name of the cluster', body: { name: 'x' }, pointer: '/name', says: /here it is id: [^,]+$/ },
  {
    name: 'the name of a data group',
    body: { nodes: { ...usualNodes, name: 'hot' } },
    pointer: '/nodes/name',
    says: /does not have: a database of the API has one data group, named hot$/,
  },
  {
    name: 'a name that could be several fields',
    body: { exposure: { type: 'internal', name: 'x' } },
    pointer: '/exposure/name',
    says: /^is not recognized/,
  },
  { name: 'a key', body: { key: 'x' }, pointer: '/key', says: /^is not recognized/ },
  { name: 'a reference to a Secret', body: { secretKeyRef: {} }, pointer: '/secretKeyRef', says: /send the value itself/ },
  { name: 'the region', body: { region: 'eu-west-1' }, pointer: '/region', says: /each region has an agent of its own/ },
  {
    name: 'a bucket in the wrong place',
    body: { bucket: 'b' },
    pointer: '/bucket',
    says: /here it is backups\.aws\.bucket: the value itself/,
  },
  {
    name: 'a name that belongs to two providers of backups',
    body: { ssl: { cron: '0 4 * * *' } },
    pointer: '/ssl/cron',
    says: /^is not recognized/,
  },
  { name: 'a snapshot', body: { restoreSnapshot: {} }, pointer: '/restoreSnapshot', says: /use actions\/restore$/ },
  {
    name: 'the whole cluster',
    body: { cluster: {} },
    pointer: '/cluster',
    says: /^is a field of the Crate Operator with other places here; docs\/cratedb-fields\.md lists all fields of a CrateDB$/,
  },
  {
    name: 'Azure as the operator spells it',
    body: { backups: { azure_blob: {} } },
    pointer: '/backups/azure_blob',
    says: /backups\.azureBlob\.cron/,
  },
  { name: 'the version of CrateDB Cloud', body: { crate_version: '5.10.1' }, pointer: '/crate_version', says: /use version$/ },
  {
    name: 'the hardware of CrateDB Cloud',
    body: { hardware_specs: {} },
    pointer: '/hardware_specs',
    says: /nodes\.cpu, nodes\.memory and nodes\.disk/,
  },
  { name: 'the version of Amazon RDS', body: { EngineVersion: '5' }, pointer: '/EngineVersion', says: /use version$/ },
  { name: 'a misspelt field', body: { verison: '5' }, pointer: '/verison', says: /did you mean "version"/ },
]
for (const { name, body, pointer, says } of fields) {
  for (const method of ['PUT', 'PATCH']) {
    test(`${method} with ${name} says what to use instead`, async () => {
      const given = method === 'PUT' ? { ...usualDatabase, ...body } : body
      const { status, body: problem } = await region.call(method, path, { body: given })
      assert.equal(status, 422)
      const fault = problem.faults.find((each: { path: string }) => each.path === pointer)
      assert.match(fault?.message ?? JSON.stringify(problem.faults), says)
    })
  }
}
