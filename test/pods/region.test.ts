import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { createStorageClasses, openWorld, runLoadBalancer, seeded, startCrateOperatorStandIn, until } from '../cluster/index.ts'
import { chart, helm, type Manifest, namespace, release } from '../deploy/helm.ts'
import { judge, whenAllEnded } from '../faults/verdict.ts'
import { emptyWorkload, sendMixed } from '../faults/workload.ts'
import { startMosquitto } from '../peers/mosquitto.ts'
import { startPrometheus } from '../peers/prometheus.ts'
import { type Births, bdSeqOf, followBirths } from '../region/births.ts'
import { type Client, createClient } from '../region/client.ts'
import { definitions } from '../region/definitions.ts'
import { connectTo } from '../shared/kubernetes/connected.ts'
import { type CountedClient, counting } from './calls.ts'
import { showDatabasesReady } from './database-pods.ts'
import { imageOf, programs } from './images.ts'
import { inventoryOf } from './inventory.ts'
import { startNode } from './node.ts'
import { createStory } from './story.ts'

const token = randomBytes(24).toString('base64url')
const sha256 = createHash('sha256').update(token).digest('hex')
const scopes = ['region:read', 'projects:write', 'databases:write']
const seed = Number(process.env.SKERRY_SEED ?? Date.now() % 1_000_000)
const mqttPort = 1884
const edgeNode = { group: 'harbours', node: 'harbour-1' }

test(`a region lives on a real node (SKERRY_SEED=${seed})`, async (t) => {
  const node = await startNode({ crds: definitions.crateDB.map((file) => readFileSync(file, 'utf8')) })
  const { http, cluster, docker } = node
  const admin = connectTo(cluster)
  const world = await openWorld(cluster)
  await createStorageClasses(world)
  const hideDatabases = await showDatabasesReady(world)
  const operator = await startCrateOperatorStandIn(cluster, { stepMs: 20, events: false })
  const loadBalancer = await runLoadBalancer(world)
  const mosquitto = await startMosquitto(t, { settings: [`listener ${mqttPort} ${node.address}`] })
  const broker = `mqtt://127.0.0.1:${mosquitto.port}`
  const births: Births = await followBirths({ url: broker, ...edgeNode })
  t.after(async () => {
    await births.close()
    await operator.stop()
    await loadBalancer.stop()
    hideDatabases()
    await world.close()
    admin.close()
    await node.stop()
  })

  const values = {
    region: { id: 'harbour-1', name: 'Harbour' },
    agent: { tokens: { list: [{ name: 'cloud', sha256, scopes }] } },
    monitor: { config: { sparkplug: { ...edgeNode, servers: [{ url: `mqtt://${node.address}:${mqttPort}` }] } } },
  }
  async function run(words: string[], given?: object): Promise<void> {
    const options = { kubeconfig: cluster.kubeconfig(), ...(given && { values: given }) }
    const { code, stderr } = await helm(['--namespace', namespace, ...words], options)
    assert.equal(code, 0, `helm ${words.join(' ')}: ${stderr}`)
  }
  async function read(path: string): Promise<Manifest> {
    const { status, body, text } = await http.get(path)
    assert.equal(status, 200, `${path}: ${text}`)
    return body
  }
  const podsOf = async (program: string): Promise<Manifest[]> =>
    (await read(`/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/name%3Dskerry-${program}`)).items
  const restartsOf = (pod: Manifest) => pod.status.containerStatuses?.[0]?.restartCount
  const isReady = ({ status }: Manifest) => status.conditions?.some(({ type, status: is }: Manifest) => type === 'Ready' && is === 'True')

  const runningContainers = async () =>
    (await docker.docker('ps', '--quiet', '--filter', 'label=io.kubernetes.pod.namespace=skerry')).split('\n').filter(Boolean)

  // What is there without us: the operator's pod comes a moment after its Deployment.
  const operatorPath = '/apis/apps/v1/namespaces/crate-operator/deployments/crate-operator'
  await until('the operator is ready', async () => (await http.get(operatorPath)).body?.status?.readyReplicas === 1, 60_000)
  const before = await inventoryOf(http)
  const host = `skerry-agent.${namespace}.svc`
  const workload = emptyWorkload()
  let authority = ''
  let fresh: () => ReturnType<typeof createClient> = () => assert.fail('not installed')
  const { step } = createStory(t, node, [namespace])

  await step('helm installs it, and the pods of both programs get ready without a restart', async (t) => {
    const begun = performance.now()
    await run(['install', release, chart, '--create-namespace', '--wait', '--timeout', '110s'], values)
    for (const program of programs) {
      const pods = await podsOf(program)
      assert.equal(pods.length, 2)
      for (const pod of pods) {
        assert.ok(isReady(pod), pod.metadata.name)
        assert.equal(pod.spec.containers[0].image, imageOf(program))
        assert.equal(restartsOf(pod), 0)
      }
    }
    t.diagnostic(`ready after ${((performance.now() - begun) / 1000).toFixed(1)} s`)
  })

  await step('its containers are what the restricted profile lets run', async () => {
    const ids = (await Promise.all(programs.map(podsOf))).flat().map(({ status }) => status.containerStatuses[0].containerID)
    const containers = JSON.parse(await docker.docker('inspect', ...ids.map((id) => id.replace('docker://', ''))))
    for (const { HostConfig, Config } of containers) {
      assert.equal(HostConfig.ReadonlyRootfs, true)
      assert.equal(HostConfig.Privileged, false)
      assert.deepEqual(HostConfig.CapDrop, ['ALL'])
      assert.ok(HostConfig.SecurityOpt.includes('no-new-privileges'))
      assert.ok(!HostConfig.SecurityOpt.includes('seccomp=unconfined'))
      assert.equal(Config.User, '65532:65532')
    }
  })

  await step('the preflight in its pod finds that it may do all that it has to', async () => {
    const [pod] = await podsOf('agent')
    const container = pod?.status.containerStatuses[0].containerID.replace('docker://', '')
    const preflight = ['node', '/skerry/agent.mjs', 'preflight', '--offline', '--output=json']
    // It may end with 1: what else it finds is about the node of this test.
    const said = await docker.docker('exec', container, ...preflight).catch(({ stdout }: { stdout: string }) => stdout)
    const { findings } = JSON.parse(said)
    const permissions = findings.filter(({ id }: { id: string }) => id === 'permissions')
    assert.deepEqual(
      permissions.map(({ level }: { level: string }) => level),
      ['ok'],
      JSON.stringify(findings),
    )
  })

  await step(
    'a project and a database are asked for through the Service, over TLS that the certificate of the chart vouches for',
    async () => {
      const { spec } = await read(`/api/v1/namespaces/${namespace}/services/skerry-agent`)
      const { data } = await read(`/api/v1/namespaces/${namespace}/secrets/skerry-agent-tls`)
      authority = Buffer.from(data['ca.crt'], 'base64').toString()
      await node.nameAddress(host, spec.clusterIP)
      fresh = () => createClient({ url: `https://${host}:8443`, ca: authority, token })
      const client = fresh()
      try {
        const project = '/v1/projects/harbour'
        const requests = [
          { path: project, body: { displayName: 'Harbour authority' } },
          {
            path: `${project}/databases/tidal-gauge`,
            body: {
              version: '5.10.1',
              nodes: { count: 1, cpu: '500m', memory: '2Gi', disk: { size: '16Gi', storageClass: 'crate-premium' } },
              users: [{ name: 'harbourmaster', generate: true }],
              allowedCIDRs: ['10.20.0.0/16'],
            },
          },
        ]
        for (const { path, body } of requests) {
          const answer = await client.call('PUT', path, { body, headers: { 'idempotency-key': path } })
          assert.equal(answer.status, 202, answer.text)
          workload.acknowledged.push({ key: path, method: 'PUT', path, operation: answer.body.id })
          const read = async () => (await client.call('GET', `/v1/operations/${answer.body.id}`)).body
          const made = async () => ['Succeeded', 'Failed'].includes((await read()).phase)
          await until(`${path} is made`, made, 120_000).catch(async (error) =>
            assert.fail(`${error.message}: ${JSON.stringify(await read())}`),
          )
          assert.equal((await read()).phase, 'Succeeded', JSON.stringify(await read()))
        }
        const database = await read('/apis/cloud.crate.io/v1/cratedbs')
        assert.equal(database.items.length, 1)
      } finally {
        client.close()
      }
    },
  )

  await step('a stranger with another authority does not connect, and one with another token is refused', async () => {
    const stranger = createClient({ url: `https://${host}:8443`, ca: cluster.ca, token })
    await assert.rejects(stranger.call('GET', '/v1/region'), /certificate/)
    stranger.close()
    const unknown = createClient({ url: `https://${host}:8443`, ca: authority, token: 'another' })
    assert.equal((await unknown.call('GET', '/v1/region')).status, 401)
    unknown.close()
  })

  await step('the monitor is born at mosquitto, with the database among its devices', async () => {
    const born = await births.heard(({ verb }) => verb === 'NBIRTH', 'NBIRTH', { withinMs: 60_000 })
    assert.equal(born.topic, 'spBv1.0/harbours/NBIRTH/harbour-1')
    assert.equal(born.payload.seq, 0)
    assert.equal(typeof bdSeqOf(born), 'number')
    const metric = (name: string) => born.payload.metrics.find((each) => each.name === name)
    assert.equal(metric('Node Control/Rebirth')?.booleanValue, false)
    assert.equal(metric('Properties/Region ID')?.stringValue ?? metric('Properties/Region')?.stringValue, 'harbour-1')
    await births.heard(({ verb, device }) => verb === 'DBIRTH' && device === `host:${node.name}`, 'the birth of the node')
    await births.heard(
      ({ verb, device }) => verb === 'DBIRTH' && /^database:.*tidal-gauge$/.test(device ?? ''),
      'the birth of the database',
    )
    const births_ = births.messages.filter(({ verb }) => verb === 'NBIRTH')
    assert.equal(births_.length, 1, 'one of two replicas publishes')
  })

  await step('a real Prometheus finds the pods and scrapes them, and what they say is so', async (t) => {
    // Debian's Prometheus cannot ask Kubernetes for pods; this one is told of them, by the names of the chart's ports.
    const pods = (await Promise.all(programs.map(podsOf))).flat()
    const targets = pods.map(({ metadata, spec, status }) => {
      const [{ name: program, ports }] = spec.containers
      const { containerPort } = ports.find(({ name }: Manifest) => name === 'admin' || name === 'metrics')
      return { targets: [`${status.podIP}:${containerPort}`], labels: { program, pod: metadata.name } }
    })
    const job = { job_name: 'skerry', scrape_interval: '1s', static_configs: targets }
    const prometheus = await startPrometheus(t, { jobs: [job] })
    const query = async (text: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]> => {
      const response = await fetch(`${prometheus.url}/api/v1/query?query=${encodeURIComponent(text)}`)
      return ((await response.json()) as Manifest).data.result
    }
    const numbers = async (text: string) => (await query(text)).map(({ value }) => Number(value[1]))
    await until('two pods of each program are up', async () => {
      const up = await query('up{job="skerry"} == 1')
      return programs.every((program) => up.filter(({ metric }) => metric.program === program).length === 2)
    })
    const { body: region } = await http.get(`/apis/skerry.dev/v1/namespaces/${namespace}/operations`)
    const operations = region.items.length
    const expected: [string, number[]][] = [
      ['sum by (program) ({__name__=~"skerry_(agent|monitor)_leader"})', [1, 1]],
      ['skerry_agent_operations{phase="Succeeded"}', [operations, operations]],
      ['skerry_kubernetes_hosts{condition="ready"}', [1, 1]],
      ['sum(skerry_sparkplug_online)', [1]],
      ['min by (pod) (skerry_check_up{kind="kubernetes"})', [1, 1]],
      // From pod to pod, through the agent's Service, by its name.
      ['min by (pod) (skerry_check_up{kind="agent"})', [1, 1]],
    ]
    for (const [text, wanted] of expected) {
      const holds = async () => isDeepStrictEqual(await numbers(text), wanted)
      await until(text, holds, 60_000).catch(async () => assert.deepEqual(await numbers(text), wanted, text))
    }
  })

  await step('an upgrade replaces every pod under a steady stream of requests, and loses none of them', async (t) => {
    const client = counting(fresh())
    const over = new AbortController()
    const random = seeded(seed)
    try {
      const old = await runningContainers()
      const sending = sendMixed(client, { total: Number.MAX_SAFE_INTEGER, workers: 4, random, until: over.signal }, workload)
      const reading = readAgain(fresh, over.signal)
      await until('the stream flows', async () => workload.acknowledged.length >= 20, 60_000)
      for (const program of programs) await docker.docker('tag', imageOf(program), imageOf(program, nextTag))
      const begun = performance.now()
      const acknowledged = workload.acknowledged.length
      const next = { tag: nextTag }
      const upgraded = { ...values, agent: { ...values.agent, image: next }, monitor: { ...values.monitor, image: next } }
      await run(['upgrade', release, chart, '--wait', '--timeout', '110s'], upgraded)
      // The pods themselves may stay half a minute longer, until the kubelet has cleaned up behind them.
      const areOver = async () => !(await runningContainers()).some((id) => old.includes(id))
      await until('no container of before runs', areOver, 60_000)
      const seconds = (performance.now() - begun) / 1000
      const meanwhile = workload.acknowledged.length - acknowledged
      over.abort()
      const [, reads] = await Promise.all([sending, reading])
      for (const program of programs)
        for (const pod of (await podsOf(program)).filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
          assert.equal(pod.spec.containers[0].image, imageOf(program, nextTag))
          assert.equal(restartsOf(pod), 0)
        }
      await judge(admin, workload, await whenAllEnded(admin, 300_000))
      const causes = [...client.causes, ...reads.causes].map(([cause, times]) => `${cause}: ${times}`)
      t.diagnostic(`${seconds.toFixed(1)} s, ${meanwhile} requests acknowledged meanwhile, ${reads.answered} reads answered`)
      t.diagnostic(`to be sent again: ${causes.join(', ') || 'none'}; refused for good: ${workload.refused.length}`)
      assert.ok(meanwhile >= 20, `${meanwhile} requests were acknowledged during the upgrade`)
      assert.ok(reads.answered >= 20, `${reads.answered} reads were answered`)
      assert.deepEqual([...reads.causes], [], 'a new connection is always served: the Service forgets a pod before it stops')
      const strange = [...client.causes.keys()].filter((cause) => !mayHappen.includes(cause))
      assert.deepEqual(strange, [], 'nothing but kept connections that are closed as a request is sent')
      for (const [key, times] of client.attempts) assert.ok(times <= 5, `${key} was sent ${times + 1} times`)
      // The stream also changes databases that it has deleted, or that are suspended: those refusals are for good.
      const wrong = workload.refused.filter(({ status }) => ![404, 409, 422].includes(status))
      assert.deepEqual(wrong, [], 'a refusal is one of the request, not of the moment')
    } finally {
      over.abort()
      client.close()
    }
  })

  await step('the monitor said its farewell when it was replaced, and was born again with the next number', async () => {
    const told = () => births.messages.filter(({ verb }) => verb === 'NBIRTH' || verb === 'NDEATH')
    // The other replica leads, and connects, a moment after the last one of before has gone.
    await until('the last word is a birth', async () => told().length >= 3 && told().at(-1)?.verb === 'NBIRTH', 60_000)
    const life = told().map((each) => `${each.verb} ${bdSeqOf(each)}`)
    const first = Number(life[0]?.split(' ')[1])
    for (const [place, line] of life.entries())
      assert.equal(line, place % 2 === 0 ? `NBIRTH ${first + place / 2}` : `NDEATH ${first + (place - 1) / 2}`, life.join(', '))
    assert.match(life.at(-1) as string, /^NBIRTH/)
  })

  await step('helm uninstalls it, and nothing is left but what it said', async () => {
    const standing = await inventoryOf(http)
    const operations = [...standing.keys()].filter((key) => key.startsWith('operations.')).length
    await run(['uninstall', release, '--wait', '--timeout', '110s'])
    await until('none of its containers runs', async () => (await runningContainers()).length === 0, 60_000)
    // A kubelet 1.20 that has removed a container before it told of its end may take minutes to let go of the pod.
    for (const { metadata } of (await Promise.all(programs.map(podsOf))).flat())
      await http.delete(`/api/v1/namespaces/${namespace}/pods/${metadata.name}`, { gracePeriodSeconds: 0 })
    const isData = (key: string) => /^(operations|projects)\.skerry\.dev |^namespaces \/project-| project-/.test(key)
    const leftIn = (inventory: Map<string, string>) => [...inventory.keys()].filter((key) => !before.has(key))
    const installed = (inventory: Map<string, string>) => leftIn(inventory).filter((key) => !isData(key) && !isOfNamespace(key))
    // What belonged to what went, such as the tokens of accounts, its controllers take away a moment later.
    const isClean = async () => installed(await inventoryOf(http)).length <= keptWhenUninstalled.length
    await until('what belonged to it is gone', isClean, 60_000).catch(() => {}) // what is left is told below
    const after = await inventoryOf(http)
    const left = leftIn(after)
    assert.deepEqual(installed(after).sort(), keptWhenUninstalled)
    assert.equal(left.filter((key) => key.startsWith('operations.')).length, operations)
    const harbour = [...standing].filter(([key]) => key === 'projects.skerry.dev /harbour' || key.includes(' project-harbour/'))
    assert.ok(harbour.some(([key]) => key === 'cratedbs.cloud.crate.io project-harbour/tidal-gauge'))
    for (const [key, uid] of harbour) assert.equal(after.get(key), uid, `${key} is as it was`)
  })
})

/** What deploy/chart/README.md says. */
const keptWhenUninstalled = [
  'apiservices.apiregistration.k8s.io /v1.skerry.dev', // of the definitions
  'configmaps skerry/skerry-ledger',
  'configmaps skerry/skerry-link',
  'configmaps skerry/skerry-monitor-session',
  'customresourcedefinitions.apiextensions.k8s.io /operations.skerry.dev',
  'customresourcedefinitions.apiextensions.k8s.io /projects.skerry.dev',
  'customresourcedefinitions.apiextensions.k8s.io /registrations.skerry.dev',
  'customresourcedefinitions.apiextensions.k8s.io /retaineddatabases.skerry.dev',
  'customresourcedefinitions.apiextensions.k8s.io /sparkplugnodes.skerry.dev',
  'leases.coordination.k8s.io skerry/skerry-agent',
  'leases.coordination.k8s.io skerry/skerry-monitor',
  'namespaces /skerry',
  'secrets skerry/skerry-fingerprint-key',
]

/** What Kubernetes puts into each namespace. */
const isOfNamespace = (key: string) =>
  /^(configmaps skerry\/kube-root-ca\.crt|secrets skerry\/default-token-\w+|serviceaccounts skerry\/default)$/.test(key)

const nextTag = 'next'

/** What a client may meet that keeps its connections while the pod behind them is replaced. */
const mayHappen = ['ECONNRESET', 'EPIPE', 'socket hang up', '503']

/** Reads over a new connection each time, as the Service balances them, and again after a failure, until told to stop. */
async function readAgain(fresh: () => Client, until: AbortSignal): Promise<CountedClient> {
  const counts = counting(fresh())
  counts.close()
  while (!until.aborted) {
    const client = fresh()
    const attempt = counting(client)
    const answer = await attempt.call('GET', '/v1/projects').catch(() => undefined)
    client.close()
    for (const [cause, times] of attempt.causes) counts.causes.set(cause, (counts.causes.get(cause) ?? 0) + times)
    if (answer?.status === 200) counts.answered++
    await sleep(50)
  }
  return counts
}
