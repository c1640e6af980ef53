import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../../../shared/errors.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { parseMillicores } from '../../../shared/kubernetes/quantity.ts'
import { until, untilQuotasCount } from '../../cluster/index.ts'
import { crateDB } from '../region/scene.ts'
import { leaseInHand, namespaceNamed, projectNamed, readyOf, startControlledRegion } from './region.ts'

const region = await startControlledRegion()
const { make, read, remove, patch, whenReason } = region
const controller = await region.startProjects()

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
  data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { 'quay.example': { auth: password } } })).toString('base64') },
})

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
  assert.deepEqual(
    project.status?.blockers.map(({ code, evidence }: { code: string; evidence: string }) => [code, evidence]),
    [['SecretMissing', 'Secret skerry/late']],
  )
  assert.ok(await read(policyOf('waiter')), 'all that can be made is made')
  await make(pullSecret('late', 'x'))
  assert.equal((await whenReason('waiter', 'Ready')).status?.blockers, undefined)
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
  assert.equal(standing.status?.blockers[0].code, 'OperatorNotRunning')
  assert.equal(standing.status?.blockers[1].code, 'DatabasesRemain')
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
    region.requests.findIndex(({ method, path }) => method === 'PATCH' && path.includes('resourcequotas')) + 1,
  )
  assert.deepEqual(
    after.filter(({ method }) => method !== 'GET'),
    [],
  )
  region.interfere = undefined
})
