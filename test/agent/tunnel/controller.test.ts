import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import { parse } from 'yaml'
import { createTunnelController } from '../../../agent/tunnel/controller.ts'
import { desiredTunnel, settingsConfigMap } from '../../../agent/tunnel/desired.ts'
import { createTunnelCaches, tunnelStateOf } from '../../../agent/tunnel/state.ts'
import { systemClock } from '../../../shared/clock.ts'
import { Problem } from '../../../shared/errors.ts'
import type { Cluster } from '../../../shared/kubernetes/connection.ts'
import { type KubernetesObject, kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { until } from '../../cluster/index.ts'
import { createKeptLog } from '../api/harbour.ts'
import { leaseInHand, startControlledRegion } from '../controllers/region.ts'
import { installedByHelm, tunnelFrom, tunnelGiven } from '../tunnel-sample.ts'

const region = await startControlledRegion()
const { make, read, remove, patch } = region
const tunnel = tunnelFrom()
const { configMap, deployment } = installedByHelm()
const settings = settingsConfigMap(tunnel, { grafana: false })
const [open, closed] = [desiredTunnel(tunnel, { grafana: true }), desiredTunnel(tunnel, { grafana: false })]
const expose = (grafana: boolean) => make(settingsConfigMap(tunnel, { grafana }))
const revisionOf = (metadata: KubernetesObject['metadata'] | undefined) => metadata?.annotations?.['skerry.dev/tunnel-revision']

let stops: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  await make(configMap)
  await make(deployment)
})
afterEach(async () => {
  region.interfere = undefined
  for (const stop of stops) await stop()
  stops = []
  for (const object of [configMap, deployment, settings]) if (await read(object)) await remove(object)
  await until('the Deployment is gone', async () => (await read(deployment)) === undefined)
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
  return { ...kept, state: () => tunnelStateOf(controlled, caches) }
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
const revisionOfPods = async () => revisionOf((await read(deployment))?.spec.template.metadata)

test('what the chart left empty is filled in, and the pods that waited for it are not replaced', async () => {
  const { state } = await start()
  await isWritten(closed)
  await until('it is in force', async () => state().configuration !== 'pending')
  const found = await read(configMap)
  assert.match(revisionOf(found?.metadata) ?? '', /^1-/)
  assert.equal(found?.metadata.labels?.['app.kubernetes.io/managed-by'], 'Helm')
  assert.equal(await revisionOfPods(), undefined)
})

test('what somebody writes into it is undone within seconds, and the pods that may have read it are replaced', async () => {
  await start()
  await isWritten(closed)
  for (const generation of [2, 3]) {
    await patch(configMap, { data: { 'tunnel.yaml': 'ingress: [{ hostname: all.example.org, service: "http://anything" }]' } })
    await isWritten(closed)
    const revision = revisionOf((await read(configMap))?.metadata)
    assert.match(revision ?? '', new RegExp(`^${generation}-`))
    await until('the pods are of that revision', async () => (await revisionOfPods()) === revision)
  }
  const { template } = (await read(deployment))?.spec ?? {}
  assert.equal(template.spec.containers[0].image, 'docker.io/cloudflare/cloudflared:2026.7.3', 'nothing else of the Deployment changed')
})

test('a configuration that is deleted comes back, and the pods keep theirs only if it is the same writing', async () => {
  await start()
  await isWritten(closed)
  await remove(configMap)
  await isWritten(closed)
  await patch(configMap, { data: { 'tunnel.yaml': 'ingress: []' } })
  await until('the pods are replaced', async () => (await revisionOfPods()) !== undefined)
  const before = await revisionOfPods()
  await remove(configMap)
  await isWritten(closed)
  await until('they are replaced again', async () => (await revisionOfPods()) !== before)
  assert.equal(await revisionOfPods(), revisionOf((await read(configMap))?.metadata))
})

test('an annotation that is taken from the pods comes back', async () => {
  await start()
  await isWritten(closed)
  await expose(true)
  await until('the pods are replaced', async () => (await revisionOfPods()) !== undefined)
  const revision = await revisionOfPods()
  await patch(deployment, { spec: { template: { metadata: { annotations: null } } } })
  await until('it is back', async () => (await revisionOfPods()) === revision)
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
    return items.find(({ reason, message }) => reason === 'Exposed' && message.includes('Grafana'))
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
  await start({ lease })
  await expose(true)
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
  await start({ lease: first })
  await isWritten(open)
  const next = leaseInHand(false)
  const deaf: Cluster = {
    ...region.cluster,
    async *watch(path, query, signal) {
      if (query.fieldSelector !== `metadata.name=${settings.metadata.name}`) yield* region.cluster.watch(path, query, signal)
      else if (!signal.aborted) await once(signal, 'abort')
    },
  }
  const { state } = await start({ lease: next, cluster: deaf })
  await expose(false)
  await isWritten(closed)
  first.set(false)
  await until('the next one has heard what is in force', async () => state().configuration === 'pending')
  region.forget()
  next.set(true)
  const asked = (method: string, name: string) =>
    region.requests.some((each) => each.method === method && each.path.endsWith(`/configmaps/${name}`))
  await until('it has looked', async () => asked('GET', settings.metadata.name) || asked('PATCH', configMap.metadata.name))
  assert.ok(!asked('PATCH', configMap.metadata.name))
  assert.deepEqual(await written(), closed)
})
