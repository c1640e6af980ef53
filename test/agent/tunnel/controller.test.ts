import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import { parse } from 'yaml'
import { createTunnelController } from '../../../agent/tunnel/controller.ts'
import { desiredTunnel, settingsConfigMap, tunnelConfigMap, tunnelYaml } from '../../../agent/tunnel/desired.ts'
import { createTunnelCaches, tunnelStateOf } from '../../../agent/tunnel/state.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import { isNewer } from '../../../shared/kubernetes/cache.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { createKeptLog } from '../api/harbour.ts'
import { leaseInHand, startControlledRegion } from '../controllers/region.ts'
import { installedByHelm, tunnelFrom, tunnelGiven } from '../tunnel-sample.ts'
import { type Crew, muster } from './crew.ts'

const region = await startControlledRegion()
const { make, read, remove, patch } = region
const tunnel = tunnelFrom()
const { configMap, deployment } = installedByHelm()
const settings = settingsConfigMap(tunnel, { grafana: false })
const [open, closed] = [desiredTunnel(tunnel, { grafana: true }), desiredTunnel(tunnel, { grafana: false })]
const closedText = { 'tunnel.yaml': tunnelYaml(tunnel, { grafana: false }) }
const expose = (grafana: boolean) => make(settingsConfigMap(tunnel, { grafana }))
const revisionOf = (metadata: KubernetesObject['metadata'] | undefined) => metadata?.annotations?.['skerry.dev/tunnel-revision']

let crew: Crew
let stops: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  await make(configMap)
  await make(deployment)
  crew = muster(region.admin, deployment)
})
afterEach(async () => {
  region.interfere = undefined
  for (const stop of stops) await stop()
  stops = []
  await crew.stop()
  for (const object of [configMap, deployment, settings]) if (await read(object)) await remove(object)
  await until('the Deployment is gone', async () => (await read(deployment)) === undefined && (await crew.pods()).length === 0, 60_000)
})

/** Starts a controller with caches of its own, by the agent's own account. */
async function start({ lease = leaseInHand(), given = tunnelGiven as object, cluster = region.cluster } = {}) {
  const kept = createKeptLog()
  const tools = { cluster, clock: systemClock, log: kept.log }
  const controlled = tunnelFrom(given)
  const caches = createTunnelCaches(controlled, tools)
  const controller = createTunnelController(controlled, { ...tools, caches, lease })
  const followed = Object.values(caches)
  await Promise.all(followed.map((cache) => cache.start(new AbortController().signal)))
  await controller.start(new AbortController().signal)
  const stop = async () => {
    await controller.stop(0)
    await Promise.all(followed.map((cache) => cache.stop(0)))
  }
  stops.push(stop)
  return { ...kept, caches, state: () => tunnelStateOf(controlled, caches) }
}

const written = async () => parse((await read(configMap))?.data?.['tunnel.yaml'] ?? '')
const isWritten = (wanted: object) =>
  until('tunnel.yaml is as wanted', async () => {
    try {
      assert.deepEqual(await written(), wanted)
      return true
    } catch {
      return false
    }
  })
const ofPods = async (what: string, isSo: (pod: KubernetesObject) => boolean) => {
  const pods = await until(what, async () => {
    const all = await crew.pods()
    return all.length === 2 && all.every(isSo) && all
  })
  return pods.map(({ metadata }) => metadata.uid as string)
}
const allUids = () => ofPods('the pods are there', () => true)
const allReady = () => ofPods('the pods are ready', ({ status }) => status?.phase === 'Running')
const areReplaced = (before: string[]) => ofPods('the pods are replaced', ({ metadata }) => !before.includes(metadata.uid as string))

test('what the chart left empty is filled in, and the pods that waited for it are not replaced', async () => {
  crew.becomesReady = false
  const before = await allUids()
  const { state } = await start()
  await isWritten(closed)
  await until('it is in force', async () => state().configuration !== 'pending')
  const found = await read(configMap)
  assert.match(revisionOf(found?.metadata) ?? '', /^1-/)
  assert.equal(found?.metadata.labels?.['app.kubernetes.io/managed-by'], 'Helm')
  assert.deepEqual(await allUids(), before)
})

test('what somebody writes into it is undone within seconds, and the pods that may have read it are replaced', async () => {
  const { state } = await start()
  await isWritten(closed)
  const spec = (await read(deployment))?.spec
  for (const generation of [2, 3]) {
    const before = await allReady()
    await patch(configMap, { data: { 'tunnel.yaml': 'ingress: [{ hostname: all.example.org, service: "http://anything" }]' } })
    await isWritten(closed)
    assert.match(revisionOf((await read(configMap))?.metadata) ?? '', new RegExp(`^${generation}-`))
    await areReplaced(before)
    await until('it is in force', async () => state().configuration === 'in-force')
  }
  assert.deepEqual((await read(deployment))?.spec, spec, 'the Deployment is as it was')
})

test('a configuration that is deleted comes back, and no pod keeps what stood there before', async () => {
  await start()
  await isWritten(closed)
  for (const text of [undefined, 'ingress: []']) {
    const before = await allReady()
    if (text !== undefined) await patch(configMap, { data: { 'tunnel.yaml': text } })
    await remove(configMap)
    await isWritten(closed)
    await areReplaced(before)
  }
})

test('pods are replaced one after the other: the next one when there are as many as before', async () => {
  const { state, caches } = await start()
  await isWritten(closed)
  const before = await allReady()
  crew.becomesReady = false
  await expose(true)
  await isWritten(open)
  const left = async () => (await crew.pods()).filter(({ metadata }) => before.includes(metadata.uid as string))
  await until('the first is replaced', async () => (await left()).length === 1 && (await crew.pods()).length === 2)
  region.forget()
  await patch(settings, { metadata: { annotations: { look: 'again' } } })
  await patch(deployment, { metadata: { annotations: { look: 'again' } } })
  const look = (await read(deployment))?.metadata.resourceVersion
  await until('it is looked at again', async () => {
    const heard = caches.deployment.get(`skerry/${deployment.metadata.name}`)?.metadata.resourceVersion
    return !isNewer(look, heard) && state().configuration === 'rolling'
  })
  assert.equal((await left()).length, 1)
  crew.becomesReady = true
  await areReplaced(before)
  await until('it is in force', async () => state().configuration === 'in-force')
})

test('a pod that is not ready is replaced at once', async () => {
  await start()
  await isWritten(closed)
  const before = await allReady()
  crew.becomesReady = false
  for (const pod of await crew.pods()) await crew.report(pod, false)
  await expose(true)
  await areReplaced(before)
})

test('what a leader left between the two writings is completed by the next one', async () => {
  const before = await allReady()
  await patch(configMap, { metadata: tunnelConfigMap(tunnel, '', { revision: '4-a', outdated: 'all' }).metadata, data: closedText })
  const { state } = await start()
  await areReplaced(before)
  await until('it is in force', async () => state().configuration === 'in-force')
  assert.equal(revisionOf((await read(configMap))?.metadata), '4-a')
})

test('pods that an earlier version replaced, by a revision in their template, stay', async () => {
  const annotations = { 'skerry.dev/tunnel-revision': '4-a' }
  await patch(deployment, { spec: { template: { metadata: { annotations } } } })
  await patch(configMap, { metadata: { annotations }, data: closedText })
  await until('the Deployment has settled', async () => {
    const { metadata, status } = (await read(deployment)) as KubernetesObject
    return status?.observedGeneration === metadata.generation && status?.updatedReplicas === 2 && status?.replicas === 2
  })
  const before = await allReady()
  const { state } = await start()
  await until('it is in force', async () => state().configuration !== 'unknown' && state().configuration !== 'pending')
  assert.deepEqual((await read(configMap))?.metadata.annotations, annotations)
  await expose(true)
  await isWritten(open)
  assert.match(revisionOf((await read(configMap))?.metadata) ?? '', /^5-/)
  await areReplaced(before)
})

test('what is asked for is put into force, with a warning in the log and an Event; and taken out of it again', async () => {
  const { lines, seen } = await start({ given: { ...tunnelGiven, prometheus: undefined } })
  const wanted = tunnelFrom({ ...tunnelGiven, prometheus: undefined })
  await isWritten(desiredTunnel(wanted, { grafana: false }))
  assert.equal(lines.filter(({ level }) => level === 'warn').length, 0)

  await expose(true)
  await isWritten(desiredTunnel(wanted, { grafana: true }))
  await seen('more than the agent is exposed')
  const [line] = lines.filter(({ msg }) => msg === 'more than the agent is exposed')
  assert.match(JSON.stringify(line?.warnings), /Grafana is reachable from the internet at https:\/\/grafana-harbour-1\.example\.org/)
  const event = await until('an Event tells of it', async () => {
    const { items } = await region.admin.request<{ items: KubernetesObject[] }>({ method: 'GET', path: pathOf(kinds.Event, 'skerry') })
    return items.find(({ reason, message }) => reason === 'Exposed' && message === (line?.warnings as string[] | undefined)?.join(' '))
  })
  assert.deepEqual([event.type, event.involvedObject.name, event.count], ['Warning', 'cloudflared', 1])

  await expose(false)
  await isWritten(desiredTunnel(wanted, { grafana: false }))
  await seen('tunnel configured', 3)
  assert.deepEqual(lines.findLast(({ msg }) => msg === 'tunnel configured')?.closed, ['grafana-harbour-1.example.org'])
})

test('a configuration that says the same in other words is left as it is', async () => {
  await patch(configMap, { data: { 'tunnel.yaml': `# by hand\n${JSON.stringify(closed)}` } })
  const { state } = await start()
  await until('it is looked at', async () => state().configuration !== 'unknown')
  await expose(true)
  await isWritten(open)
  assert.match(revisionOf((await read(configMap))?.metadata) ?? '', /^2-/, 'what stood there counts as the first')
})

test('a region without cloudflared has its configuration all the same', async () => {
  await remove(deployment)
  await remove(configMap)
  const { state } = await start()
  await isWritten(closed)
  await until('it says so', async () => state().cloudflared.state === 'missing')
  await make(deployment)
  await until('it is seen', async () => state().cloudflared.state !== 'missing')
})

test('a replica that does not lead writes nothing, and takes over when it does', async () => {
  const lease = leaseInHand(false)
  region.forget()
  const { state } = await start({ lease })
  await expose(true)
  await until('it has heard what is asked for', async () => state().expose.grafana)
  assert.deepEqual(
    region.requests.filter(({ method }) => method !== 'GET'),
    [],
  )
  lease.set(true)
  await isWritten(open)
})

test('what keeps the controller from its work is told where every replica sees it, until it is over', async () => {
  region.interfere = ({ method, path }) => {
    if (method === 'PATCH' && path.endsWith('/configmaps/cloudflared')) throw new Problem('cluster-forbidden', 'configmaps is forbidden')
  }
  await expose(true)
  const { state } = await start()
  await until('it is told', async () => state().lastError === 'configmaps is forbidden')
  assert.equal(state().configuration, 'pending')
  assert.deepEqual(state().expose, { grafana: true }, 'what was asked for still stands')
  region.interfere = undefined
  await isWritten(open)
  await until('it is over', async () => state().lastError === null)
  assert.equal((await read(settings))?.data.expose, '{"grafana":true}')
})

test('a leader whose watch of the settings is behind opens nothing that was closed', async () => {
  await expose(true)
  const first = leaseInHand()
  const { state: ofFirst } = await start({ lease: first })
  await isWritten(open)
  const next = leaseInHand(false)
  const deaf: Cluster = {
    ...region.cluster,
    async *watch(path, query, signal) {
      if (query.fieldSelector !== `metadata.name=${settings.metadata.name}`) yield* region.cluster.watch(path, query, signal)
      else if (!signal.aborted) await once(signal, 'abort')
    },
  }
  const { state, caches } = await start({ lease: next, cluster: deaf })
  await expose(false)
  await isWritten(closed)
  await until('the first has noted the pods, too', async () => ofFirst().configuration !== 'pending')
  first.set(false)
  await until('the next one has heard what is in force', async () => {
    const heard = caches.configuration.get(`skerry/${configMap.metadata.name}`)
    return heard !== undefined && heard.metadata.resourceVersion === (await read(configMap))?.metadata.resourceVersion
  })
  assert.equal(state().configuration, 'pending')
  region.forget()
  next.set(true)
  const asked = (method: string, name: string) =>
    region.requests.some((each) => each.method === method && each.path.endsWith(`/configmaps/${name}`))
  await until('it has looked', async () => asked('GET', settings.metadata.name) || asked('PATCH', configMap.metadata.name))
  assert.ok(!asked('PATCH', configMap.metadata.name))
  assert.deepEqual(await written(), closed)
})
