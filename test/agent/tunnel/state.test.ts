import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsConfigMap, tunnelConfigMap, tunnelYaml } from '../../../agent/tunnel/desired.ts'
import { tunnelObstacles } from '../../../agent/tunnel/obstacles.ts'
import { createTunnelCaches, tunnelStateOf } from '../../../agent/tunnel/state.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, pathOfObject } from '../../../shared/kubernetes/objects.ts'
import { createLog } from '../../../shared/log.ts'
import { installedByHelm, tunnelFrom } from '../tunnel-sample.ts'

const tunnel = tunnelFrom()
const closed = { grafana: false }
const written = tunnelConfigMap(tunnel, tunnelYaml(tunnel, closed), { revision: '2-a', outdated: 'an-uid another-uid' })
const credentials: KubernetesObject = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'tunnel-credentials', namespace: 'skerry' } }

type Given = { replicas?: number; revision?: string; generation?: number; status?: object }

function cloudflared({ replicas = 2, revision = '2-a', generation = 1, status }: Given = {}): KubernetesObject {
  const { deployment } = installedByHelm()
  const { metadata, spec } = deployment
  const annotations = { 'skerry.dev/tunnel-revision': revision }
  const template = { ...spec.template, metadata: { ...spec.template.metadata, annotations } }
  const usual = { observedGeneration: 1, replicas, updatedReplicas: replicas, readyReplicas: replicas }
  return { ...deployment, metadata: { ...metadata, generation }, spec: { ...spec, replicas, template }, status: { ...usual, ...status } }
}

/** The state over a cluster in which there is what is given, and its obstacles. */
async function look(objects: KubernetesObject[]) {
  // biome-ignore lint/suspicious/noExplicitAny: as the interface has it
  async function request({ path, query }: { path: string; query?: Record<string, unknown> }): Promise<any> {
    const named = objects.find((object) => pathOfObject(object) === path)
    if (named !== undefined) return named
    const name = /^metadata.name=(.*)$/.exec(String(query?.fieldSelector))?.[1]
    const items = objects.filter(
      (object) => pathOfObject(object).startsWith(`${path}/`) && (name ?? object.metadata.name) === object.metadata.name,
    )
    if (/\/(configmaps|deployments|pods)$/.test(path)) return { metadata: { resourceVersion: '1' }, items: structuredClone(items) }
    throw new Problem('not-found', path)
  }
  const cluster: Cluster = {
    server: new URL('https://127.0.0.1:1'),
    request,
    async *watch(_path, _query, signal) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    close: () => {},
  }
  const caches = createTunnelCaches(tunnel, { cluster, clock: systemClock, log: createLog({ level: 'silent', name: 'test' }) })
  const unseen = tunnelStateOf(tunnel, caches)
  await Promise.all(Object.values(caches).map((cache) => cache.start(new AbortController().signal)))
  const found = { unseen, state: tunnelStateOf(tunnel, caches), obstacles: await tunnelObstacles(tunnel, caches, cluster) }
  await Promise.all(Object.values(caches).map((cache) => cache.stop(0)))
  return found
}

const pod = (status: object): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'cloudflared-1', namespace: 'skerry' },
  spec: { containers: [{ name: 'cloudflared', image: 'docker.io/cloudflare/cloudflared:2026.7.3' }] },
  status,
})
const member = (metadata: object): KubernetesObject => ({
  ...pod({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }),
  metadata: {
    ...{ name: 'cloudflared-5d8f7c-1', namespace: 'skerry', labels: { 'app.kubernetes.io/name': 'cloudflared' } },
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'cloudflared-5d8f7c', uid: 'a-set', controller: true }],
    ...metadata,
  },
})
const container = (given: object) => pod({ phase: 'Running', containerStatuses: [{ name: 'cloudflared', ready: false, ...given }] })
const notReady = cloudflared({ status: { readyReplicas: 0 } })

const states: { name: string; objects: KubernetesObject[]; state: string; configuration: string; codes: string[] }[] = [
  { name: 'runs', objects: [written, cloudflared()], state: 'running', configuration: 'in-force', codes: [] },
  { name: 'is missing', objects: [written], state: 'missing', configuration: 'in-force', codes: ['CloudflaredMissing'] },
  {
    name: 'is scaled down',
    objects: [written, cloudflared({ replicas: 0 })],
    state: 'scaled-down',
    configuration: 'in-force',
    codes: ['CloudflaredScaledDown'],
  },
  {
    name: 'has a replica without a connection',
    objects: [written, credentials, cloudflared({ status: { readyReplicas: 1 } }), pod({ phase: 'Running' })],
    state: 'degraded',
    configuration: 'in-force',
    codes: ['CloudflaredNotReady'],
  },
  {
    name: 'has pods that are still to be replaced',
    objects: [written, cloudflared({ status: { updatedReplicas: 1, replicas: 3 } })],
    state: 'running',
    configuration: 'rolling',
    codes: [],
  },
  {
    name: 'has a template that nobody has looked at yet',
    objects: [written, cloudflared({ generation: 2 })],
    state: 'running',
    configuration: 'rolling',
    codes: [],
  },
  {
    name: 'has pods of an earlier writing that are not noted yet',
    objects: [tunnelConfigMap(tunnel, tunnelYaml(tunnel, closed), { revision: '2-a', outdated: 'all' }), cloudflared()],
    state: 'running',
    configuration: 'pending',
    codes: [],
  },
  {
    name: 'has pods of an earlier writing that an earlier version has not replaced',
    objects: [
      { ...written, metadata: { ...written.metadata, annotations: { 'skerry.dev/tunnel-revision': '2-a' } } },
      cloudflared({ revision: '1-a' }),
    ],
    state: 'running',
    configuration: 'pending',
    codes: [],
  },
  {
    name: 'has a pod of an earlier writing',
    objects: [written, cloudflared(), member({ uid: 'another-uid' }), member({ uid: 'a-newer-one', name: 'cloudflared-5d8f7c-2' })],
    state: 'running',
    configuration: 'rolling',
    codes: [],
  },
  {
    name: 'has replaced the pods of earlier writings, though one is not gone yet',
    objects: [
      written,
      cloudflared(),
      member({ uid: 'an-uid', name: 'cloudflared-5d8f7c-2', deletionTimestamp: '2026-01-31T12:00:00Z' }),
      member({ uid: 'a-newer-one' }),
    ],
    state: 'running',
    configuration: 'in-force',
    codes: [],
  },
  {
    name: 'has a configuration that is not what was asked for',
    objects: [settingsConfigMap(tunnel, { grafana: true }), written, cloudflared()],
    state: 'running',
    configuration: 'pending',
    codes: [],
  },
  {
    name: 'lacks the Secret with its credentials',
    objects: [written, notReady, pod({ phase: 'Pending' })],
    state: 'not-ready',
    configuration: 'in-force',
    codes: ['SecretMissing'],
  },
  {
    name: 'does not stay up',
    objects: [written, credentials, notReady, container({ restartCount: 4, state: { waiting: { reason: 'CrashLoopBackOff' } } })],
    state: 'not-ready',
    configuration: 'in-force',
    codes: ['PodCrashLooping'],
  },
  {
    name: 'has an image that cannot be pulled',
    objects: [written, credentials, notReady, container({ state: { waiting: { reason: 'ImagePullBackOff' } } })],
    state: 'not-ready',
    configuration: 'in-force',
    codes: ['ImageNotPulled'],
  },
  {
    name: 'finds no node',
    objects: [
      written,
      credentials,
      notReady,
      pod({
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available' }],
      }),
    ],
    state: 'not-ready',
    configuration: 'in-force',
    codes: ['PodUnschedulable'],
  },
]
for (const { name, objects, state, configuration, codes } of states) {
  test(`tells that cloudflared ${name}`, async () => {
    const found = await look(objects)
    assert.deepEqual([found.state.cloudflared.state, found.state.configuration], [state, configuration])
    assert.deepEqual(
      found.obstacles.map(({ code }) => code),
      codes,
    )
    for (const { message, cure } of found.obstacles) assert.ok(message.length > 10 && cure.length > 10)
  })
}

test('knows nothing before it has looked, and says so', async () => {
  const { unseen } = await look([written, cloudflared()])
  assert.deepEqual([unseen.cloudflared.state, unseen.configuration], ['unknown', 'unknown'])
})

test('says since when, and what Kubernetes says of pods that are not made', async () => {
  const conditions = [
    { type: 'Available', status: 'False', lastTransitionTime: '2026-01-31T12:00:00Z' },
    { type: 'ReplicaFailure', status: 'True', message: 'exceeded quota' },
  ]
  const { state, obstacles } = await look([written, credentials, cloudflared({ status: { readyReplicas: 0, conditions } })])
  assert.equal(state.cloudflared.since, '2026-01-31T12:00:00Z')
  assert.match(obstacles[0]?.message ?? '', /Kubernetes says: exceeded quota/)
})

test('an error of the controller is the first thing in the way', async () => {
  const settings = { ...settingsConfigMap(tunnel, closed), data: { error: 'configmaps is forbidden' } }
  const { state, obstacles } = await look([settings, written])
  assert.equal(state.lastError, 'configmaps is forbidden')
  assert.deepEqual(
    obstacles.map(({ code }) => code),
    ['TunnelNotApplied', 'CloudflaredMissing'],
  )
})
