import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { kinds, pathOf } from '../../shared/kubernetes/objects.ts'
import { type Fixture, startFixture } from '../cluster/index.ts'
import { rules } from '../monitor/sparkplug/rules.ts'
import { type EmbeddedBroker, startEmbeddedBroker } from '../peers/embedded-broker.ts'
import { type Births, bdSeqOf, followBirths, lineOf, type Message } from './births.ts'
import { regionDefinitions } from './definitions.ts'
import { prepareRegion, type Region } from './index.ts'
import type { MonitorProcess } from './monitor-process.ts'
import { isBirthOf } from './scenario.ts'

let fixture: Fixture
let region: Region
let broker: EmbeddedBroker
let births: Births
let monitor: MonitorProcess

before(async () => {
  fixture = await startFixture({ crds: regionDefinitions(), nodes: 2 })
  region = await prepareRegion(fixture.cluster, { sqlUrl: `${fixture.standIns.database.url}/{namespace}/{database}/_sql` })
  broker = await startEmbeddedBroker()
  births = await followBirths({ url: broker.url, ...region.edgeNode })
})

after(async () => {
  await region?.close()
  await births?.close()
  await broker?.close()
  await fixture?.stop()
})

const isNodeBirth = ({ verb }: Message) => verb === 'NBIRTH'
const isDeath = ({ verb }: Message) => verb === 'NDEATH'
const devicesBornSince = (from: number) => births.messages.slice(from).flatMap(({ verb, device }) => (verb === 'DBIRTH' ? [device] : []))

async function startMonitor(): Promise<{ birth: Message; from: number }> {
  const from = births.messages.length
  monitor = await region.startMonitor(broker, { config: { lease: { retryPeriod: '250ms' } } })
  return { birth: await births.heard(isNodeBirth, 'the NBIRTH', { from }), from }
}

test('another program sees the births of the cluster and its hosts, what is made, what changes, and what goes', async () => {
  const { birth, from } = await startMonitor()
  assert.equal(bdSeqOf(birth), 0)
  await births.heard(({ device }) => device === 'host:node-2', 'the birth of the second host')
  assert.match(lineOf({ url: broker.url, ...region.edgeNode }, birth), /^NBIRTH skerry\/harbour-1 · \d+ metrics · bdSeq 0$/)

  const database = await fixture.create(await fixture.project(), 'gauge')
  await births.heard(isBirthOf('gauge'), 'the birth of a database')
  await database.until(({ status }) => status?.crateDBStatus?.health === 'GREEN')
  const made = births.messages.length
  await database.editGroup((group) => {
    group.replicas = 1
  })
  // With the disks of the node that goes, a limit changes, which only a birth can tell: then the new values may come with it.
  const tells = (verb: string) => verb === 'DDATA' || verb === 'DBIRTH'
  await births.heard(({ verb, device }) => tells(verb) && device?.startsWith('database:') === true, 'a change of it', { from: made })
  await births.heard(({ verb }) => verb === 'NDATA', 'a change of the cluster', { from })
  await region.admin.request({ method: 'DELETE', path: `/apis/cloud.crate.io/v1/namespaces/${database.namespace}/cratedbs/gauge` })
  await births.heard(({ verb, device }) => verb === 'DDEATH' && device?.endsWith('gauge') === true, 'the death of the database')
})

test('a monitor that is killed has died with the bdSeq of its birth, and the next one counts on', async () => {
  const from = births.messages.length
  await monitor.kill()
  assert.equal(bdSeqOf(await births.heard(isDeath, 'the NDEATH of the will', { from })), 0)
  // It could not let go of its Lease. That others get it once it has run out is none of what is asked here.
  await region.admin.request({ method: 'DELETE', path: pathOf(kinds.Lease, region.namespace, 'skerry-monitor') })
  const { birth, from: again } = await startMonitor()
  assert.equal(bdSeqOf(birth), 1)
  await births.heard(({ device }) => device === 'host:node-2', 'the birth of the second host', { from: again })
  assert.deepEqual(
    devicesBornSince(again).filter((device) => device?.startsWith('host:')),
    ['host:node-1', 'host:node-2'],
  )
})

test('a monitor that is told to stop says that it dies, with the same bdSeq, and ends in order', async () => {
  const from = births.messages.length
  assert.equal(await monitor.stop(), 0)
  assert.equal(bdSeqOf(await births.heard(isDeath, 'the NDEATH', { from })), 1)
})

test('every message kept the rules', () => {
  const lives: Message[][] = []
  for (const message of births.messages) {
    if (message.verb === 'NBIRTH') lives.push([])
    lives.at(-1)?.push(message)
  }
  const [first = [], second = [], ...more] = lives
  assert.equal(more.length, 0)
  for (const { check, says } of rules) assert.doesNotThrow(() => check({ ...region.edgeNode, messages: first }), says)
  const sequence = rules.find(({ ids }) => ids.includes('payloads-sequence-num-incrementing'))
  assert.doesNotThrow(() => sequence?.check({ ...region.edgeNode, messages: second }), sequence?.says)
})
