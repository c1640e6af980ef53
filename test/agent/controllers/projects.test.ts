import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { problemOfAnswer } from '../../../shared/kubernetes/failures.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { parseMillicores } from '../../../shared/kubernetes/quantity.ts'
import { until, untilQuotasCount } from '../../cluster/index.ts'
import { crateDB } from '../region/scene.ts'
import { leaseInHand, namespaceNamed, projectNamed, readyOf, startControlledRegion } from './region.ts'

const region = await startControlledRegion()
const { make, read, remove, patch, whenReason } = region
let controller = await region.startProjects()

/** Nobody looks at a project that is as it should be before that is over, unless something is heard: on a busy machine that takes some. */
const withinSecondsMs = 20_000

const inside = (apiVersion: string, kind: string, project: string, name: string): KubernetesObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace: `project-${project}` },
})
const quotaOf = (project: string) => inside('v1', 'ResourceQuota', project, 'skerry')
const limitsOf = (project: string) => inside('v1', 'LimitRange', project, 'skerry')
const policyOf = (project: string, name = 'skerry-default-deny') => inside('networking.k8s.io/v1', 'NetworkPolicy', project, name)
const accountOf = (project: string) => inside('v1', 'ServiceAccount', project, 'default')
const copyOf = (project: string, name: string) => inside('v1', 'Secret', project, `skerry-pull-${name}`)

/** A pull secret in the agent's namespace. */
const pullSecret = (name: string, password: string): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/dockerconfigjson',
  metadata: { name, namespace: region.namespace },
  data: { '.dockerconfigjson': base64(JSON.stringify({ auths: { 'quay.example': { auth: base64(`pilot:${password}`) } } })) },
})
const base64 = (text: string) => Buffer.from(text).toString('base64')

test('a project becomes a namespace with its limits and its isolation', async () => {
  await make(
    projectNamed('harbour', { quota: { cpu: 0.5, memory: '96Gi', storage: '2Ti', databases: 8 }, labels: { 'cost-centre': '4711' } }),
  )
  const project = await whenReason('harbour', 'Ready')
  assert.deepEqual(project.metadata.finalizers, ['skerry.dev/project'])
  assert.equal(project.status?.namespace, 'project-harbour')
  assert.equal(project.status?.observedGeneration, project.metadata.generation)
  assert.equal(project.status?.blockers, undefined)
  const { status, message } = readyOf(project) ?? {}
  assert.deepEqual([status, message], ['True', 'Namespace project-harbour is set up.'])

  const labels = (await read(namespaceNamed('project-harbour')))?.metadata.labels ?? {}
  assert.equal(labels['pod-security.kubernetes.io/enforce'], 'privileged')
  assert.equal(labels['cost-centre'], '4711')
  assert.equal(labels['skerry.dev/project'], 'harbour')
  const { 'requests.cpu': cpu, ...hard } = (await read(quotaOf('harbour')))?.spec.hard ?? {}
  assert.equal(parseMillicores(cpu), 500) // a real API server spells it 500m
  assert.deepEqual(hard, { 'requests.memory': '96Gi', 'requests.storage': '2Ti', 'count/cratedbs.cloud.crate.io': '8' })
  assert.ok(await read(limitsOf('harbour')))
  assert.deepEqual((await read(policyOf('harbour')))?.spec.policyTypes, ['Ingress', 'Egress'])
  assert.ok(await read(policyOf('harbour', 'skerry-metrics')))
})

test('what is found as it should be is not applied again', async () => {
  await make(projectNamed('calm', { quota: { cpu: 0.5, memory: '1024Mi' } }))
  await whenReason('calm', 'Ready')
  region.forget()
  const again = await region.startProjects() // one that remembers nothing
  await until('it has looked at the project', async () =>
    region.requests.some(({ path }) => path === pathOf(kinds.NetworkPolicy, 'project-calm', 'skerry-dns')),
  )
  await again.stop(0)
  assert.deepEqual(
    region.requests.filter(({ method, path }) => method !== 'GET' && path.includes('calm')),
    [],
  )
  region.forget()
  await patch(projectNamed('calm'), { spec: { displayName: 'Calm' } })
  await until('the change is seen', async () => (await read(projectNamed('calm')))?.status?.observedGeneration === 2)
  const written = region.requests
    .filter(({ method, path }) => method !== 'GET' && path.includes('calm'))
    .map(({ method, path }) => `${method} ${path}`)
  assert.deepEqual(written, ['PUT /apis/skerry.dev/v1/projects/calm/status'])
})

test('drift is healed within seconds, whatever it is', async () => {
  await make(projectNamed('drift', { quota: { cpu: 4 } }))
  await whenReason('drift', 'Ready')

  await remove(policyOf('drift'))
  await until('the policy is back', async () => (await read(policyOf('drift'))) !== undefined, withinSecondsMs)

  await patch(policyOf('drift', 'skerry-operator'), { spec: { ingress: [{}] } }) // lets everybody in
  await until(
    'the policy is as it was',
    async () => (await read(policyOf('drift', 'skerry-operator')))?.spec.ingress[0]?.from !== undefined,
    withinSecondsMs,
  )

  await patch(quotaOf('drift'), { spec: { hard: { 'requests.cpu': '400' } } })
  await until('the quota is as it was', async () => (await read(quotaOf('drift')))?.spec.hard['requests.cpu'] === '4', withinSecondsMs)

  await patch(namespaceNamed('project-drift'), { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } } })
  const enforced = async () => (await read(namespaceNamed('project-drift')))?.metadata.labels?.['pod-security.kubernetes.io/enforce']
  await until('the label is as it was', async () => (await enforced()) === 'privileged', withinSecondsMs)

  // Without this label the namespace is not even watched any more; it is known by the fields that Skerry applied.
  await patch(namespaceNamed('project-drift'), {
    metadata: { labels: { 'app.kubernetes.io/managed-by': null, 'skerry.dev/project': null } },
  })
  const owner = async () => (await read(namespaceNamed('project-drift')))?.metadata.labels?.['app.kubernetes.io/managed-by']
  await until('the namespace is claimed again', async () => (await owner()) === 'skerry', withinSecondsMs)
})

test('a limit that is taken away goes from the quota', async () => {
  await make(projectNamed('looser', { quota: { cpu: 4, memory: '8Gi' } }))
  await whenReason('looser', 'Ready')
  await make(projectNamed('looser', { quota: { cpu: 4 } }))
  await until('the limit is gone', async () => (await read(quotaOf('looser')))?.spec.hard['requests.memory'] === undefined)
  assert.deepEqual((await read(quotaOf('looser')))?.spec.hard, { 'requests.cpu': '4' })
})

const added = [
  { name: 'a limit in the quota', of: quotaOf, field: 'spec', change: { hard: { pods: '0' } }, is: { hard: { 'requests.cpu': '4' } } },
  {
    name: 'a rule in a network policy',
    of: (project: string) => policyOf(project, 'skerry-operator'),
    field: 'spec',
    change: { egress: [{ to: [{ namespaceSelector: {} }] }] },
    is: { policyTypes: ['Ingress'], egress: undefined },
  },
  {
    name: 'a key in the copy of a pull secret',
    of: (project: string) => copyOf(project, 'opened'),
    field: 'data',
    change: { other: 'b3RoZXI=' },
    is: { other: undefined },
  },
]
test('what others add to the objects of a project is removed within seconds', async () => {
  await make(pullSecret('opened', 'one'))
  await make(projectNamed('opened', { quota: { cpu: 4 }, imagePullSecrets: ['opened'] }))
  await whenReason('opened', 'Ready')
  for (const { name, of, field, change, is } of added) {
    const object = of('opened')
    await patch(object, { [field]: change })
    // No watch follows Secrets: only a controller that remembers nothing looks at them now.
    const again = object.kind === 'Secret' ? await region.startProjects() : undefined
    await until(
      `${name} is removed`,
      async () => {
        const now = (await read(object))?.[field] ?? {}
        return Object.keys(change).every((key) => isDeepStrictEqual(now[key], (is as Record<string, unknown>)[key]))
      },
      withinSecondsMs,
    )
    await again?.stop(0)
  }
})

test('what others added to the namespace is left alone', async () => {
  await make(projectNamed('shared'))
  await whenReason('shared', 'Ready')
  const theirs: KubernetesObject = { ...policyOf('shared', 'audit'), spec: { podSelector: {}, policyTypes: ['Ingress'] } }
  await make(theirs)
  await patch(namespaceNamed('project-shared'), { metadata: { labels: { team: 'quay' } } })
  await patch(projectNamed('shared'), { spec: { labels: { tide: 'high' } } })
  await until('the label is there', async () => (await read(namespaceNamed('project-shared')))?.metadata.labels?.tide === 'high')
  assert.equal((await read(namespaceNamed('project-shared')))?.metadata.labels?.team, 'quay')
  assert.ok(await read(theirs))
})

test('labels that the site does not allow stay on a namespace that has them, and nothing waits for them', async () => {
  const labels = { team: 'tides', 'cost-centre': '4711', 'example.org/unit': 'gauges' }
  await make(projectNamed('of-old', { labels: { 'cost-centre': '4711' } }))
  await whenReason('of-old', 'Ready')
  // As 0.1.0 left it, which allowed all labels.
  await patch(namespaceNamed('project-of-old'), { metadata: { labels } })
  await patch(projectNamed('of-old'), { spec: { labels } })
  await until('the change is seen', async () => (await read(projectNamed('of-old')))?.status?.observedGeneration === 2)
  const message = async () => readyOf(await whenReason('of-old', 'Ready'))?.message
  const own = async () => {
    const { team, 'cost-centre': centre, 'example.org/unit': unit } = (await read(namespaceNamed('project-of-old')))?.metadata.labels ?? {}
    return [team, centre, unit]
  }
  assert.deepEqual([await message(), await own()], ['Namespace project-of-old is set up.', ['tides', '4711', 'gauges']])

  region.forget()
  await patch(namespaceNamed('project-of-old'), { metadata: { labels: { team: null, 'cost-centre': null } } })
  await until('the label that is allowed is back', async () => (await own())[1] === '4711')
  await until('the other is told', async () =>
    (await message())?.includes('does not get the label team of the project: metadata.labels of the agent'),
  )
  assert.deepEqual(await own(), [undefined, '4711', 'gauges'])

  const before = (await read(namespaceNamed('project-of-old')))?.metadata.uid
  await remove(namespaceNamed('project-of-old'))
  await until('there is another namespace', async () => {
    const uid = (await read(namespaceNamed('project-of-old')))?.metadata.uid
    return uid !== undefined && uid !== before
  })
  await until('both are told', async () =>
    /the labels (team and example.org.unit|example.org.unit and team) of/.test((await message()) ?? ''),
  )
  assert.deepEqual(await own(), [undefined, '4711', undefined])
  assert.ok(
    region.requests
      .filter(({ method, path }) => method !== 'GET' && path === pathOf(kinds.Namespace, undefined, 'project-of-old'))
      .every(({ body }) => (body as KubernetesObject).metadata.labels?.team === undefined),
  )
})

test('a project is ready once its quota is counted, and tells what is used of it', async () => {
  await make(projectNamed('busy', { quota: { cpu: 24, databases: 8 } }))
  const project = await whenReason('busy', 'Ready')
  const used = (await read(quotaOf('busy')))?.status?.used
  assert.deepEqual(Object.keys(used).sort(), ['count/cratedbs.cloud.crate.io', 'requests.cpu'])
  assert.equal(project.status?.usage.cpu, '0')
  await untilQuotasCount(region.testCluster, 'project-busy')
  await make(crateDB('project-busy', 'tide'))
  await until('the database is counted', async () => (await read(projectNamed('busy')))?.status?.usage.databases === 1)
})

test('a project tells what its deleted databases still hold', async () => {
  await make(projectNamed('keeper'))
  await whenReason('keeper', 'Ready')
  const volume = { volume: 'pvc-1', uid: 'uid-1', claim: 'project-keeper/data0-crate-data-hot-tide-0', capacity: '64Gi' }
  const facts = { origin: 'found', deletedAt: '2026-11-30T10:00:00Z', deletedBy: 'nobody knows', volumes: [volume], secrets: [] }
  const record = {
    apiVersion: 'skerry.dev/v1',
    kind: 'RetainedDatabase',
    metadata: { name: 'tide.00000001', namespace: region.namespace },
    spec: { project: 'keeper', database: 'tide', ...facts },
  }
  const told = async () => (await read(projectNamed('keeper')))?.status?.retained
  await make(record)
  await until('it is told', async () => isDeepStrictEqual(await told(), { databases: 1, volumes: 1, storage: '64Gi' }))
  await region.remove(record)
  await until('it is told no more', async () => (await told()) === undefined)
})

test('pull secrets are copied, follow their source, and go when they are not named any more', async () => {
  await make(pullSecret('mirror', 'first'))
  await make(projectNamed('puller', { imagePullSecrets: ['mirror'] }))
  const project = await whenReason('puller', 'Ready')
  assert.deepEqual(project.status?.pullSecrets, ['mirror'])
  const copied = async () => (await read(copyOf('puller', 'mirror')))?.data?.['.dockerconfigjson']
  assert.equal(await copied(), pullSecret('mirror', 'first').data['.dockerconfigjson'])
  assert.deepEqual((await read(accountOf('puller')))?.imagePullSecrets, [{ name: 'skerry-pull-mirror' }])

  await make(pullSecret('mirror', 'second'))
  await until(
    'the copy follows',
    async () => (await copied()) === pullSecret('mirror', 'second').data['.dockerconfigjson'],
    withinSecondsMs,
  )

  await make(projectNamed('puller', { imagePullSecrets: [] }))
  await until('the copy is gone', async () => (await read(copyOf('puller', 'mirror'))) === undefined)
  await until('the account does not name it', async () => !(await read(accountOf('puller')))?.imagePullSecrets?.length)
})

test('a pull secret that does not exist is told with the command that makes it, and taken up when it comes', async () => {
  await make(projectNamed('waiter', { imagePullSecrets: ['late'] }))
  const project = await whenReason('waiter', 'PullSecretMissing')
  const { status, message } = readyOf(project) ?? {}
  assert.equal(status, 'False')
  assert.match(
    message ?? '',
    /^Pull secret late does not exist in namespace skerry.*kubectl --namespace skerry create secret docker-registry late/,
  )
  // Those of a moment before, when the agent had no rights in the namespace yet, may still be told for two seconds.
  await until('its only blocker is told', async () => {
    const blockers: { code: string; evidence: string }[] = (await read(projectNamed('waiter')))?.status?.blockers ?? []
    return isDeepStrictEqual(
      blockers.map(({ code, evidence }) => [code, evidence]),
      [['SecretMissing', 'Secret skerry/late']],
    )
  })
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
  type Table = { columnDefinitions: { name: string }[]; rows: { cells: unknown[] }[] }
  const { columnDefinitions, rows } = await region.admin.request<Table>({
    method: 'GET',
    path: pathOf(kinds.Project, undefined, 'waiter'),
    accept,
  })
  const columnOf = (wanted: string) => rows[0]?.cells[columnDefinitions.findIndex(({ name }) => name === wanted)]
  assert.deepEqual(['Ready', 'Reason', 'Blocker'].map(columnOf), ['False', 'PullSecretMissing', 'SecretMissing'])
  assert.ok(await read(policyOf('waiter')), 'all that can be made is made')
  await make(pullSecret('late', 'x'))
  assert.equal((await whenReason('waiter', 'Ready')).status?.blockers, undefined)
})

test('a pull secret without credentials does not count as there, and is taken up when it holds them', async () => {
  const empty = { ...pullSecret('quay-login', ''), data: { '.dockerconfigjson': base64('{}') } }
  await make(empty)
  await make(projectNamed('early', { imagePullSecrets: ['quay-login'] }))
  const project = await whenReason('early', 'PullSecretEmpty')
  assert.match(readyOf(project)?.message ?? '', /^Pull secret quay-login holds no credentials yet\. It is in namespace skerry/)
  assert.equal(project.status?.pullSecrets, undefined)
  assert.equal(await read(copyOf('early', 'quay-login')), undefined)
  await make(pullSecret('quay-login', 'filled'))
  assert.deepEqual((await whenReason('early', 'Ready')).status?.pullSecrets, ['quay-login'])
  const copied = async () => (await read(copyOf('early', 'quay-login')))?.data
  assert.deepEqual(await copied(), pullSecret('quay-login', 'filled').data)
  await make(empty)
  assert.deepEqual((await whenReason('early', 'PullSecretEmpty')).status?.pullSecrets, ['quay-login'])
  assert.deepEqual(await copied(), pullSecret('quay-login', 'filled').data, 'what was copied before stays')
  await make(projectNamed('early', { imagePullSecrets: [] }))
  await until('the copy is gone', async () => (await read(copyOf('early', 'quay-login'))) === undefined)
})

test('a namespace that is somebody else’s is left alone until it is handed over', async () => {
  await make(namespaceNamed('project-taken'))
  await make(projectNamed('taken', { quota: { cpu: 1 } }))
  const project = await whenReason('taken', 'NamespaceNotOwned')
  const { message = '' } = readyOf(project) ?? {}
  assert.match(
    message,
    /left alone.*: kubectl label --overwrite namespace project-taken app\.kubernetes\.io\/managed-by=skerry skerry\.dev\/project=taken/,
  )
  assert.equal(await read(quotaOf('taken')), undefined)
  assert.equal((await read(namespaceNamed('project-taken')))?.metadata.labels?.['pod-security.kubernetes.io/enforce'], undefined)

  // The very command of the message.
  await patch(namespaceNamed('project-taken'), {
    metadata: { labels: { 'app.kubernetes.io/managed-by': 'skerry', 'skerry.dev/project': 'taken' } },
  })
  await whenReason('taken', 'Ready')
  assert.ok(await read(quotaOf('taken')))
})

test('a project goes without touching a namespace that was never its own', async () => {
  await make(namespaceNamed('project-foreign'))
  await make(projectNamed('foreign'))
  await whenReason('foreign', 'NamespaceNotOwned')
  await remove(projectNamed('foreign'))
  await until('the project is gone', async () => (await read(projectNamed('foreign'))) === undefined)
  assert.equal((await read(namespaceNamed('project-foreign')))?.metadata.deletionTimestamp, undefined)
})

test('a namespace that somebody deleted is made anew', async () => {
  await make(pullSecret('ashes', 'only'))
  await make(projectNamed('phoenix', { imagePullSecrets: ['ashes'] }))
  await whenReason('phoenix', 'Ready')
  const before = (await read(namespaceNamed('project-phoenix')))?.metadata.uid
  await remove(namespaceNamed('project-phoenix'))
  await until(
    'there is another namespace',
    async () => ![before, undefined].includes((await read(namespaceNamed('project-phoenix')))?.metadata.uid),
  )
  await whenReason('phoenix', 'Ready')
  await until('its policies are back', async () => (await read(policyOf('phoenix'))) !== undefined)
  await until('its pull secret is back', async () => (await read(copyOf('phoenix', 'ashes'))) !== undefined)
})

test('a project is dismantled in order: its databases, its namespace, then itself', async () => {
  await make(projectNamed('leaving'))
  await whenReason('leaving', 'Ready')
  const held = crateDB('project-leaving', 'tide')
  const database: KubernetesObject = { ...held, metadata: { ...held.metadata, finalizers: ['operator.cloud.crate.io/finalizer'] } }
  await make(database)
  await remove(projectNamed('leaving'))

  const standing = await whenReason('leaving', 'DatabasesRemain')
  assert.equal(readyOf(standing)?.message, 'Cannot be deleted while it holds databases: tide.')
  // The obstacles of a moment before, when it was not to be deleted, may still be told for two seconds.
  await until('its blockers are told', async () => {
    const blockers: { code: string }[] = (await read(projectNamed('leaving')))?.status?.blockers ?? []
    return isDeepStrictEqual(
      blockers.map(({ code }) => code),
      ['OperatorNotRunning', 'DatabasesRemain'],
    )
  })
  assert.equal((await read(namespaceNamed('project-leaving')))?.metadata.deletionTimestamp, undefined)

  await remove(database)
  const waiting = await whenReason('leaving', 'DatabasesLeaving')
  assert.equal(readyOf(waiting)?.message, 'Waits for the end of tide.')
  const told = await until('the finalizer is told', async () => {
    const blockers: { code: string; message: string }[] = (await read(projectNamed('leaving')))?.status?.blockers ?? []
    return blockers.find(({ code }) => code === 'FinalizerHeld')
  })
  assert.match(told.message, /by the Crate Operator, which is not running/)
  assert.equal((await read(namespaceNamed('project-leaving')))?.metadata.deletionTimestamp, undefined)

  await patch(database, { metadata: { finalizers: null } })
  await until('the project is gone', async () => (await read(projectNamed('leaving'))) === undefined)
  assert.equal(await read(namespaceNamed('project-leaving')), undefined)
})

const access = (kind: 'Role' | 'RoleBinding', project: string, database: string) =>
  inside('rbac.authorization.k8s.io/v1', kind, project, `skerry-monitor-${database}`)
const bindingOf = (project: string) => inside('rbac.authorization.k8s.io/v1', 'RoleBinding', project, 'skerry-agent-project')

/** Whether the agent has its rights in the namespace of the project. */
const mayAct = (project: string) =>
  region.cluster.request({ method: 'GET', path: pathOf(kinds.Secret, `project-${project}`) }).then(
    () => true,
    () => false,
  )

test('a project that waits for its databases keeps the rights of the agent and its isolation', async () => {
  await make(projectNamed('ebb'))
  await whenReason('ebb', 'Ready')
  await make(crateDB('project-ebb', 'tide'))
  await remove(projectNamed('ebb'))
  await whenReason('ebb', 'DatabasesRemain')
  for (const lost of [bindingOf('ebb'), policyOf('ebb'), access('Role', 'ebb', 'tide')]) {
    // The database may not have been known when its project began to wait for it.
    await until(`there is ${lost.kind} ${lost.metadata.name}`, () => read(lost))
    await remove(lost)
    await until(`${lost.kind} ${lost.metadata.name} is back`, () => read(lost))
  }
  await until('the agent may act', () => mayAct('ebb'))
  await remove(crateDB('project-ebb', 'tide'))
  await until('the project is gone', async () => (await read(projectNamed('ebb'))) === undefined)
})

test('a project from before the agent bound its rights gets them, though it is being deleted', async () => {
  await make(projectNamed('flood'))
  await whenReason('flood', 'Ready')
  await make(crateDB('project-flood', 'tide'))
  await remove(projectNamed('flood'))
  await whenReason('flood', 'DatabasesRemain')
  await controller.stop(0)
  await remove(bindingOf('flood'))
  controller = await region.startProjects()
  // An authorizer that has not heard of the removal would still let it act.
  await until('it has its RoleBinding', () => read(bindingOf('flood')))
  await until('the agent may act', () => mayAct('flood'))
})

test('a deletion in the foreground leaves everything in the namespace while databases remain', async () => {
  await make(projectNamed('slack'))
  await whenReason('slack', 'Ready')
  await make(crateDB('project-slack', 'tide'))
  const within = [bindingOf('slack'), policyOf('slack'), limitsOf('slack'), quotaOf('slack')]
  const uids = () => Promise.all(within.map(async (object) => (await read(object))?.metadata.uid))
  const before = await uids()
  const path = pathOf(kinds.Project, undefined, 'slack')
  await region.admin.request({ method: 'DELETE', path, query: { propagationPolicy: 'Foreground' } })
  await until('the garbage collector is done with it', async () =>
    isDeepStrictEqual((await read(projectNamed('slack')))?.metadata.finalizers, ['skerry.dev/project']),
  )
  await whenReason('slack', 'DatabasesRemain')
  assert.deepEqual(await uids(), before)
})

test('a deletion that something holds does not hang in silence', async () => {
  await make(projectNamed('stuck'))
  await whenReason('stuck', 'Ready')
  const anchor: KubernetesObject = { ...inside('v1', 'ConfigMap', 'stuck', 'anchor'), data: {} }
  await make({ ...anchor, metadata: { ...anchor.metadata, finalizers: ['example.com/hold'] } } as KubernetesObject)
  await remove(projectNamed('stuck'))
  const blocker = await until('what holds it is told', async () => {
    const blockers: { code: string; message: string; cure: string }[] = (await read(projectNamed('stuck')))?.status?.blockers ?? []
    return blockers.find(({ message }) => message.includes('example.com/hold'))
  })
  assert.equal(blocker.code, 'NamespaceTerminating')
  assert.match(blocker.cure, /kubectl --namespace project-stuck get configmaps/)
  await patch(anchor, { metadata: { finalizers: null } })
  await until('the project is gone', async () => (await read(projectNamed('stuck'))) === undefined)
})

test('what the API server refuses is told in the condition, and tried again', async () => {
  let refused = 0
  region.interfere = ({ method, path }) => {
    if (method !== 'PATCH' || !path.includes('project-refused/limitranges')) return
    refused++
    throw new Problem('rejected-by-cluster', 'admission webhook "limits.example.com" denied the request')
  }
  await make(projectNamed('refused'))
  const { message } = readyOf(await whenReason('refused', 'NotApplied')) ?? {}
  assert.match(message ?? '', /^admission webhook "limits\.example\.com" denied the request Correct the fields/)
  await until('it is tried again', async () => refused > 1)
  region.interfere = undefined
  await whenReason('refused', 'Ready')
})

test('the monitor may read the password of each database, whoever made it, and of no other', async () => {
  await make(projectNamed('pier'))
  await whenReason('pier', 'Ready')
  for (const id of ['one', 'two']) await make(crateDB('project-pier', id))
  await until(
    'both have a binding',
    async () => (await read(access('RoleBinding', 'pier', 'one'))) && read(access('RoleBinding', 'pier', 'two')),
  )
  const { rules, metadata } = (await read(access('Role', 'pier', 'one'))) as KubernetesObject
  assert.deepEqual(rules, [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['user-system-one'], verbs: ['get'] }])
  assert.deepEqual(
    metadata.ownerReferences?.map(({ kind, name }) => [kind, name]),
    [['CrateDB', 'one']],
  )
  const { subjects, roleRef } = (await read(access('RoleBinding', 'pier', 'one'))) as KubernetesObject
  assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: 'skerry-monitor', namespace: region.namespace }])
  assert.deepEqual([roleRef.kind, roleRef.name], ['Role', 'skerry-monitor-one'])

  await patch(access('Role', 'pier', 'one'), { rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }] })
  await until('it is narrow again', async () => (await read(access('Role', 'pier', 'one')))?.rules[0].resourceNames !== undefined)
  await remove(crateDB('project-pier', 'one'))
  for (const kind of ['Role', 'RoleBinding'] as const)
    await until(`its ${kind} goes with it`, async () => (await read(access(kind, 'pier', 'one'))) === undefined)
  assert.ok(await read(access('Role', 'pier', 'two')))
})

test('a project whose RoleBinding is lost gets it back', async () => {
  await make(projectNamed('mole'))
  await whenReason('mole', 'Ready')
  await remove(bindingOf('mole'))
  await until('it is back', () => read(bindingOf('mole')))
  await remove(limitsOf('mole'))
  await until('and in effect', () => read(limitsOf('mole')))
})

/** Until the authorizer has heard that the ClusterRole gives nothing: a project that was faster would be set up. */
const untilWithoutRights = () => until('the agent may not act', async () => !(await mayAct('mole')))

const role = {
  path: '/apis/rbac.authorization.k8s.io/v1/clusterroles/skerry-agent-project',
  read: () => region.admin.request<KubernetesObject>({ method: 'GET', path: role.path }),
  setRules: (rules: unknown) =>
    region.admin.request({ method: 'PATCH', path: role.path, contentType: 'application/merge-patch+json', body: { rules } }),
}

test('a project says so while the rights of its RoleBinding are not in effect, and goes on by itself', async () => {
  let ahead = 0
  await controller.stop(0)
  controller = await region.startProjects(leaseInHand(), { ...systemClock, monotonic: () => systemClock.monotonic() + ahead })
  const { rules } = await role.read()
  await role.setRules([])
  await untilWithoutRights()
  await make(projectNamed('dock'))
  const message = async () => readyOf(await whenReason('dock', 'RightsPending'))?.message ?? ''
  assert.match(
    await message(),
    /^The agent may not write in namespace project-dock yet; .* in a moment\. .*is forbidden.*Wait: it usually passes.*compare the ClusterRole skerry-agent-project/,
  )
  ahead = 31_000
  const later = await until('it no longer says that this passes', async () => {
    const now = await message()
    return !now.includes('yet;') && now
  })
  assert.match(
    later,
    /^The agent may not write in namespace project-dock, although .*is forbidden.*Compare .*ClusterRole skerry-agent-project/,
  )
  await role.setRules(rules)
  await whenReason('dock', 'Ready')
  assert.ok(await read(limitsOf('dock')))
})

test('a project says that the ClusterRole of its RoleBinding does not exist', async () => {
  const { metadata, rules } = await role.read()
  await region.admin.request({ method: 'DELETE', path: role.path })
  await untilWithoutRights()
  await make(projectNamed('wharf'))
  // Until the authorizer knows the RoleBinding it does not say that the ClusterRole is missing.
  const message = await until('it no longer says that this passes', async () => {
    const now = readyOf(await whenReason('wharf', 'RightsPending'))?.message
    return !now?.includes('yet;') && now
  })
  assert.match(message, /^The ClusterRole skerry-agent-project does not exist\. .* deploy\/rbac\/agent\.yaml\.$/)
  const body = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: metadata.name }, rules }
  await region.admin.request({ method: 'POST', path: role.path.replace(/\/[^/]+$/, ''), body })
  await whenReason('wharf', 'Ready')
})

for (const [what, refusedPath, message, says] of [
  [
    'a policy that refuses a part of a project',
    'limitranges/',
    "limitranges \"skerry\" is forbidden: ValidatingAdmissionPolicy 'fence' with binding 'fence' denied request: not here",
    /policy 'fence'.*owner of the admission policy/i,
  ],
  [
    'a right that is missing to make the RoleBinding',
    'rolebindings/skerry-agent-project',
    'rolebindings.rbac.authorization.k8s.io "skerry-agent-project" is forbidden: User "system:serviceaccount:skerry:skerry-agent" cannot patch resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "project-fenced"',
    /cannot patch.*Grant the agent's service account the rights/,
  ],
] as const)
  test(`${what} is told as such, and not as rights that come in a moment`, async () => {
    region.interfere = ({ method, path }) => {
      if (method === 'PATCH' && path.includes('/project-fenced/') && path.includes(refusedPath))
        throw problemOfAnswer(`${method} ${path}`, 403, JSON.stringify({ reason: 'Forbidden', code: 403, message }))
    }
    await make(projectNamed('fenced'))
    // An API server that still takes the namespace for the one before, which was deleted, refuses for that reason first.
    await until(`it says ${says}`, async () => says.test(readyOf(await whenReason('fenced', 'NotApplied'))?.message ?? ''))
    region.interfere = undefined
    await whenReason('fenced', 'Ready')
    await remove(projectNamed('fenced'))
    await until('the project is gone', async () => (await read(projectNamed('fenced'))) === undefined)
  })

test('a controller acts only while the Lease is held', async () => {
  await controller.stop(0)
  const lease = leaseInHand(false)
  const idle = await region.startProjects(lease)
  await make(projectNamed('patient'))
  region.forget()
  await until('it has heard of the project', async () => idle.caches.projects.get('patient') !== undefined)
  assert.deepEqual(
    region.requests.filter(({ method }) => method !== 'GET'),
    [],
  )
  lease.set(true)
  await whenReason('patient', 'Ready')

  // Taken away between two writes: what comes after the next question is not done.
  region.interfere = ({ method, path }) => {
    if (method === 'PATCH' && path.includes('project-late/resourcequotas')) lease.set(false)
  }
  region.forget()
  await make(projectNamed('late'))
  await until('the lease is lost', async () => !lease.isLeader())
  await idle.stop(0)
  const after = region.requests.slice(
    region.requests.findIndex(({ method, path }) => method === 'PATCH' && path.includes('project-late/resourcequotas')) + 1,
  )
  assert.deepEqual(
    after.filter(({ method }) => method !== 'GET'),
    [],
  )
  region.interfere = undefined
})
