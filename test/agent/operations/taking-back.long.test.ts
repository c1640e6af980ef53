import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { actions } from '../../../agent/operations/actions/index.ts'
import { readOperatorRun } from '../../../agent/resources/cratedb-run.ts'
import { Problem } from '../../../shared/errors.ts'
import { type KindName, type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { createNodes, until } from '../../cluster/index.ts'
import { smallDatabase } from './acting-region.ts'
import { type ActionScene, startActionScene } from './actions/scene.ts'
import { keepFourthHost, takeSchedulersPlace } from './hosts.ts'

/*
 * A change that waits for hosts can be taken back: by a request for less, also after a cancellation. The stand-in for the Crate Operator waits
 * as the real one does: see the facts in agent/resources/cratedb-undo.ts.
 */

let scene: ActionScene
before(async () => {
  scene = await startActionScene(actions)
  await done('PUT', '/v1/projects/harbour', {})
})
after(() => scene?.close())

const at = (id: string) => `/v1/projects/harbour/databases/${id}`
const nodes = (count: number) => ({ ...(smallDatabase({ id: 'any' }).nodes as object), count })
const aws = { bucket: 'harbour', region: 'eu-west-1', cron: '0 4 * * *', accessKeyId: 'AKIAOLD', secretAccessKey: 'old-secret' }

async function done(method: string, path: string, body?: unknown) {
  const answer = await scene.api.call(method, path, { body, headers: { prefer: 'wait=60' } })
  assert.ok(answer.status === 200 && (answer.body.phase ?? 'Succeeded') === 'Succeeded', answer.text)
  return answer.body
}

/** Creates a database with that many nodes. */
async function standing(id: string, count: number, more: object = {}): Promise<void> {
  const { id: _, ...given } = smallDatabase({ id, nodes: nodes(count), ...more } as never)
  await done('PUT', at(id), given)
}

/** Asks for something that waits for hosts. */
async function waiting(id: string, change: object, method = 'PATCH'): Promise<string> {
  const { body, text } = await scene.api.call(method, at(id), { body: change })
  assert.ok(body.id, text)
  await until('a node has no host', async () => {
    const { items } = await scene.region.admin.request({ method: 'GET', path: pathOf(kinds.Pod, 'project-harbour') })
    return items.some(({ metadata, spec }: KubernetesObject) => metadata.name.includes(`-${id}-`) && spec.nodeName === undefined)
  })
  await scene.region.whenOperation(
    await operation(body.id),
    ({ status }) => status?.phase === 'Waiting' && (status.blockers ?? []).length > 0,
  )
  return body.id
}

async function operation(id: string) {
  const found = await scene.region.journal.find(id)
  assert.ok(found)
  return found
}

/** The steps that an operation has done. */
async function stepsOf(id: string): Promise<string[] | undefined> {
  return (await operation(id)).status?.done?.map(({ name }) => name)
}

type Condition = { type: string; status: string }

const read = (kind: KindName, name: string): Promise<KubernetesObject> =>
  scene.region.admin.request({ method: 'GET', path: pathOf(kinds[kind], 'project-harbour', name) })

/** The pods of a database, by name, with their uids. */
async function podsOf(id: string): Promise<Record<string, string>> {
  const { items } = await scene.region.admin.request({ method: 'GET', path: pathOf(kinds.Pod, 'project-harbour') })
  const own = items.filter(({ metadata }: KubernetesObject) => metadata.labels?.['app.kubernetes.io/name'] === id)
  return Object.fromEntries(own.map(({ metadata }: KubernetesObject) => [metadata.name, metadata.uid ?? '']))
}

/** The database is as the operator leaves one, with that many nodes. */
async function assertSettled(id: string, count: number): Promise<void> {
  const { spec, metadata, status } = await read('CrateDB', id)
  assert.deepEqual(JSON.parse(metadata.annotations?.['operator.cloud.crate.io/last'] ?? '').spec, spec)
  assert.deepEqual(
    Object.keys(metadata.annotations ?? {}).filter((key) => key.startsWith('operator.cloud.crate.io/cluster_')),
    [],
  )
  assert.equal(status?.pendingPods, undefined)
  const set = await read('StatefulSet', `crate-data-hot-${id}`)
  assert.deepEqual([spec.nodes.data[0].replicas, set.spec.replicas], [count, count])
  const command: string[] = set.spec.template.spec.containers.find(({ name }: { name: string }) => name === 'crate').command
  const expected = command.find((argument) => /expected(_data)?_nodes/.test(argument))
  if (expected) assert.match(expected, new RegExp(`=${count}$`))
  await until('its pods are those', async () => Object.keys(await podsOf(id)).length === count)
}

test('fewer nodes take back a scaling that waits for a host, and the plan says so', async () => {
  await standing('tide', 3, { backups: { aws } })
  const before = await podsOf('tide')
  const first = await waiting('tide', { nodes: { count: 4 } })
  const plan = await scene.api.call('PATCH', `${at('tide')}?dryRun=true`, { body: { nodes: { count: 3 } } })
  assert.deepEqual(
    plan.body.steps.map(({ name }: { name: string }) => name),
    ['undo-scale'],
  )
  const [{ consequences, objects }] = plan.body.steps
  assert.ok(consequences[0].startsWith(`Supersedes operation ${first}`), plan.text)
  assert.ok(
    consequences.some((text: string) => text.startsWith('Takes back a node that has never started; no data moves.')),
    plan.text,
  )
  assert.ok(consequences.includes('Snapshots start again an hour later.'), plan.text)
  assert.deepEqual(
    objects[0].diff.find(({ path }: { path: string }) => path === '/spec/nodes/data/0/replicas'),
    { path: '/spec/nodes/data/0/replicas', from: 4, to: 3 },
  )
  const second = await done('PATCH', at('tide'), { nodes: { count: 3 } })
  const { status } = await operation(first)
  assert.deepEqual([status?.phase, status?.result], ['Superseded', { supersededBy: second.id }])
  await assertSettled('tide', 3)
  assert.deepEqual(await podsOf('tide'), before)
  assert.equal((await read('CrateDB', 'tide')).status?.delay_cronjob, true)
  await done('PATCH', at('tide'), { nodes: { count: 2 } })
})

test('fewer nodes take effect at once although other requests are queued before them', async () => {
  await standing('eddy', 3, { backups: { aws } })
  const scaling = await waiting('eddy', { nodes: { count: 4 } })
  const ask = async (method: string, path: string, body?: unknown) => (await scene.api.call(method, path, { body })).body.id as string
  const networks = await ask('PATCH', at('eddy'), { allowedCIDRs: ['10.9.0.0/16'] })
  const restart = await ask('POST', `${at('eddy')}/actions/restart`)
  const key = await ask('PATCH', at('eddy'), { backups: { aws: { secretAccessKey: 'new-secret' } } })
  const ahead = await until('the second one says what it waits for', async () => (await operation(networks)).status?.message)
  assert.equal(ahead, `Waits for ${scaling}, which was accepted for the same database and has not ended.`)
  const plan = await scene.api.call('PATCH', `${at('eddy')}?dryRun=true`, { body: { nodes: { count: 3 } } })
  assert.deepEqual(plan.body.steps[0].consequences.slice(0, 2), [
    `Supersedes operations ${scaling}, ${networks} and ${key}, which have not ended: what they wait for is taken back.`,
    `Takes precedence over operation ${restart}, which has not begun.`,
  ])
  const fewer = await done('PATCH', at('eddy'), { nodes: { count: 3 } })
  for (const id of [scaling, networks, key]) {
    const { status } = await scene.region.ended(await operation(id))
    assert.deepEqual([status?.phase, status?.result], ['Superseded', { supersededBy: fewer.id }])
  }
  assert.equal((await scene.region.ended(await operation(restart))).status?.phase, 'Succeeded')
  await assertSettled('eddy', 3)
  assert.deepEqual((await read('CrateDB', 'eddy')).spec.cluster.allowedCIDRs, ['10.9.0.0/16'])
  const { data } = await read('Secret', 'backup-eddy')
  assert.equal(Buffer.from(data['secret-access-key'], 'base64').toString(), 'new-secret')
})

test('fewer nodes and other credentials in one request take back a scaling', async () => {
  await standing('gyre', 3, { backups: { aws } })
  await waiting('gyre', { nodes: { count: 4 } })
  await done('PATCH', at('gyre'), { nodes: { count: 3 }, backups: { aws: { secretAccessKey: 'new-secret' } } })
  await assertSettled('gyre', 3)
})

test('the plan of a request that takes nothing back says for which operation it waits', async () => {
  await standing('slack', 3)
  const first = await waiting('slack', { nodes: { count: 4 } })
  for (const [method, path, body] of [
    ['POST', '/actions/suspend', undefined],
    ['PATCH', '', { allowedCIDRs: ['10.9.0.0/16'] }],
  ] as const) {
    // Before it waits for a host, the new pod waits for its volumes.
    await until('the plan says so', async () => {
      const plan = await scene.api.call(method, `${at('slack')}${path}?dryRun=true`, { body })
      const [said] = plan.body.steps[0].consequences
      return said === `Waits for operation ${first}: its step "scale" waits for hosts, and this request does not take it back.`
    })
  }
})

test('a request after a cancellation takes the scaling back', async () => {
  await standing('ebb', 3)
  const first = await waiting('ebb', { nodes: { count: 4 } })
  await scene.api.call('DELETE', `/v1/operations/${first}`)
  await scene.region.ended(await operation(first))
  await done('PATCH', at('ebb'), { nodes: { count: 3 } })
  await assertSettled('ebb', 3)
})

test('a scaling that somebody takes back with kubectl is finished by the same request', async () => {
  await standing('neap', 3)
  const first = await waiting('neap', { nodes: { count: 4 } })
  await scene.api.call('DELETE', `/v1/operations/${first}`)
  await scene.region.ended(await operation(first))
  const { nodes: wanted } = (await read('CrateDB', 'neap')).spec
  const body = { spec: { nodes: { data: [{ ...wanted.data[0], replicas: 3 }] } } }
  const path = pathOf(kinds.CrateDB, 'project-harbour', 'neap')
  await scene.region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
  await until('the agent sees it', async () => (await scene.api.call('GET', at('neap'))).body.nodes.count === 3)
  await done('PATCH', at('neap'), { nodes: { count: 3 } })
  await assertSettled('neap', 3)
})

test('taking back a scaling once more succeeds too', async () => {
  await standing('bore', 3)
  await waiting('bore', { nodes: { count: 4 } })
  const state = scene.region.standIns.database.state('project-harbour', 'bore')
  state.snapshotStatement = 'CREATE SNAPSHOT system_backup.now ALL'
  const { body } = await scene.api.call('PATCH', at('bore'), { body: { nodes: { count: 3 } } })
  const refOf = async () => (await read('CrateDB', 'bore')).status?.cluster_update?.ref
  await until('the operator waits for the snapshot', async () =>
    JSON.stringify((await read('CrateDB', 'bore')).metadata.annotations).includes('A snapshot is currently in progress'),
  )
  const ref = await refOf()
  await scene.api.call('DELETE', `/v1/operations/${body.id}`)
  await scene.region.ended(await operation(body.id))
  const again = done('PATCH', at('bore'), { nodes: { count: 3 } })
  await until(
    'it begins',
    async () => (await scene.region.journal.unended({ kind: 'database', project: 'harbour', database: 'bore' }))[0]?.status?.step,
  )
  state.snapshotStatement = undefined
  await again
  assert.notEqual(await refOf(), ref)
  await assertSettled('bore', 3)
})

test('a creation that waits for a host goes on with fewer nodes', async () => {
  const { id: _, ...given } = smallDatabase({ id: 'narrow', nodes: nodes(4) } as never)
  const place = await takeSchedulersPlace(scene.region.admin)
  const first = await waiting('narrow', given, 'PUT')
  await place('crate-data-hot-narrow')
  await until('it is bootstrapped', async () => (await read('CrateDB', 'narrow')).status?.['cluster_create/bootstrap']?.success === true)
  await done('PATCH', at('narrow'), { nodes: { count: 3 } })
  assert.equal((await operation(first)).status?.phase, 'Superseded')
  await assertSettled('narrow', 3)
})

/**
 * Has a pass of the abandoned run write its records after the change was taken back: right after the agent's second write, the apply.
 * @param part the part of the run that ended in that pass
 * @param then runs before the agent gets the answer
 * @returns whether that has happened
 */
function withLatePass(id: string, part: 'before_cluster_update' | 'scale', then: () => Promise<unknown> = async () => {}): () => boolean {
  const path = pathOf(kinds.CrateDB, 'project-harbour', id)
  const { operator } = scene.region.standIns
  const key = `operator.cloud.crate.io/cluster_update.${part}`
  const ended = { started: '2026-01-31T12:00:00.000000', stopped: '2026-01-31T12:00:01.000000', purpose: 'update', retries: 1 }
  const body = { metadata: { annotations: { [key]: JSON.stringify({ ...ended, success: true, failure: false }) } } }
  let late = false
  scene.region.intercept(async (request, send) => {
    if (request.method !== 'PATCH' || request.path !== path || request.query?.dryRun || late) return send()
    await operator.pause()
    const answer = await send()
    // The merge patch comes first, and then the apply.
    if (!request.contentType?.includes('apply')) return answer
    late = true
    await scene.region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
    const { databases } = scene.region.caches
    await until('it is seen', async () => databases.get(`project-harbour/${id}`)?.metadata.annotations?.[key] !== undefined)
    await then()
    await operator.resume()
    return answer
  })
  return () => late
}

test('a pass of the abandoned run that writes its records late holds up nothing', async () => {
  await standing('drift', 3)
  await waiting('drift', { nodes: { count: 4 } })
  const isLate = withLatePass('drift', 'before_cluster_update')
  await done('PATCH', at('drift'), { nodes: { count: 3 } })
  scene.region.intercept()
  assert.ok(isLate())
  await assertSettled('drift', 3)
})

test('nor does it to what follows a cancellation', async () => {
  await standing('lull', 3)
  await waiting('lull', { nodes: { count: 4 } })
  const { promise: taken, resolve: take } = Promise.withResolvers<string>()
  const isLate = withLatePass('lull', 'before_cluster_update', async () => scene.api.call('DELETE', `/v1/operations/${await taken}`))
  const { body } = await scene.api.call('PATCH', at('lull'), { body: { nodes: { count: 3 } } })
  take(body.id)
  assert.equal((await scene.region.ended(await operation(body.id))).status?.phase, 'Cancelled')
  assert.ok(isLate())
  scene.region.intercept()
  await done('POST', `${at('lull')}/actions/restart`)
  await assertSettled('lull', 3)
})

test('taking back is repeated if the operator begins between its two writes, also if it goes on with the run that it had begun', async () => {
  await standing('brisk', 3)
  await waiting('brisk', { nodes: { count: 4 } })
  const path = pathOf(kinds.CrateDB, 'project-harbour', 'brisk')
  const { operator, database } = scene.region.standIns
  const state = database.state('project-harbour', 'brisk')
  state.snapshotStatement = 'CREATE SNAPSHOT system_backup.now ALL'
  let begun: Record<string, string> | undefined
  let repeated = false
  scene.region.intercept(async (request, send) => {
    if (request.method !== 'PATCH' || request.path !== path || request.query?.dryRun || repeated) return send()
    const isFirstOfTwo = !request.contentType?.includes('apply')
    if (begun && isFirstOfTwo) await operator.pause()
    const answer = await send()
    if (!begun) begun = await progressOnceBegun('brisk')
    else if (!isFirstOfTwo) {
      repeated = true
      // A pass that began before the repetition writes its progress after it.
      const body = { metadata: { annotations: begun } }
      await scene.region.admin.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body })
      const { databases } = scene.region.caches
      const [key = ''] = Object.keys(begun)
      await until('it is seen', async () => databases.get('project-harbour/brisk')?.metadata.annotations?.[key] !== undefined)
      state.snapshotStatement = undefined
      await operator.resume()
    }
    return answer
  })
  await done('PATCH', at('brisk'), { nodes: { count: 3 } })
  scene.region.intercept()
  assert.ok(repeated)
  await assertSettled('brisk', 3)
})

/** The operator's records of a run, once that waits for the end of a snapshot. */
function progressOnceBegun(id: string): Promise<Record<string, string>> {
  return until('the operator has begun', async () => {
    const { annotations = {} } = (await read('CrateDB', id)).metadata
    const records = Object.entries(annotations).filter(([key]) => key.startsWith('operator.cloud.crate.io/cluster_'))
    return JSON.stringify(records).includes('A snapshot is currently in progress') && Object.fromEntries(records)
  })
}

test('more cores than a host has are taken back, and only the node that they reached restarts', async () => {
  await standing('surge', 3)
  const before = await podsOf('surge')
  const body = { nodes: { cpu: 100 } }
  const plan = await scene.api.call('PATCH', `${at('surge')}?dryRun=true`, { body })
  assert.ok(
    plan.body.steps[0].consequences.includes(
      'A node asks for 100 cores, and the largest host has 16 in all. The first node that starts with that waits until a host has it, and is missing until then.',
    ),
    plan.text,
  )
  const first = await waiting('surge', body)
  const second = await done('PATCH', at('surge'), { nodes: { cpu: '500m' } })
  assert.deepEqual((await operation(first)).status?.result, { supersededBy: second.id })
  await assertSettled('surge', 3)
  const after = await podsOf('surge')
  const changed = Object.keys(after).filter((name) => after[name] !== before[name])
  assert.equal(changed.length, 1, JSON.stringify({ before, after }))
})

test('a request after a cancellation takes more cores than a host has back', async () => {
  await standing('swell', 3)
  const first = await waiting('swell', { nodes: { cpu: 100 } })
  await scene.api.call('DELETE', `/v1/operations/${first}`)
  assert.equal((await scene.region.ended(await operation(first))).status?.phase, 'Cancelled')
  const second = await done('PATCH', at('swell'), { nodes: { cpu: '500m' } })
  assert.deepEqual(await stepsOf(second.id), ['undo-compute'])
  await assertSettled('swell', 3)
})

test('the plan of a creation, and of a change, says where a node asks for more memory than any host has', async () => {
  const { id: _, ...given } = smallDatabase({ id: 'any', nodes: { ...nodes(3), memory: '4Ti' } } as never)
  const creation = await scene.api.call('PUT', `${at('deep')}?dryRun=true`, { body: given })
  await standing('shallow', 3)
  const change = await scene.api.call('PATCH', `${at('shallow')}?dryRun=true`, { body: { nodes: { memory: '4Ti' } } })
  for (const [{ body, text }, step] of [
    [creation, 'create'],
    [change, 'compute'],
  ] as const) {
    assert.equal(body.steps?.[0]?.name, step, text)
    const said = body.steps[0].consequences.find((each: string) =>
      each.startsWith('A node asks for 4 TiB of memory, and the largest host has '),
    )
    assert.match(said ?? text, /GiB in all\. The first node that starts with that waits until a host has it, and is missing until then\.$/)
  }
})

test('the plan says where more nodes than one cannot be taken back', async () => {
  await standing('lone', 1)
  const said = async (count: number) => {
    const plan = await scene.api.call('PATCH', `${at('lone')}?dryRun=true`, { body: { nodes: { count } } })
    return plan.body.steps?.[0]?.consequences.includes('Until then the change cannot be taken back.') ?? plan.text
  }
  assert.equal(await said(9), false, 'a second node can start')
  const free = async (unschedulable: boolean) => {
    const hosts = [...scene.region.caches.nodes.values()].map(({ metadata }) => metadata.name).slice(1)
    const contentType = 'application/merge-patch+json'
    for (const host of hosts) {
      const path = pathOf(kinds.Node, undefined, host)
      await scene.region.admin.request({ method: 'PATCH', path, contentType, body: { spec: { unschedulable: unschedulable || null } } })
    }
    await until('the agent sees it', async () =>
      hosts.every((host) => (scene.region.caches.nodes.get(host)?.spec?.unschedulable ?? false) === unschedulable),
    )
  }
  await free(true)
  assert.equal(await said(2), true)
  await free(false)
})

test('the plan says where more cores than a host has cannot be taken back', async () => {
  await standing('sole', 1)
  const plan = await scene.api.call('PATCH', `${at('sole')}?dryRun=true`, { body: { nodes: { cpu: 100 } } })
  assert.ok(
    plan.body.steps[0].consequences.includes('Until then the database does not answer, and the change cannot be taken back.'),
    plan.text,
  )
  const fitting = await scene.api.call('PATCH', `${at('sole')}?dryRun=true`, { body: { nodes: { cpu: 2 } } })
  assert.ok(!fitting.text.includes('cannot be taken back'), fitting.text)
})

test('a node that has started is not dropped: it is scaled down as usual', async () => {
  await createNodes(scene.region.standIns.world, [{ name: 'node-4' }])
  await standing('spring', 3)
  const fourth = await keepFourthHost(scene.region.admin, 'crate-data-hot-spring-')
  await waiting('spring', { nodes: { count: 5 } })
  await fourth.give('crate-data-hot-spring-3')
  await fourth.release()
  const second = await done('PATCH', at('spring'), { nodes: { count: 3 } })
  assert.deepEqual(await stepsOf(second.id), ['undo-scale', 'scale'])
  await assertSettled('spring', 3)
})

test('nothing is held up if the last node has started after all, and the answer to the write that takes it back is lost', async () => {
  await standing('wake', 3)
  const fourth = await keepFourthHost(scene.region.admin, 'crate-data-hot-wake-')
  await waiting('wake', { nodes: { count: 4 } })
  // So that a pass of the abandoned run ends it. An agent that dies before it records the write knows as little.
  const isLate = withLatePass('wake', 'scale', async () => {
    await fourth.give('crate-data-hot-wake-3')
    await scene.region.standIns.operator.resume()
    throw new Problem('cluster-unreachable', 'The answer is lost.')
  })
  await done('PATCH', at('wake'), { nodes: { count: 2 } })
  scene.region.intercept()
  assert.ok(isLate())
  await fourth.release()
  await assertSettled('wake', 2)
})

test('a node that joined during the scaling, and lost its host, is not dropped', async () => {
  await standing('swell', 3)
  const fourth = await keepFourthHost(scene.region.admin, 'crate-data-hot-swell-')
  const first = await waiting('swell', { nodes: { count: 5 } })
  const name = 'crate-data-hot-swell-3'
  await fourth.give(name)
  await until('the first of the two has joined', async () => {
    const conditions: Condition[] = (await read('Pod', name)).status?.conditions ?? []
    return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
  })
  // Its next pod must be younger than its claim, by more than it takes to create both.
  const { creationTimestamp = '' } = (await read('PersistentVolumeClaim', `data0-${name}`)).metadata
  await until('it has run for a while', async () => Date.now() - Date.parse(creationTimestamp) > 7_000)
  const { uid } = (await read('Pod', name)).metadata
  await scene.region.admin.request({ method: 'DELETE', path: pathOf(kinds.Pod, 'project-harbour', name) })
  await until('its next pod waits', async () => {
    const pod = await read('Pod', name).catch(() => undefined)
    return pod && pod.metadata.uid !== uid && pod.spec.nodeName === undefined
  })
  const { body } = await scene.api.call('PATCH', at('swell'), { body: { nodes: { count: 3 } } })
  await scene.region.ended(await operation(first))
  const replicas = async () => (await read('CrateDB', 'swell')).spec.nodes.data[0].replicas
  await until('the other one is taken back', async () => (await replicas()) !== 5)
  assert.equal(await replicas(), 4)
  await fourth.release()
  await scene.region.ended(await operation(body.id))
  assert.deepEqual(await stepsOf(body.id), ['undo-scale', 'scale'])
  await assertSettled('swell', 3)
})

test('a request that asks for no less waits for the one before', async () => {
  await standing('high', 4)
  const first = await waiting('high', { nodes: { count: 5 } })
  const { body } = await scene.api.call('PATCH', at('high'), { body: { nodes: { count: 6 } } })
  const { body: less } = await scene.api.call('PATCH', at('high'), { body: { allowedCIDRs: ['10.9.0.0/16'] } })
  assert.equal((await operation(first)).status?.phase, 'Waiting')
  await createNodes(scene.region.standIns.world, [{ name: 'node-5' }, { name: 'node-6' }])
  for (const id of [first, body.id, less.id]) assert.notEqual((await scene.region.ended(await operation(id))).status?.phase, 'Failed')
})

test('what its hosts arrived for before it was taken back is changed as usual', async () => {
  const { items: hosts } = await scene.region.admin.request({ method: 'GET', path: pathOf(kinds.Node) })
  await standing('dawn', hosts.length)
  await waiting('dawn', { nodes: { count: hosts.length + 1 } })
  beforeTakenBack('dawn', [{ name: 'one-more' }])
  const scaled = await done('PATCH', at('dawn'), { nodes: { count: hosts.length } })
  assert.deepEqual(await stepsOf(scaled.id), ['scale'])
  await assertSettled('dawn', hosts.length)

  await standing('noon', 3)
  await waiting('noon', { nodes: { cpu: 100 } })
  const large = ['large-1', 'large-2', 'large-3']
  beforeTakenBack(
    'noon',
    large.map((name) => ({ name, cpu: '128' })),
  )
  const computed = await done('PATCH', at('noon'), { nodes: { cpu: '500m' } })
  assert.deepEqual(await stepsOf(computed.id), ['compute'])
  await assertSettled('noon', 3)
})

/** Hosts arrive, and the operator ends its run with them, right before the write that takes its change back. */
function beforeTakenBack(id: string, hosts: Parameters<typeof createNodes>[1]): void {
  const path = pathOf(kinds.CrateDB, 'project-harbour', id)
  scene.region.intercept(async (request, send) => {
    if (request.method !== 'PATCH' || request.path !== path || request.query?.dryRun) return send()
    scene.region.intercept()
    await createNodes(scene.region.standIns.world, hosts)
    await until('the operator has ended', async () => readOperatorRun(await read('CrateDB', id)).state === 'ended')
    return send()
  })
}
