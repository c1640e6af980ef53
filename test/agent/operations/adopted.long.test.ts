import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { type KindName, type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createNodes, nodeShapes, until } from '../../cluster/index.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'

/*
 * Databases that kubectl made, in shapes that the API does not make. Each action is carried out whole, or refused with the reason: after
 * `Succeeded`, what was requested is so in the cluster. A read says what the API cannot show or change.
 */

// biome-ignore lint/suspicious/noExplicitAny: specs of a kind that the compiler does not know
type Json = any

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await createNodes(scene.region.standIns.world, [...nodeShapes(6), { name: 'pool', labels: { cratedb: 'shared' } }])
})
after(() => scene?.close())

const disk = { count: 1, size: '8GiB', storageClass: 'crate-premium' }
const resources = { limits: { cpu: 0.5, memory: '1Gi' }, heapRatio: 0.25, disk }
const group = (name: string, more: object = {}) => ({ name, replicas: 1, resources, ...more })
const secret = (name: string, key = 'password') => ({ secretKeyRef: { name, key } })
const aws = ['accessKeyId', 'secretAccessKey', 'bucket', 'region']
const backups = { aws: { cron: '0 4 * * *', basePath: 'x', ...Object.fromEntries(aws.map((key) => [key, secret('s3', key)])) } }

/** What kubectl applies, with the Secrets that it refers to. */
const plain = (name: string): Json => ({
  cluster: { name, imageRegistry: 'crate', version: '5.10.1' },
  nodes: { data: [group('hot')] },
  users: [{ name: 'keeper', password: secret(`user-password-${name}-0`) }],
  backups,
})

type Action = 'suspend' | 'resume' | 'restart' | 'scale' | 'compute' | 'rotate' | 'restore' | 'delete'
type Shape = {
  name: string
  change?(spec: Json, name: string): void
  /** What the read lists as unsupported, besides the Secret of the backups. */
  unsupported?: RegExp
  /** The actions that are refused, and how. Every other one is carried out. */
  refused?: Partial<Record<Action, RegExp>>
  /** Another CrateDB in the namespace. */
  neighbour?: Json
  /** For shapes that do not concern nodes: the actions that are tried. All if left out. */
  only?: Action[]
}

const withoutNodes: Action[] = ['rotate', 'restore', 'delete']

const shapes: Shape[] = [
  { name: 'as the API makes it' },
  {
    name: 'two data groups',
    change: (spec) => {
      spec.nodes.data = [group('hot'), group('cold')]
    },
    unsupported: /^spec\.nodes\.data: There are 2 data groups/m,
  },
  {
    name: 'masters',
    change: (spec) => {
      spec.nodes.master = { replicas: 3, resources }
    },
  },
  {
    name: 'two data groups and masters',
    change: (spec) => {
      spec.nodes = { data: [group('hot'), group('cold')], master: { replicas: 3, resources } }
    },
    unsupported: /There are 2 data groups/,
  },
  {
    name: 'no users',
    only: withoutNodes,
    change: (spec) => {
      delete spec.users
    },
    unsupported: /^spec\.users: The CrateDB project-\S+ has no spec\.users/m,
    refused: { rotate: /is not a user that the database was created with \(none\)/ },
  },
  {
    name: 'a neighbour without users',
    only: withoutNodes,
    neighbour: { ...plain('neighbour'), users: undefined },
    refused: {
      rotate: /the CrateDB project-\S+\/neighbour has no spec\.users, .* kubectl --namespace project-\S+ patch cratedb neighbour/,
    },
  },
  {
    name: 'a Secret that does not follow the pattern',
    only: withoutNodes,
    change: (spec) => {
      spec.users[0].password = secret('keeper-login')
    },
    unsupported: /^spec\.users\[0\]\.password: The password cannot be rotated: its Secret keeper-login/m,
    refused: { rotate: /is in the Secret keeper-login.*change the password with SQL/ },
  },
  {
    name: 'a Secret with another number and key',
    only: withoutNodes,
    change: (spec, name) => {
      spec.users[0].password = secret(`user-password-${name}-7`, 'pass')
    },
  },
  {
    name: 'a shared node pool',
    change: (spec) => {
      spec.nodes.data[0].nodepool = 'shared'
    },
    unsupported: /^spec\.nodes\.data\[\]\.nodepool: Each node has a host of its own/m,
  },
  {
    name: 'requests below the limits',
    change: (spec) => {
      spec.nodes.data[0].resources = { ...resources, requests: { cpu: 0.1, memory: '512Mi' } }
    },
    unsupported: /^spec\.nodes\.data\[0\]\.resources\.requests: The requests differ from the limits/m,
  },
  {
    name: 'a group that is not named hot, and two disks',
    change: (spec) => {
      spec.nodes.data = [group('warm', { resources: { ...resources, disk: { ...disk, count: 2 } } })]
    },
  },
  {
    name: 'the older form of the limits',
    change: (spec) => {
      spec.nodes.data[0].resources = { cpus: 0.5, memory: '1Gi', heapRatio: 0.25, disk }
    },
  },
  {
    name: 'backups on Azure',
    change: (spec) => {
      const keys = ['accountName', 'accountKey', 'container', 'region']
      spec.backups = { azure_blob: { cron: '0 4 * * *', ...Object.fromEntries(keys.map((key) => [key, secret('azure', key)])) } }
    },
    unsupported: /^\/backups\/azureBlob\/accountName: The API would refuse this value/m,
    refused: { restore: /is required for a database with backups on Azure/ },
  },
  {
    name: 'an endpoint of the backups, with an operator that cannot restore from it',
    only: withoutNodes,
    change: (spec) => {
      spec.backups = { aws: { ...backups.aws, endpointUrl: secret('s3', 'endpointUrl') } }
    },
    refused: { restore: /the Crate Operator here is 2\.63\.0/ },
  },
  {
    name: 'no backups',
    only: withoutNodes,
    change: (spec) => {
      delete spec.backups
    },
    refused: { restore: /restores only into databases with backups/ },
  },
  {
    name: 'a version, a user and a setting that the API refuses',
    change: (spec) => {
      Object.assign(spec.cluster, { version: '5.10', settings: { 'node.attr.zone': 'a' } })
      spec.users[0].name = 'Keeper'
    },
    unsupported: /^\/version: The API would refuse this value/m,
    refused: { rotate: /must be|is not/ },
  },
  {
    name: 'Traefik, TLS, ports, a license and a name of its own',
    change: (spec) => {
      Object.assign(spec.cluster, { name: 'tides', exposure: 'traefik', externalDNS: 'tides.example.org', license: secret('s3', 'bucket') })
      spec.cluster.ssl = Object.fromEntries(['keystore', 'keystorePassword', 'keystoreKeyPassword'].map((key) => [key, secret('tls', key)]))
      spec.ports = { exporter: 9399, http: 4200, jmx: 6666, postgres: 5432, prometheus: 7071 }
    },
    unsupported: /^spec\.ports\.http: The operator's Services keep 4200/m,
  },
]

const namespaceOf = (project: string) => `project-${project}`

async function create(kind: KindName, namespace: string, name: string, more: object): Promise<void> {
  const { apiVersion } = kinds[kind]
  const body = { apiVersion, kind, metadata: { name, namespace }, ...more }
  await scene.region.admin.request({ method: 'POST', path: pathOf(kinds[kind], namespace), query: { fieldManager: 'kubectl' }, body })
}

/** What `kubectl apply` of a CrateDB and its Secrets does. Resolves when the database is GREEN. */
async function apply(project: string, name: string, spec: Json): Promise<void> {
  const namespace = namespaceOf(project)
  const keys = new Map<string, string[]>()
  JSON.stringify(spec, (_, value) => {
    if (value?.secretKeyRef) keys.set(value.secretKeyRef.name, [...(keys.get(value.secretKeyRef.name) ?? []), value.secretKeyRef.key])
    return value
  })
  for (const [secretName, names] of keys) {
    const data = Object.fromEntries(names.map((key) => [key, Buffer.from(`first-${key}`).toString('base64')]))
    await create('Secret', namespace, secretName, { data }).catch((error) => assert.match(String(error.detail), /already exists/))
  }
  await create('CrateDB', namespace, name, { spec })
  await until(`${project}/${name} is made`, async () => {
    const { status } = await read('CrateDB', namespace, name)
    return status?.['cluster_create/bootstrap']?.success === true && status.crateDBStatus?.health === 'GREEN'
  })
}

const read = (kind: KindName, namespace: string, name: string): Promise<KubernetesObject> =>
  scene.region.admin.request({ method: 'GET', path: pathOf(kinds[kind], namespace, name) })

async function list(kind: KindName, project: string): Promise<KubernetesObject[]> {
  const { items } = await scene.region.admin.request<{ items: KubernetesObject[] }>({
    method: 'GET',
    path: pathOf(kinds[kind], namespaceOf(project)),
  })
  return items.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/name'] === 'gauge')
}

const pods = (project: string) => list('Pod', project).then((all) => all.map(({ metadata }) => metadata.uid as string))
const sizes = async (project: string) =>
  Object.fromEntries((await list('StatefulSet', project)).map(({ metadata, spec }) => [metadata.name, spec.replicas]))

/** Each action: its request, and what must be so after it has succeeded. */
const requests: Record<Action, { method: string; path: string; body?: object; holds(project: string, former: Former): Promise<unknown> }> =
  {
    restart: {
      method: 'POST',
      path: '/actions/restart',
      async holds(project, { uids }) {
        const now = await pods(project)
        assert.deepEqual([now.length, now.filter((uid) => uids.includes(uid))], [uids.length, []])
      },
    },
    suspend: {
      method: 'POST',
      path: '/actions/suspend',
      async holds(project, { replicas }) {
        assert.deepEqual(await sizes(project), Object.fromEntries(Object.keys(replicas).map((name) => [name, 0])))
        assert.deepEqual(await pods(project), [])
      },
    },
    resume: {
      method: 'POST',
      path: '/actions/resume',
      holds: async (project, { replicas }) => assert.deepEqual(await sizes(project), replicas),
    },
    scale: {
      method: 'PATCH',
      path: '',
      body: { nodes: { count: 2 } },
      async holds(project, { replicas }) {
        const first = Object.keys(replicas).find((name) => /-(hot|warm)-/.test(name)) as string
        assert.deepEqual(await sizes(project), { ...replicas, [first]: 2 })
      },
    },
    compute: {
      method: 'PATCH',
      path: '',
      body: { nodes: { cpu: 0.25 } },
      async holds(project) {
        const [first] = (await read('CrateDB', namespaceOf(project), 'gauge')).spec.nodes.data
        assert.deepEqual([first.resources.limits, first.resources.requests], Array(2).fill({ cpu: 0.25, memory: '1Gi' }))
      },
    },
    rotate: {
      method: 'POST',
      path: '/actions/rotate-password',
      body: { user: 'keeper', password: 'a second password' },
      async holds(project) {
        const { users } = scene.region.standIns.database.state(namespaceOf(project), 'gauge')
        assert.equal(users.get('keeper')?.password, 'a second password')
      },
    },
    restore: {
      method: 'POST',
      path: '/actions/restore',
      body: { snapshot: 'before' },
      async holds(project) {
        const { repositories } = scene.region.standIns.database.state(namespaceOf(project), 'gauge')
        assert.equal(repositories.at(-1)?.bucket, 'first-bucket')
      },
    },
    delete: {
      method: 'DELETE',
      path: '',
      async holds(project) {
        await assert.rejects(read('CrateDB', namespaceOf(project), 'gauge'))
        assert.deepEqual(await list('StatefulSet', project), [])
      },
    },
  }
type Former = { uids: string[]; replicas: Record<string, number> }

async function act(project: string, action: Action, refused: RegExp | undefined, former: Former): Promise<void> {
  const { method, path, body, holds } = requests[action]
  const to = `/v1/projects/${project}/databases/gauge${path}`
  const answer = await scene.api.call(method, to, { body, headers: { prefer: 'wait=60' } })
  if (refused) {
    assert.ok([409, 422].includes(answer.status), `${action}: ${answer.text}`)
    assert.match(answer.text.replaceAll('\\"', '"'), refused)
    return
  }
  assert.equal(answer.status, 200, `${action}: ${answer.text}`)
  assert.equal(answer.body.phase ?? 'Succeeded', 'Succeeded', answer.text)
  await holds(project, former)
}

const order: Action[] = ['restart', 'suspend', 'resume', 'scale', 'compute', 'rotate', 'restore', 'delete']

describe('a database that kubectl made', { concurrency: 4 }, () => {
  for (const [index, { name, change, unsupported, refused = {}, neighbour, only = order }] of shapes.entries()) {
    test(`with ${name}: each action is carried out or refused, and a read says what the API cannot change`, async () => {
      const project = `shape-${index}`
      await scene.api.call('PUT', `/v1/projects/${project}`, { body: {}, headers: { prefer: 'wait=60' } })
      const spec = plain('gauge')
      change?.(spec, 'gauge')
      await apply(project, 'gauge', spec)
      if (neighbour) await apply(project, 'neighbour', neighbour)
      const path = `/v1/projects/${project}/databases/gauge`
      await until('the API shows it', async () => (await scene.api.call('GET', path)).body.status?.phase === 'Running')
      const { body: shown } = await scene.api.call('GET', path)
      const told = shown.status.unsupported.map(({ part, message }: { part: string; message: string }) => `${part}: ${message}`)
      const others = told.filter((text: string) => !/^(\/backups\/aws\/(bucket|region)|spec\.backups)/.test(text))
      if (unsupported) assert.match(told.join('\n'), unsupported)
      else assert.deepEqual(others, [])
      const everyGroup = [...spec.nodes.data, ...(spec.nodes.master ? [spec.nodes.master] : [])]
      assert.equal(
        shown.status.nodes.desired,
        everyGroup.reduce((sum: number, { replicas }: Json) => sum + replicas, 0),
      )
      for (const action of only)
        await act(project, action, refused[action], { uids: await pods(project), replicas: replicasOf(spec, action) })
    })
  }
})

/** The StatefulSets of a spec with their replicas, before that action. */
function replicasOf({ nodes }: Json, action: Action): Record<string, number> {
  const wasScaled = order.indexOf(action) > order.indexOf('scale') && action !== 'delete'
  const data = nodes.data.map(({ name, replicas }: Json, index: number) => [
    `crate-data-${name}-gauge`,
    wasScaled && index === 0 ? 2 : replicas,
  ])
  return Object.fromEntries([...data, ...(nodes.master ? [['crate-master-gauge', nodes.master.replicas]] : [])])
}

describe('a database with two data groups that kubectl made', () => {
  const path = '/v1/projects/tiers/databases/gauge'
  const call = (method: string, to: string, body?: unknown) => scene.api.call(method, to, { body, headers: { prefer: 'wait=60' } })
  /** What `kubectl scale` would do, if a CrateDB had that. */
  async function kubectlSuspends(name: string, groups: string[]): Promise<void> {
    const at = pathOf(kinds.CrateDB, 'project-tiers', name)
    const body = { spec: { nodes: { data: groups.map((each) => group(each, { replicas: 0 })) } } }
    await scene.region.admin.request({ method: 'PATCH', path: at, contentType: 'application/merge-patch+json', body })
    const phase = async () => (await scene.api.call('GET', `/v1/projects/tiers/databases/${name}`)).body.status?.phase
    await until('the API sees it', async () => (await phase()) === 'Suspended')
  }

  before(async () => {
    await call('PUT', '/v1/projects/tiers', {})
    await apply('tiers', 'gauge', { ...plain('gauge'), nodes: { data: [group('hot'), group('cold')] } })
    await until('the API shows it', async () => (await scene.api.call('GET', path)).status === 200)
  })

  test('what a read shows can be put, without the members that it lists as unsupported, and changes nothing', async () => {
    const { body: shown } = await call('GET', path)
    assert.deepEqual(
      shown.otherGroups.map(({ name, count }: Json) => [name, count]),
      [['cold', 1]],
    )
    const { backups: _, ...given } = shown
    const answer = await call('PUT', path, given)
    assert.deepEqual([answer.status, answer.body.backups], [200, shown.backups], answer.text)
    const without = await call('PUT', path, { ...given, otherGroups: undefined })
    assert.deepEqual([without.status, without.body.otherGroups], [200, shown.otherGroups], without.text)
  })

  test('another group is refused, and so is a group at creation', async () => {
    const { body: shown } = await call('GET', path)
    const patched = await call('PATCH', path, { otherGroups: [{ ...shown.otherGroups[0], count: 2 }] })
    assert.match(patched.body.faults[0].message, /must stay as a read shows it/)
    const { backups: _, status: __, ...given } = shown
    const made = await call('PUT', '/v1/projects/tiers/databases/new', { ...given, id: 'new' })
    assert.match(made.text, /must be left out: a database of the API has one data group/)
  })

  test('new credentials are refused, which would go into a Secret that the CrateDB does not read', async () => {
    const given = { bucket: 'first-bucket', region: 'first-region', accessKeyId: 'AKIANEW', secretAccessKey: 'new' }
    const { status, body: problem } = await call('PATCH', path, { backups: { aws: given } })
    assert.equal(status, 422)
    const messages = problem.faults.map(({ path: at, message }: Json) => `${at}: ${message}`).join('\n')
    assert.match(messages, /\/backups\/aws\/accessKeyId: is in the Secret s3 of another tool, which the API does not overwrite/)
    assert.match(messages, /\/backups\/aws\/bucket: is not known, since another tool set up these backups/)
  })

  test('the plan of a deletion counts the volumes of all groups', async () => {
    const { body: plan } = await call('DELETE', `${path}?dryRun=true`)
    assert.match(JSON.stringify(plan), /1 × 8 GiB and 1 × 8 GiB will be kept/)
  })

  test('one that kubectl suspended is not resumed with a guessed number of nodes', async () => {
    await kubectlSuspends('gauge', ['hot', 'cold'])
    for (const [method, to, body] of [
      ['POST', `${path}/actions/resume`, {}],
      ['PATCH', path, { suspended: false, nodes: { count: 1 } }],
    ] as const) {
      const answer = await call(method, to, body)
      assert.equal(answer.status, 422, answer.text)
      assert.match(answer.text, /how many nodes it had is not recorded, .*set the replicas of its data groups with kubectl/)
    }
  })

  test('one with a single group that kubectl suspended is resumed with the number that the request names', async () => {
    await apply('tiers', 'alone', plain('alone'))
    const alone = '/v1/projects/tiers/databases/alone'
    await kubectlSuspends('alone', ['hot'])
    for (const [method, to, given] of [
      ['POST', `${alone}/actions/resume`, {}],
      ['PATCH', alone, { suspended: false }],
    ] as const)
      assert.match((await call(method, to, given)).text, /patch suspended: false together with nodes\.count/)
    await until(
      'the operator has ended',
      async () => (await call('PATCH', alone, { suspended: false, nodes: { count: 2 } })).body.phase === 'Succeeded',
    )
    assert.equal((await read('StatefulSet', 'project-tiers', 'crate-data-hot-alone')).spec.replicas, 2)
  })

  test('a neighbour without users that comes after the request ends the operation with the reason', async () => {
    await apply('tiers', 'neighbour', { ...plain('neighbour'), users: undefined })
    const operation = await scene.region.accept({
      action: 'rotate-password',
      target: { kind: 'database', project: 'tiers', database: 'gauge' },
      parameters: { user: 'keeper' },
      secrets: { password: 'a second password' },
    })
    const { status } = await scene.region.ended(operation)
    assert.deepEqual([status?.phase, status?.reason], ['Failed', 'OperatorIgnoresSecret'])
    assert.match(status?.message ?? '', /the CrateDB project-tiers\/neighbour has no spec\.users/)
  })
})

test('an operation on a database whose pods the quota refuses shows that as its blocker', async () => {
  await scene.api.call('PUT', '/v1/projects/tight', { body: { quota: { cpu: 1 } }, headers: { prefer: 'wait=60' } })
  const data = { password: Buffer.from('first').toString('base64') }
  await create('Secret', 'project-tight', 'user-password-gauge-0', { data })
  await create('CrateDB', 'project-tight', 'gauge', { spec: { ...plain('gauge'), nodes: { data: [group('hot', { replicas: 3 })] } } })
  const path = '/v1/projects/tight/databases/gauge'
  await until('the API shows it', async () => (await scene.api.call('GET', path)).status === 200)
  const { body: operation, status, text } = await scene.api.call('POST', `${path}/actions/restart`, { body: {} })
  assert.equal(status, 202, text)
  await until('the operation names the quota', async () => {
    const { body } = await scene.api.call('GET', `/v1/operations/${operation.id}`)
    return body.blockers?.some(({ code, message }: Json) => code === 'QuotaExceeded' && /exceeded quota: skerry/.test(message))
  })
})
