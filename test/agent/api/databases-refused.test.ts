import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { operatorAt, type QuietRegion, startQuietRegion, storageClasses, usualDatabase, usualNodes } from './region.ts'

let region: QuietRegion
const path = '/v1/projects/harbour/databases/tidal-gauge'

before(async () => {
  region = await startQuietRegion()
  for (const storageClass of storageClasses) await region.stand(storageClass)
  await region.standProject({ id: 'harbour', quota: { cpu: 12, databases: 3 } })
  await region.standDatabase('harbour', { id: 'tidal-gauge' })
  await region.standDatabase('harbour', {
    id: 'rigid',
    nodes: { ...usualNodes, count: 1, cpu: 1, disk: { ...usualNodes.disk, storageClass: 'crate-rigid' } },
  })
  await region.standProject({ id: 'keep', deletionProtection: true })
  await region.standProject({ id: 'vault' })
  await region.standDatabase('vault', { id: 'kept', deletionProtection: true })
  await region.standDatabase('vault', { id: 'asleep', suspended: true })
})
after(() => region?.close())

type Case = {
  name: string
  method?: string
  path?: string
  body?: unknown
  status?: number
  type: string
  faults?: Record<string, string>
  detail?: string
}

const disk = (change: object) => ({ nodes: { disk: change } })

const cases: Case[] = [
  {
    name: 'a storage class that does not exist, naming those that do',
    path: '/v1/projects/harbour/databases/new',
    method: 'PUT',
    body: { ...usualDatabase, nodes: { ...usualNodes, count: 1, cpu: 1, disk: { size: '64Gi', storageClass: 'fast' } } },
    type: 'invalid-fields',
    faults: { '/nodes/disk/storageClass': 'is not a storage class of this cluster: there are crate-premium, crate-rigid' },
  },
  {
    name: 'a disk that shrinks',
    body: disk({ size: '32Gi' }),
    type: 'unsupported-edit',
    faults: {
      '/nodes/disk/size':
        'must be at least 64Gi: volumes cannot shrink; to change it, create a new database and restore a snapshot into it',
    },
  },
  {
    name: 'a disk that grows on a class that cannot',
    path: '/v1/projects/harbour/databases/rigid',
    body: disk({ size: '128Gi' }),
    type: 'unsupported-edit',
    faults: {
      '/nodes/disk/size':
        'must stay 64Gi: the storage class crate-rigid does not allow volumes to grow; have allowVolumeExpansion set on it, if its provisioner can, or create a new database and restore a snapshot into it',
    },
  },
  {
    name: 'a downgrade',
    body: { version: '5.9.0' },
    type: 'unsupported-edit',
    faults: {
      '/version':
        'must be at least 5.10.1: CrateDB cannot read the data of a newer release; to have another release, create a new database and restore a snapshot into it',
    },
  },
  {
    name: 'a skipped major release',
    body: { version: '7.0.0' },
    type: 'unsupported-edit',
    faults: {
      '/version': 'cannot go from 5.10.1 to 7.0.0: CrateDB reads the data of one major release before its own; upgrade to 6.x first',
    },
  },
  {
    name: 'more than the quota leaves, with the numbers',
    body: { nodes: { count: 6 } },
    type: 'quota-exceeded',
    faults: { '/nodes/cpu': "12 cores wanted, 1 core used by the project's other databases, 12 cores allowed" },
  },
  {
    name: 'another password for a user that exists',
    body: { users: [{ name: 'harbourmaster', password: 'another long password' }] },
    type: 'unsupported-edit',
    faults: { '/users/0/password': 'cannot be changed here; use actions/rotate-password for the user "harbourmaster"' },
  },
  {
    name: 'several faults of several kinds at once',
    body: { version: '5.9.0', nodes: { disk: { size: '32Gi' }, count: 6 }, master: usualNodes },
    type: 'unsupported-edit',
    faults: {
      '/nodes/disk/size':
        'must be at least 64Gi: volumes cannot shrink; to change it, create a new database and restore a snapshot into it',
      '/master':
        'the database has no dedicated master nodes, and they cannot be added; create a new database and restore a snapshot into it',
      '/version':
        'must be at least 5.10.1: CrateDB cannot read the data of a newer release; to have another release, create a new database and restore a snapshot into it',
      '/nodes/cpu': "18 cores wanted, 1 core used by the project's other databases, 12 cores allowed",
    },
  },
  { name: 'a patch that leads to no database', body: { version: null }, type: 'invalid-fields', faults: { '/version': 'is required' } },
  {
    name: 'a field that nobody knows',
    body: { verison: '5.10.2' },
    type: 'invalid-fields',
    faults: { '/verison': 'is not recognized; did you mean "version"?' },
  },
  {
    name: 'another id than that of the path',
    body: { id: 'other' },
    type: 'invalid-fields',
    faults: { '/id': 'must be "tidal-gauge", as in the path' },
  },
  {
    name: 'a new database that begins suspended',
    path: '/v1/projects/vault/databases/new',
    method: 'PUT',
    body: { ...usualDatabase, suspended: true },
    type: 'invalid-fields',
    faults: { '/suspended': 'must be false for a new database: create it running, then use actions/suspend' },
  },
  {
    name: 'a database in a project that is not there',
    path: '/v1/projects/nowhere/databases/new',
    method: 'PUT',
    body: usualDatabase,
    status: 404,
    type: 'not-found',
    detail: 'There is no project nowhere. It is created by PUT /v1/projects/nowhere.',
  },
  {
    name: 'a change of a database that is not there',
    path: '/v1/projects/harbour/databases/none',
    body: { version: '5.10.2' },
    status: 404,
    type: 'not-found',
    detail: 'There is no database none in project harbour.',
  },
  {
    name: 'the end of a protected database',
    method: 'DELETE',
    path: '/v1/projects/vault/databases/kept',
    status: 409,
    type: 'protected',
    detail: 'Database vault/kept has deletionProtection. Set it to false first.',
  },
  {
    name: 'the end of a protected project',
    method: 'DELETE',
    path: '/v1/projects/keep',
    status: 409,
    type: 'protected',
    detail: 'Project keep has deletionProtection. Set it to false first.',
  },
  {
    name: 'the end of a project with databases',
    method: 'DELETE',
    path: '/v1/projects/harbour',
    status: 409,
    type: 'not-empty',
    detail: 'Project harbour has 2 databases: rigid, tidal-gauge. Delete them first, or ask with cascade=true.',
  },
  {
    name: 'the end of a project with a protected database, cascade or not',
    method: 'DELETE',
    path: '/v1/projects/vault?cascade=true',
    status: 409,
    type: 'protected',
    detail: 'Of its databases these have deletionProtection: kept. Set it to false first.',
  },
  {
    name: 'a restart while suspended',
    method: 'POST',
    path: '/v1/projects/vault/databases/asleep/actions/restart',
    status: 409,
    type: 'wrong-state',
    detail: 'The request: the database is suspended; use actions/resume first.',
  },
  {
    name: 'a change that would be forgotten while suspended',
    path: '/v1/projects/vault/databases/asleep',
    body: { version: '5.10.2' },
    type: 'unsupported-edit',
    faults: {
      '/version':
        'cannot be changed while the database is suspended; set suspended to false in the same request, or use actions/resume first',
    },
  },
  {
    name: 'a new password for a user it was not created with',
    method: 'POST',
    path: `${path}/actions/rotate-password`,
    body: { user: 'stranger' },
    type: 'invalid-fields',
    faults: {
      '/user':
        'is not a user that the database was created with (harbourmaster); change others with SQL: ALTER USER "stranger" SET (password = …)',
    },
  },
  {
    name: 'a new password that is too short, for a user that the operator makes',
    method: 'POST',
    path: `${path}/actions/rotate-password`,
    body: { user: 'crate', password: 'short' },
    type: 'invalid-fields',
    faults: {
      '/user': 'is a user that CrateDB or the operator itself creates',
      '/password': 'must have at least 12 characters',
    },
  },
  {
    name: 'a new password while suspended',
    method: 'POST',
    path: '/v1/projects/vault/databases/asleep/actions/rotate-password',
    body: { user: 'harbourmaster' },
    status: 409,
    type: 'wrong-state',
    detail: 'The request: the database is suspended; use actions/resume first.',
  },
  {
    name: 'a restore into a database without backups',
    method: 'POST',
    path: `${path}/actions/restore`,
    body: { snapshot: 'monday' },
    status: 422,
    type: 'unsupported-edit',
    faults: { '': 'the Crate Operator restores only into databases with backups; create one with backups and restore into it' },
  },
  {
    name: 'an action with a word too many',
    method: 'POST',
    path: `${path}/actions/suspend`,
    body: { force: true },
    type: 'invalid-fields',
    faults: { '/force': 'is not recognized' },
  },
  {
    name: 'a parameter of the query that nobody knows',
    method: 'DELETE',
    path: `${path}?casacde=true`,
    type: 'invalid-fields',
    faults: { 'query:casacde': 'is not recognized; expected one of dryRun, retainVolumes' },
  },
  { name: 'a change meant for another version', path, body: { version: '5.10.2' }, status: 412, type: 'precondition-failed' },
]

for (const { name, method = 'PATCH', path: at = path, body, status = 422, type, faults, detail } of cases) {
  test(`refuses ${name}, and writes nothing`, async () => {
    const headers: Record<string, string> = type === 'precondition-failed' ? { 'if-match': '"0123456789abcdef-0"' } : {}
    const answer = await region.call(method, at, { body, headers })
    assert.equal(answer.status, status, answer.text)
    assert.equal(answer.body.type, `https://skerry.dev/problems/${type}`)
    if (faults)
      assert.deepEqual(
        Object.fromEntries(
          answer.body.faults.map((fault: { path?: string; in?: string; name?: string; message: string }) => [
            fault.path ?? `${fault.in}:${fault.name}`,
            fault.message,
          ]),
        ),
        faults,
      )
    if (detail) assert.equal(answer.body.detail, detail)
    assert.equal(region.journal.all().length, 0)
  })
}

test('the same is refused by a dry run', async () => {
  const answer = await region.call('PATCH', `${path}?dryRun=true`, { body: { version: '5.9.0' } })
  assert.equal(answer.status, 422)
})

/** The operator's Deployment, as its chart or somebody else has set it up. */
function operatorWith(debugVolume: { size: string; storageClass: string }) {
  const env = [
    { name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_SIZE', value: debugVolume.size },
    { name: 'CRATEDB_OPERATOR_DEBUG_VOLUME_STORAGE_CLASS', value: debugVolume.storageClass },
  ]
  const metadata = { namespace: operatorAt.namespace, name: operatorAt.deployment }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: { template: { spec: { containers: [{ name: 'operator', env }] } } } }
}

test('a database is refused while the operator gives its nodes heap-dump volumes of a class that is not there', async () => {
  const at = '/v1/projects/vault/databases/new'
  region.seen(operatorWith({ size: '128GiB', storageClass: 'default' }))
  for (const path of [at, `${at}?dryRun=true`]) {
    const { status, body } = await region.call('PUT', path, { body: usualDatabase })
    assert.equal(status, 422)
    assert.deepEqual(
      body.faults.map((fault: { path: string }) => fault.path),
      ['/nodes'],
    )
    assert.match(
      body.detail,
      /a heap-dump volume of the storage class default, which this cluster does not have \(there are crate-premium, crate-rigid\)/,
    )
  }
  // One that is there has its volumes.
  assert.equal((await region.call('PATCH', `${path}?dryRun=true`, { body: { version: '5.10.2' } })).status, 200)
  region.seen(operatorWith({ size: '128GiB', storageClass: 'crate-premium' }))
  assert.equal((await region.call('PUT', `${at}?dryRun=true`, { body: usualDatabase })).status, 200)
})

test('heap-dump volumes count against quotas as large as the operator makes them at this moment', async () => {
  await region.standProject({ id: 'tight', quota: { storage: '500Gi' } })
  const ask = () => region.call('PUT', '/v1/projects/tight/databases/new?dryRun=true', { body: usualDatabase })
  region.seen(operatorWith({ size: '128GiB', storageClass: 'crate-premium' }))
  const { status, body } = await ask()
  assert.equal(status, 422, JSON.stringify(body))
  assert.match(body.detail, /576 GiB of storage wanted, the heap-dump volume of each node included/)
  region.seen(operatorWith({ size: '64GiB', storageClass: 'crate-premium' }))
  assert.equal((await ask()).status, 200)
})
