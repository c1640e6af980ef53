import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { kinds, pathOf } from '../../../shared/kubernetes/objects.ts'
import { listObjects, readObject } from '../../../shared/kubernetes/read.ts'
import { type ServedCloud, serveCloud } from '../../cloud/serve.ts'
import { createServingCertificate, startCluster, type TestCluster, until } from '../../cluster/index.ts'
import { faketimeOf, settableTime } from '../../peers/faketime.ts'
import type { AgentProcess } from '../../region/agent-process.ts'
import { createClient } from '../../region/client.ts'
import { prepareRegion, type Region } from '../../region/index.ts'

const hour = 3_600_000
/** What is lost on the way, and by machines that are busy. */
const tolerance = 5_000

let cluster: TestCluster
let region: Region
let served: ServedCloud
let folder: string
let agent: AgentProcess | undefined

before(async () => {
  cluster = await startCluster()
  served = await serveCloud()
  folder = await mkdtemp(join(tmpdir(), 'skerry-clock-'))
  region = await prepareRegion(cluster)
})

afterEach(async () => {
  await agent?.stop()
  agent = undefined
})

after(async () => {
  await region.close()
  await served.close()
  await cluster.stop()
  await rm(folder, { recursive: true })
})

/** Starts an agent that joins that cloud. */
async function startAgent({ origin, ca }: { origin: string; ca: string }, env: Record<string, string>, lines: string[] = []) {
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, ca)
  const config = { cloud: { url: origin, caFile, gather: '1s' } }
  agent = await region.startAgent({ config, env, onLog: (line) => void lines.push(line) })
  return agent
}

const registration = async () => (await readObject(region.admin, pathOf(kinds.Registration, region.namespace, 'cloud')))?.status
const whenReady = () =>
  until('the region is registered', async () => {
    const status = await registration()
    if (status?.pairing && status.state === 'Unpaired') served.cloud.registry.typed(status.pairing.code)
    return status?.state === 'Ready' && (status.id as string)
  })

async function get(path: string) {
  const client = createClient({ url: agent?.url ?? '', ca: region.ca, token: region.token })
  try {
    const { status, body } = await client.call('GET', path)
    assert.equal(status, 200)
    return body
  } finally {
    client.close()
  }
}

const isNear = (value: number, wanted: number) => Math.abs(value - wanted) < tolerance

test('a clock that is three hours behind is named, where the certificate of the cloud is not valid yet by it', async (t) => {
  const young = await serveCloud()
  t.after(() => young.close())
  const certificate = await createServingCertificate('cloud', [], { from: Date.now() - hour })
  young.use(certificate)
  await startAgent({ origin: young.origin, ca: certificate.ca }, faketimeOf('-3h'))
  const { message, action } = await until('the fault is told', async () => {
    const status = await registration()
    return status?.reason === 'WrongClock' && status
  })
  assert.match(
    message,
    /^The clock of this machine is wrong: it is 3 h behind, so the certificate of the cloud does not count as valid yet\. /,
  )
  assert.equal(action, 'Synchronize it: timedatectl set-ntp true')
})

test('a region whose clock is three hours behind joins its cloud, and says so everywhere', async () => {
  const { adminUrl } = await startAgent(served, faketimeOf('-3h'))
  const id = await whenReady()

  const told = await until('the cloud has heard the status', async () => served.cloud.registry.records.regions[id]?.status)
  const { offsetMs } = told.clock as { offsetMs: number }
  assert.ok(isNear(offsetMs, 3 * hour), `${offsetMs} in the status`)

  const { clock } = await get('/v1/region')
  assert.ok(isNear(clock.cloud.offsetMs, 3 * hour), JSON.stringify(clock))
  assert.ok(isNear(clock.apiServer.offsetMs, 3 * hour), JSON.stringify(clock))
  assert.equal(clock.steps, 0)

  const { findings } = await get('/v1/region/preflight')
  const level = (wanted: string) => findings.find(({ id: found }: { id: string }) => found === wanted)?.level
  assert.deepEqual([level('clock'), level('clock-cloud')], ['fail', 'fail'])

  const metrics = await (await fetch(`${adminUrl}/metrics`)).text()
  const [, seconds] = /^skerry_agent_clock_offset_seconds\{to="cloud"\} (\S+)$/m.exec(metrics) ?? []
  assert.ok(isNear(Number(seconds) * 1000, 3 * hour), `${seconds} s in the metrics`)
})

test('a clock that is set while the agent runs costs neither its leadership nor its registration, and is told at once', async () => {
  const lines: string[] = []
  const time = await settableTime(join(folder, 'faketime'))
  await startAgent(served, time.env, lines)
  await whenReady()
  await until('it knows the clock of the cloud', async () => (await get('/v1/region')).clock.cloud !== null)
  await time.set('-3h')
  const { clock, leader } = await until('the step is seen', async () => {
    const document = await get('/v1/region')
    return document.clock.steps === 1 && document
  })
  assert.ok(isNear(clock.lastStep.byMs, -3 * hour), JSON.stringify(clock))
  assert.ok(isNear(clock.cloud.offsetMs, 3 * hour), 'the offset changes with the step, before the cloud has answered again')
  assert.equal(leader.state, 'leads')
  assert.equal((await registration())?.state, 'Ready')
  const told = () => lines.filter((line) => line.includes('"the clock was set"')).length
  await until('its log tells it', async () => told() > 0)
  assert.equal(told(), 1)
  assert.equal(lines.filter((line) => line.includes('"lease lost"')).length, 0)
  await until('an Event tells it', async () => {
    const events = await listObjects(region.admin, kinds.Event, { namespace: region.namespace })
    return events.some(({ reason, message }) => reason === 'ClockStepped' && message.startsWith('The clock was set back by 3 h.'))
  })
})
