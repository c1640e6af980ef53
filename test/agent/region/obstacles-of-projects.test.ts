import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createObstacles } from '../../../agent/region/obstacles/index.ts'
import type { Cure } from '../../../agent/resources/cure.ts'
import { systemClock } from '../../../shared/clock.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import type { KubernetesObject } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { connectTo } from '../../shared/kubernetes/connected.ts'
import { crateDB, only, operatorName, startScene } from './scene.ts'

const scene = await startScene()
const { make, obstacles } = scene

const projectNamed = (name: string): KubernetesObject => ({ apiVersion: 'skerry.dev/v1', kind: 'Project', metadata: { name }, spec: {} })
const namespaceNamed = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })

const annotated = (object: KubernetesObject, annotations: Record<string, string>): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...annotations } },
})
const commandsOf = (cures: Cure[]) => cures.flatMap(({ command }) => command ?? [])

/** Deletes what a finalizer holds, so that it stays on its way out. */
async function removeHeld(object: KubernetesObject, finalizer: string): Promise<void> {
  await scene.remove(await make({ ...object, metadata: { ...object.metadata, finalizers: [finalizer] } }))
}

test('a database in a project that does not exist waits for the project', async () => {
  const { message } = only(await obstacles({ kind: 'database', project: 'nowhere', database: 'tide' }), 'ProjectNotReady')
  assert.equal(message, 'Project nowhere does not exist.')
})

test('a project that is not ready is told with the words of its condition, to its databases too', async () => {
  const { project } = await scene.project()
  const ready = {
    type: 'Ready',
    status: 'False',
    reason: 'PullSecretMissing',
    message: 'Pull secret quay does not exist.',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }
  await make({ ...projectNamed(project), status: { conditions: [ready] } })
  for (const target of [{ kind: 'project', project } as const, { kind: 'database', project, database: 'tide' } as const]) {
    const { message, evidence } = only(await obstacles(target), 'ProjectNotReady')
    assert.equal(message, `Project ${project} is not ready: Pull secret quay does not exist.`)
    assert.equal(evidence, `Project ${project}`)
  }
})

test('a project whose pull secret does not exist is told its name, and how to make one of the right type', async () => {
  const { project } = await scene.project()
  await make({ ...projectNamed(project), spec: { imagePullSecrets: ['quay'] } })
  const { evidence, cure } = only(await obstacles({ kind: 'project', project }), 'SecretMissing')
  assert.equal(evidence, 'Secret skerry/quay')
  assert.match(cure, /--namespace skerry create secret docker-registry quay /)
})

test('a project without its namespace is told', async () => {
  const { project, namespace } = await scene.project()
  await scene.remove(namespaceNamed(namespace))
  await until('the namespace is gone', async () => (await scene.read(namespaceNamed(namespace))) === undefined)
  assert.equal(only(await obstacles({ kind: 'project', project }), 'NamespaceMissing').evidence, `Namespace ${namespace}`)
})

test('a namespace that is held in termination is told with what holds it', async () => {
  const { project, namespace } = await scene.project()
  const held: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'anchor', namespace, finalizers: ['example.com/hold'] },
  }
  await make(held)
  await scene.remove(namespaceNamed(namespace))
  const target = { kind: 'database', project, database: 'tide' } as const
  const found = await until('what holds it is known', async () => {
    const now = await obstacles(target)
    return now[0]?.message.includes('finalizers remaining') && now
  })
  const { message, cure } = only(found, 'NamespaceTerminating')
  assert.match(message, /is being deleted\. .*finalizers remaining: example\.com\/hold in 1 resource instances/)
  assert.match(cure, new RegExp(`kubectl --namespace ${namespace} get configmaps`))
  await make({ ...held, metadata: { ...held.metadata, finalizers: [] } })
})

test('a namespace on its way out is no obstacle to the deletion of its project until it lasts', async () => {
  const { project, namespace } = await scene.project()
  await removeHeld(projectNamed(project), 'skerry.dev/project')
  await removeHeld(namespaceNamed(namespace), 'example.com/hold')
  const target = { kind: 'project', project } as const
  only(await obstacles(target), 'FinalizerHeld')
  only(await obstacles(target, { laterMs: 30_000 }), 'NamespaceTerminating', 'FinalizerHeld')
})

test('databases that nobody deleted stand in the way of the deletion of their project', async () => {
  const { project, namespace } = await scene.project()
  await make(crateDB(namespace, 'tide'))
  await make(crateDB(namespace, 'surge'))
  only(await obstacles({ kind: 'project', project }))
  await removeHeld(projectNamed(project), 'skerry.dev/project')
  const { message, cures } = only(await obstacles({ kind: 'project', project }), 'DatabasesRemain')
  assert.equal(message, `Project ${project} is to be deleted and still holds databases surge and tide.`)
  const commands = [`curl -X DELETE "$url/v1/projects/${project}?cascade=true" -H "Authorization: Bearer $token"`]
  assert.deepEqual(commandsOf(cures), commands)
})

const protectedBy = { 'skerry.dev/database': JSON.stringify({ deletionProtection: true }) }
const unprotect = (path: string) =>
  `curl -X PATCH "$url/v1/projects/${path}" -H "Authorization: Bearer $token" -H 'content-type: application/merge-patch+json' -d '{"deletionProtection":false}'`

test('what is protected in a project that is to go has its protection taken off first', async () => {
  const { project, namespace } = await scene.project()
  await make(annotated(crateDB(namespace, 'tide'), protectedBy))
  await make(crateDB(namespace, 'surge'))
  await removeHeld({ ...projectNamed(project), spec: { deletionProtection: true } }, 'skerry.dev/project')
  const { cures } = only(await obstacles({ kind: 'project', project }), 'DatabasesRemain')
  assert.deepEqual(commandsOf(cures), [
    unprotect(`${project}/databases/tide`),
    unprotect(project),
    `curl -X DELETE "$url/v1/projects/${project}?cascade=true" -H "Authorization: Bearer $token"`,
  ])
})

test('beside a protected database that leaves, which the API does not cascade over, the others are deleted one by one', async () => {
  const { project, namespace } = await scene.project()
  await make(annotated(crateDB(namespace, 'surge'), protectedBy))
  await removeHeld(annotated(crateDB(namespace, 'tide'), protectedBy), 'example.com/hold')
  await removeHeld(projectNamed(project), 'skerry.dev/project')
  const { cures } = only(await obstacles({ kind: 'project', project }), 'DatabasesRemain', 'FinalizerHeld')
  assert.deepEqual(commandsOf(cures), [
    unprotect(`${project}/databases/surge`),
    `curl -X DELETE "$url/v1/projects/${project}/databases/surge?retainVolumes=true" -H "Authorization: Bearer $token"`,
  ])
})

test("a database's project that is being deleted stands in its way", async () => {
  const { project } = await scene.project()
  await removeHeld(projectNamed(project), 'skerry.dev/project')
  assert.equal(
    only(await obstacles({ kind: 'database', project, database: 'tide' }), 'ProjectNotReady').message,
    `Project ${project} is being deleted.`,
  )
})

test('a foreign finalizer on a project is told at once, with the command that takes it off', async () => {
  const { project } = await scene.project()
  await removeHeld(projectNamed(project), 'example.com/audit')
  const { message, cure } = only(await obstacles({ kind: 'project', project }), 'FinalizerHeld')
  assert.match(message, new RegExp(`^Project ${project} has been in deletion since .* held by the finalizer example\\.com/audit`))
  const patch =
    '[{"op":"test","path":"/metadata/finalizers/0","value":"example.com/audit"},{"op":"remove","path":"/metadata/finalizers/0"}]'
  assert.ok(cure.endsWith(`: kubectl patch project ${project} --type json --patch '${patch}'`), cure)
})

test('what the agent may not look at is an obstacle of its own, and nothing is concluded from it', async () => {
  const { project } = await scene.project()
  const token = await scene.testCluster.serviceAccountToken('default', 'stranger')
  const stranger = connectTo(scene.testCluster, token)
  try {
    const { message, cure } = only(
      await obstacles({ kind: 'database', project, database: 'tide' }, { cluster: stranger }),
      'EvidenceUnread',
    )
    assert.match(message, /could not read .*forbidden/)
    assert.match(cure, /ClusterRole/)
  } finally {
    stranger.close()
  }
})

test('the same question within two seconds is answered from one look', async () => {
  const { project } = await scene.project()
  let requests = 0
  const counted: Cluster = {
    ...scene.admin,
    request: (request) => {
      requests++
      return scene.admin.request(request)
    },
  }
  let monotonic = 0
  const clock = { ...systemClock, monotonic: () => monotonic }
  const asked = createObstacles({ cluster: counted, caches: scene.caches, clock, config: { namespace: 'skerry', operator: operatorName } })
  const target = { kind: 'project', project } as const
  await Promise.all([asked.of(target), asked.of(target)])
  const once = requests
  monotonic = 1_900
  await asked.of(target)
  assert.equal(requests, once)
  monotonic = 2_100
  await asked.of(target)
  assert.equal(requests, 2 * once)
})

test('no more than four targets are looked at at the same time', async () => {
  let inHand = 0
  let most = 0
  const slow: Cluster = {
    ...scene.admin,
    async request(request) {
      if (!request.path.startsWith('/apis/skerry.dev')) return scene.admin.request(request)
      most = Math.max(most, ++inHand) // one such request for each target
      try {
        return await scene.admin.request(request)
      } finally {
        inHand--
      }
    },
  }
  const asked = createObstacles({
    cluster: slow,
    caches: scene.caches,
    clock: systemClock,
    config: { namespace: 'skerry', operator: operatorName },
  })
  const projects = Array.from({ length: 12 }, (_, index) => ({ kind: 'project', project: `none-${index}` }) as const)
  await Promise.all(projects.map((target) => asked.of(target)))
  assert.ok(most > 1 && most <= 4, `${most} at the same time`)
})
