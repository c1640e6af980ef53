import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { agentConfig } from '../../../agent/config.ts'
import { createTunnelController } from '../../../agent/tunnel/controller.ts'
import { tunnelKey } from '../../../agent/tunnel/desired.ts'
import { callTunnel } from '../../../agent/tunnel/index.ts'
import { tunnelObstacles } from '../../../agent/tunnel/obstacles.ts'
import { createTunnelCaches, tunnelStateOf } from '../../../agent/tunnel/state.ts'
import { type Clock, systemClock } from '../../../shared/clock.ts'
import { until } from '../../cluster/index.ts'
import { createKeptLog } from '../api/harbour.ts'
import { leaseInHand, startControlledRegion } from '../controllers/region.ts'
import { installedByHelm, tunnelFrom, tunnelGiven } from '../tunnel-sample.ts'

const region = await startControlledRegion()
const { make, read, remove, patch } = region
const { configMap, deployment } = installedByHelm()
const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'skerry-tunnel', namespace: 'skerry' } }

/** As the chart grants it. */
const role = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: { name: 'skerry-agent-tunnel', namespace: 'skerry' },
  rules: [{ apiGroups: ['apps'], resources: ['deployments/scale'], resourceNames: ['cloudflared'], verbs: ['patch'] }],
}
const binding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: role.metadata,
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role.metadata.name },
  subjects: [{ kind: 'ServiceAccount', name: 'skerry-agent', namespace: 'skerry' }],
}

let stops: (() => Promise<unknown>)[] = []
beforeEach(async () => {
  for (const object of [role, binding, configMap, deployment]) await make(object)
})
afterEach(async () => {
  for (const stop of stops) await stop()
  stops = []
  for (const object of [configMap, deployment, settings, binding, role]) if (await read(object)) await remove(object)
})

/** A leader, by the agent's own account, with a clock whose time of day can be set. */
async function start({ onDemand = { stay: '10m', replicas: 2 } as object | null } = {}) {
  const kept = createKeptLog()
  const time = { aheadMs: 0 }
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + time.aheadMs }
  const tools = { cluster: region.cluster, clock, log: kept.log }
  const tunnel = tunnelFrom({ ...tunnelGiven, ...(onDemand && { onDemand }) })
  const caches = createTunnelCaches(tunnel, tools)
  const controller = createTunnelController(tunnel, { ...tools, caches, lease: leaseInHand() })
  const followed = Object.values(caches)
  await Promise.all(followed.map((cache) => cache.start(new AbortController().signal)))
  await controller.start(new AbortController().signal)
  const stop = async () => {
    await controller.stop(0)
    await Promise.all(followed.map((cache) => cache.stop(0)))
  }
  stops.push(stop)
  const use = { tunnel, caches }
  return {
    ...{ ...kept, time, stop },
    call: () => callTunnel(use, tools),
    state: () => tunnelStateOf(tunnel, caches),
    obstacles: () => tunnelObstacles(tunnel, caches, region.cluster),
    lookAgain: () => patch(deployment, { metadata: { annotations: { look: String(Math.random()) } } }),
  }
}

/** The controller has looked at everything since now: twice, since it configures the tunnel before it scales it. */
async function looked(): Promise<void> {
  for (let look = 0; look < 2; look++) {
    await patch(configMap, { data: { [tunnelKey]: '{}' } })
    await until('the configuration is written again', async () => (await read(configMap))?.data?.[tunnelKey] !== '{}')
  }
}

const replicas = async () => (await read(deployment))?.spec.replicas
const has = (wanted: number) => until(`there are ${wanted} replicas`, async () => (await replicas()) === wanted)

test('a tunnel on demand rests, which is no obstacle, runs once the cloud calls, and rests again when its time is over', async () => {
  const { call, state, obstacles, time, lookAgain } = await start()
  await has(0)
  await until('it is seen', async () => state().cloudflared.state === 'resting')
  assert.deepEqual([await obstacles(), state().onDemand], [[], { until: null }])

  const calledFrom = Date.now()
  await call()
  const calledTo = Date.now()
  await has(2)
  const { until: first } = state().onDemand ?? {}
  const calledAt = Date.parse(first ?? '') - 600_000
  assert.ok(calledFrom <= calledAt && calledAt <= calledTo, first ?? 'never')
  time.aheadMs = 10_000
  await call()
  assert.equal(state().onDemand?.until, first, 'a call soon after the last one moves nothing')
  time.aheadMs = 300_000
  await call()
  assert.notEqual(state().onDemand?.until, first)

  time.aheadMs = 601_000
  await looked()
  assert.equal(await replicas(), 2)
  time.aheadMs = 901_000
  await lookAgain()
  await has(0)
})

test('the next leader goes on with a call, and with what somebody on site has set by hand', async () => {
  const one = await start()
  await has(0)
  await one.call()
  await has(2)
  await one.stop()
  await start()
  await looked()
  assert.equal(await replicas(), 2)
  await patch(settings, { data: { calledUntil: new Date(Date.now() - 1_000).toISOString() } })
  await has(0)
  await patch(settings, { data: { calledUntil: new Date(Date.now() + 7_200_000).toISOString() } })
  await has(2)
  await patch(settings, { data: { calledUntil: 'tomorrow' } })
  await has(0)
})

test('a tunnel that always runs is neither started nor stopped, whatever the cloud asks for', async () => {
  const { call, state } = await start({ onDemand: null })
  await until('it is configured', async () => state().configuration !== 'pending' && (await read(configMap))?.data !== undefined)
  await call()
  assert.deepEqual([await replicas(), state().onDemand, await read(settings)], [2, null, undefined])
})

test('a tunnel on demand without a cloud is a fault of the configuration', () => {
  const given = {
    region: { id: 'harbour-1' },
    api: { tls: { certFile: 'a', keyFile: 'b' } },
    tunnel: { ...tunnelGiven, onDemand: {} },
  }
  const { error } = agentConfig.safeParse(given)
  assert.match(error?.message ?? '', /needs the section cloud: nobody else asks for the tunnel/)
  assert.ok(agentConfig.safeParse({ ...given, cloud: { url: 'https://cloud.example.org' } }).success)
})
