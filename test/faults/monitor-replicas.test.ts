import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startCluster } from '../cluster/index.ts'
import { type Heard, startBroker } from '../monitor/sparkplug/broker.ts'
import { regionDefinitions } from '../region/definitions.ts'
import { prepareRegion } from '../region/index.ts'

const bdSeqOf = ({ payload }: Heard) => Number(payload.metrics.find(({ name }) => name === 'bdSeq')?.longValue)

type Facts = { facts: { leader: boolean; leaseHolder?: string } }

async function facts(url: string): Promise<Facts['facts']> {
  return ((await (await fetch(`${url}/readyz`)).json()) as Facts).facts
}

/** The first time that it is so; rejects after 60 s. */
async function until(is: () => Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await is()); await sleep(50))
    if (performance.now() > deadline) assert.fail(`${what} did not happen`)
}

/** Long beside what a busy machine may take for the rest. */
const leaseMs = 6_000
const lease = { duration: `${leaseMs}ms`, renewDeadline: '5s', retryPeriod: '2s' }

test('of two replicas one publishes, the other takes over when it goes or dies, and both check', async (t) => {
  const cluster = await startCluster({ crds: regionDefinitions() })
  t.after(() => cluster.stop())
  const region = await prepareRegion(cluster)
  t.after(() => region.close())
  const broker = await startBroker(t)
  const config = { lease, discovery: { interval: '1s' } }

  const first = await region.startMonitor(broker, { config })
  const birth = await broker.heard(({ verb }) => verb === 'NBIRTH')
  await until(async () => (await facts(first.url)).leader, 'the first to lead')
  const second = await region.startMonitor(broker, { config })
  await until(async () => (await fetch(`${second.url}/readyz`)).status === 200, 'a replica that does not lead to be ready')
  assert.equal((await facts(second.url)).leader, false)
  for (const { url } of [first, second])
    await until(
      async () => /skerry_check_state\{check="kubernetes"[^}]*state="unknown"\} 0/.test(await (await fetch(`${url}/metrics`)).text()),
      'the API server to be checked by each replica',
    )
  assert.equal(broker.connects.length, 1, 'only the leader connects')

  // One that is told to stop gives the Lease back after its death is out.
  assert.equal(await first.stop(), 0)
  const death = await broker.heard(({ verb }) => verb === 'NDEATH')
  assert.equal(bdSeqOf(death), bdSeqOf(birth))
  const after = broker.messages.indexOf(death) + 1
  const second1 = await broker.heard(({ verb }) => verb === 'NBIRTH', after)
  assert.equal(bdSeqOf(second1), bdSeqOf(birth) + 1)

  // One that dies leaves its will; the next is born within the length of the Lease.
  const third = await region.startMonitor(broker, { config })
  const from = broker.messages.length
  const began = performance.now()
  await second.kill()
  const will = await broker.heard(({ verb }) => verb === 'NDEATH', from)
  assert.equal(bdSeqOf(will), bdSeqOf(second1))
  const third1 = await broker.heard(({ verb }) => verb === 'NBIRTH', from)
  assert.equal(bdSeqOf(third1), bdSeqOf(second1) + 1)
  assert.ok(performance.now() - began < leaseMs + 1_000, `${Math.round(performance.now() - began)} ms without a node`)
  assert.equal(await third.stop(), 0)
})
