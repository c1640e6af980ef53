import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { type StandIns, seeded, startCluster, startStandIns, type TestCluster, until } from '../cluster/index.ts'
import type { AgentProcess } from '../region/agent-process.ts'
import { type Client, createClient } from '../region/client.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { prepareRegion, type Region } from '../region/index.ts'
import { judge, whenAllEnded } from './verdict.ts'
import { emptyWorkload, sendMixed, type Workload } from './workload.ts'

/** Short terms, so that a killed leader is followed within two seconds rather than fifteen. */
const config = {
  lease: { duration: '2s', renewDeadline: '1500ms', retryPeriod: '300ms' },
  operations: { recheck: '1s', parallelism: 8 },
  api: { limits: { requestsPerSecond: 10_000, burst: 10_000 } },
}
const seed = Number(process.env.SKERRY_SEED ?? Date.now() % 1_000_000)
const total = 200
const patienceMs = 300_000

let cluster: TestCluster
let standIns: StandIns
let region: Region
let client: Client
let agents: AgentProcess[] = []

/** The agent that a request goes to, as a Service would choose. */
let turn = 0
const anyAgent = () => agents[turn++ % Math.max(1, agents.length)]?.url ?? 'https://127.0.0.1:1'

before(async () => {
  cluster = await startCluster({ crds: regionDefinitions() })
})
after(() => cluster?.stop())
beforeEach(async () => {
  region = await prepareRegion(cluster)
  standIns = await startStandIns(cluster, { nodes: 12, operator: { stepMs: 1, events: false } })
  client = createClient({ url: anyAgent, ca: region.ca, token: region.token })
})
afterEach(async () => {
  agents = []
  client.close()
  await forgetEverything()
  await standIns.stop()
  await region.close()
})

const allEnded = () => whenAllEnded(region.admin, patienceMs, standIns.operator.explain)

function startAgent(): Promise<AgentProcess> {
  return region.startAgent({
    config: { ...config, databases: { sqlUrl: `${standIns.database.url}/{namespace}/{database}/_sql` } } as never,
    ...(process.env.TEST_LOG && { onLog: (line: string) => process.stderr.write(`${line}\n`) }),
  })
}

/** Takes the projects away with all that is in them, and the ledger, for the next test. */
async function forgetEverything(): Promise<void> {
  const agent = await startAgent()
  agents = [agent]
  const answered = (method: string, path: string, ...statuses: number[]) =>
    until(`${method} ${path} is answered with ${statuses.join(' or ')}`, async () => {
      const answer = await client.call(method, path).catch(() => undefined)
      return answer !== undefined && statuses.includes(answer.status) && answer
    })
  const { body } = await answered('GET', '/v1/projects', 200)
  for (const { id } of body.items) await answered('DELETE', `/v1/projects/${id}?cascade=true&retainVolumes=false`, 202, 404)
  await allEnded()
  await agent.stop()
  agents = []
  await region.admin.request({ method: 'DELETE', path: pathOf(kinds.Operation, 'skerry') })
}

describe(`nothing acknowledged is lost (SKERRY_SEED=${seed})`, () => {
  test('when the agent is killed at random moments', async () => {
    const random = seeded(seed)
    agents = [await startAgent()]
    const workload = emptyWorkload()
    const over = new AbortController()
    const killing = killAgain(random, workload, over.signal)
    await sendMixed(client, { total, workers: 6, random }, workload)
    over.abort()
    const kills = await killing
    assert.ok(kills >= 5, `the agent was killed ${kills} times`)
    await judge(region.admin, workload, await allEnded())
  })

  test('when two replicas serve and the leader is killed', async () => {
    const random = seeded(seed + 1)
    agents = await Promise.all([startAgent(), startAgent()])
    const working = sendMixed(client, { total, workers: 6, random })
    for (let kill = 0; kill < 3; kill++) {
      await sleep(1_500 + random() * 1_500)
      const leader = await leaderOf(agents)
      await leader.kill()
      agents = [...agents.filter((agent) => agent !== leader), await startAgent()]
    }
    const workload = await working
    await judge(region.admin, workload, await allEnded())
  })

  test('when the API server is cut off for 20 seconds', async () => {
    agents = [await startAgent()]
    const working = sendMixed(client, { total, workers: 6, random: seeded(seed + 2) })
    await sleep(2_000)
    await cluster.suspend()
    await sleep(20_000)
    await cluster.resume()
    const workload = await working
    await judge(region.admin, workload, await allEnded())
  })

  // A real API server cannot be told to misbehave.
  if (process.env.SKERRY_CLUSTER === 'real') return
  test('when watches are dropped, answers get lost and writes conflict', async () => {
    agents = [await startAgent()]
    cluster.faults?.set({ latencyMs: 5, errorRate: 0.03, lostAnswerRate: 0.03, conflictRate: 0.05 })
    const dropping = setInterval(() => {
      cluster.faults?.dropWatches()
      if (Math.random() < 0.3) cluster.faults?.compact()
    }, 400)
    try {
      const workload = await sendMixed(client, { total, workers: 6, random: seeded(seed + 3) })
      clearInterval(dropping)
      cluster.faults?.clear()
      await judge(region.admin, workload, await allEnded())
    } finally {
      clearInterval(dropping)
      cluster.faults?.clear()
    }
  })
})

/** Kills the one agent and starts another, each time some requests and a moment after the last one came up. Returns how often. */
async function killAgain(random: () => number, workload: Workload, over: AbortSignal): Promise<number> {
  for (let kills = 0; ; kills++) {
    const due = workload.acknowledged.length + 2 + Math.floor(random() * 12)
    while (workload.acknowledged.length < due && !over.aborted) await sleep(5)
    if (over.aborted) return kills
    await sleep(random() * 300)
    await agents[0]?.kill()
    agents = [await startAgent()]
  }
}

/** The replica whose metrics say that it leads. */
function leaderOf(replicas: AgentProcess[]): Promise<AgentProcess> {
  return until('one of the replicas leads', async () => {
    for (const agent of replicas) {
      const metrics = await fetch(`${agent.adminUrl}/metrics`).then((answer) => answer.text())
      if (/^skerry_agent_leader 1$/m.test(metrics)) return agent
    }
    return undefined
  })
}
